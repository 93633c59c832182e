/* SPDX-License-Identifier: Apache-2.0 */
/* Bad files are refused with their line (core/conf/scan.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "conf/conf_priv.h"
#include "conf_dir.h"

static void
what_iniparser_reads_differently_is_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "[daemon]\nworkers\n", "2: expected key = value" },
		{ "[daemon]\n= 1\n",
		    "2: expected a key in lower case before the =" },
		{ "[daemon]\nWorkers = 1\n",
		    "2: expected a key in lower case before the =" },
		{ "[daemon]\nworkers:x = 1\n",
		    "2: expected a key in lower case before the =" },
		{ "workers = 1\n", "1: a key before the first [section]" },
		{ "[daemon\nworkers = 1\n",
		    "1: expected [section] alone on its line" },
		{ "[daemon] ; main\n",
		    "1: expected [section] alone on its line" },
		{ "[", "1: expected [section] alone on its line" },
		{ "[]", "1: expected a section such as [daemon] or"
		    " [listener.public], in lower case" },
		{ "[a]b]", "1: expected a section such as [daemon] or"
		    " [listener.public], in lower case" },
		{ "[dev:1]", "1: expected a section such as [daemon] or"
		    " [listener.public], in lower case" },
		{ "[Daemon]", "1: expected a section such as [daemon] or"
		    " [listener.public], in lower case" },
		{ "[tls]\npriority = NORMAL;x\n",
		    "2: a value with ; or # must be quoted (a comment needs a"
		    " line of its own)" },
		{ "[tls]\npriority = ab#cd\n",
		    "2: a value with ; or # must be quoted (a comment needs a"
		    " line of its own)" },
		{ "[tls]\npriority = \"NORMAL\n",
		    "2: the quote is not closed" },
		{ "[tls]\npriority = '\n", "2: the quote is not closed" },
		{ "[tls]\npriority = \"a\" \"b\"\n",
		    "2: nothing may follow the closing quote" },
		{ "[tls]\npriority = \"a\" ; b\n",
		    "2: nothing may follow the closing quote" },
		{ "[tls]\npriority = a\"b\n",
		    "2: quotes must enclose the whole value" },
		{ "[tls]\npriority = \"say \\\"hi\"\n",
		    "2: a backslash cannot be part of a value" },
		{ "[tls]\n# a comment \\\npriority = x\n",
		    "2: a line must not end in a backslash" },
		{ "[tls]\npriority = a\\\nb = c\n",
		    NULL },
		{ "[tls]\npriority = a\x01\n", "2: a control character" },
		{ "[tls]\npriority = a\n\n[tls]\n",
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf *c = NULL;
		char error[256];

		if (cases[i].error != NULL) {
			(void)snprintf(error, sizeof(error), "cleat.conf:%s",
			    cases[i].error);
			conf_fails(cases[i].text, error);
			continue;
		}
		conf_dir_n = 0;
		conf_dir_put("cleat.conf", cases[i].text);
		assert_int_equal(conf_dir_load(&c), -EINVAL);
	}
}

static void
a_key_or_section_given_twice_is_refused(void **state)
{
	char error[256];

	(void)state;
	(void)snprintf(error, sizeof(error), "cleat.conf:4: [daemon] workers:"
	    " given twice in this file (first at %s/cleat.conf:2)", conf_dir);
	conf_fails("[daemon]\nworkers = 1\n\nworkers = 1\n", error);
	(void)snprintf(error, sizeof(error), "cleat.conf:3: [tls]: given twice"
	    " in this file (first at %s/cleat.conf:1)", conf_dir);
	conf_fails("[tls]\n[daemon]\n[tls]\n", error);
}

static void
a_line_has_at_most_1000_bytes(void **state)
{
	char text[1200] = "[tls]\n# ";

	(void)state;
	memset(text + 8, 'x', 998);
	conf_unref(&(struct conf *){ conf_of(text) });
	memset(text + 8, 'x', 999);
	conf_fails(text, "cleat.conf:2: the line is longer than 1000 bytes");
	memset(text, 0, sizeof(text));
	(void)snprintf(text, sizeof(text), "[tls]\npriority = ");
	memset(text + strlen(text), 'x', 989);
	conf_unref(&(struct conf *){ conf_of(text) });
}

static void
quotes_comments_and_windows_line_ends_are_understood(void **state)
{
	struct conf *c;

	(void)state;
	c = conf_of("# c\n; c\n  # c\r\n\r\n[tls]\r\n"
	    "\tpriority = \"NORMAL:#;='x'\"\r\n[bus]\nqueue='17'");
	assert_string_equal(conf_str(c, "tls", "priority"), "NORMAL:#;='x'");
	assert_int_equal(conf_uint(c, "bus", "queue"), 17);
	conf_unref(&c);
	c = conf_of("[tls]\npriority = \"\"\n[daemon]\nlog_level=debug\n");
	assert_null(conf_str(c, "tls", "priority"));
	conf_unref(&c);
}

static void
a_file_of_too_many_lines_is_refused(void **state)
{
	struct conf_entries l = { NULL, 0, 0 };
	size_t n = 0, size = 80000;
	char *text = mem_alloc(size);

	(void)state;
	assert_non_null(text);
	n = (size_t)snprintf(text, size, "[plugin.x]\n");
	for (int i = 0; i < 4096; i++)
		n += (size_t)snprintf(text + n, size - n, "k%d = 1\n", i);
	assert_int_equal(conf_scan("f", text, n, &errs, &l), -EINVAL);
	assert_int_equal(l.n, CONF_ENTRIES_MAX);
	assert_string_equal(errs.line[0], "f:4097: too many lines");
	conf_entries_fini(&l);
	mem_free(text);
}

static void
scanning_when_memory_is_short(void **state)
{
	static const char text[] = "[a]\nb = c\n[d]\n";
	struct conf_entries l = { NULL, 0, 0 };
	unsigned long n = 0;
	int err;

	(void)state;
	do {
		(void)mem_fail_nth(++n);
		err = conf_scan("f", text, sizeof(text) - 1, &errs, &l);
		assert_true(err == 0 || err == -ENOMEM);
		(void)mem_fail_nth(0);
		if (err == 0)
			assert_int_equal(l.n, 3);
		conf_entries_fini(&l);
	} while (err < 0);
	assert_true(n > 8);
}

#define T(f) \
	cmocka_unit_test_setup_teardown(f, conf_dir_set_up, conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_iniparser_reads_differently_is_refused),
		T(a_key_or_section_given_twice_is_refused),
		T(a_line_has_at_most_1000_bytes),
		T(quotes_comments_and_windows_line_ends_are_understood),
		T(a_file_of_too_many_lines_is_refused),
		T(scanning_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
