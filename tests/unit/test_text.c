/* SPDX-License-Identifier: Apache-2.0 */
/* Text for terminals (tools/ctl/text.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "text.h"

static void
escapes_to(const char *s, size_t n, const char *wanted)
{
	struct text t = { 0 };

	text_escaped(&t, s, n);
	assert_false(t.failed);
	assert_string_equal(text_str(&t), wanted);
	text_free(&t);
}

static void
what_a_terminal_obeys_is_made_visible(void **state)
{
	(void)state;
	escapes_to("a\033[31mb", 7, "a\\x1b[31mb");
	escapes_to("a\nb\tc\r", 6, "a\\nb\\tc\\x0d");
	escapes_to("\0x", 2, "\\x00x");
	escapes_to("\177", 1, "\\x7f");
	escapes_to("\302\233m", 3, "\\u009bm");		/* CSI of C1 */
	escapes_to("a\342\200\256b", 5, "a\\u202eb");	/* RLO */
	escapes_to("\341\240\216|", 4, "\\u180e|");	/* not seen at all */
	escapes_to("\363\240\201\201", 4, "\\U000e0041");	/* a tag */
	escapes_to("\303\244\346\274\242", 5, "\303\244\346\274\242");
}

static void
what_is_not_utf8_is_replaced(void **state)
{
	(void)state;
	escapes_to("a\377b", 3, "a\357\277\275b");
	escapes_to("\303", 1, "\357\277\275");
}

static void
width_counts_columns(void **state)
{
	(void)state;
	assert_int_equal(text_width("abc"), 3);
	assert_int_equal(text_width("\303\244\303\266"), 2);
	assert_int_equal(text_width("\346\274\242\345\255\227"), 4);
	assert_int_equal(text_width("e\314\201"), 1);	/* combining */
	assert_int_equal(text_fit("\346\274\242\345\255\227", 3), 3);
	assert_int_equal(text_fit("abc", 2), 2);
	assert_int_equal(text_fit("abc", 0), 0);
}

static void
json_is_one_line_without_what_a_terminal_obeys(void **state)
{
	struct text t = { 0 };
	json_t *o = json_pack("{s:s, s:i}", "a",
	    "x\033\n\302\233\177\342\200\256\363\240\201\201\303\244", "b", 5);
	json_t *back;

	(void)state;
	text_json(&t, o);
	assert_false(t.failed);
	assert_string_equal(text_str(&t), "{\"a\":\"x\\u001B\\n\\u009b\\u007f"
	    "\\u202e\\udb40\\udc41\303\244\",\"b\":5}");
	back = json_loads(text_str(&t), 0, NULL);
	assert_true(json_equal(o, back));
	json_decref(back);
	json_decref(o);
	text_free(&t);
}

static void
ids_go_into_a_path_whole(void **state)
{
	struct text t = { 0 };

	(void)state;
	text_url(&t, "a/b?c=d&e %\303\244.~_-Z9");
	assert_string_equal(text_str(&t),
	    "a%2Fb%3Fc%3Dd%26e%20%25%C3%A4.~_-Z9");
	text_free(&t);
}

static void
short_memory_is_remembered(void **state)
{
	unsigned long n = 0;
	bool failed;

	(void)state;
	do {
		struct text t = { 0 };
		char *p;

		(void)mem_fail_nth(++n);
		for (int i = 0; i < 100; i++)
			text_printf(&t, "%d some words, and some more; ", i);
		failed = t.failed;
		p = text_take(&t);
		(void)mem_fail_nth(0);
		assert_int_equal(failed, p == NULL);
		mem_free(p);
		text_free(&t);
	} while (failed);
	assert_true(n > 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_terminal_obeys_is_made_visible),
		cmocka_unit_test(what_is_not_utf8_is_replaced),
		cmocka_unit_test(width_counts_columns),
		cmocka_unit_test(
		    json_is_one_line_without_what_a_terminal_obeys),
		cmocka_unit_test(ids_go_into_a_path_whole),
		cmocka_unit_test(short_memory_is_remembered)
	};

	text_locale();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
