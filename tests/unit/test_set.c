/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a plugin (core/conf/set.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <cleat/abi.h>

#include "base/mem.h"
#include "conf_dir.h"

static const struct cleat_opt opts[] = {
	{ "file", CLEAT_OPT_PATH, CLEAT_OPT_REQUIRED, NULL, 0, 0, "" },
	{ "pin", CLEAT_OPT_UINT, CLEAT_OPT_SECRET, NULL, 1000, 9999, "" },
	{ "every", CLEAT_OPT_DURATION, CLEAT_OPT_RESTART, "5s", 0, 0, "" },
	{ "names", CLEAT_OPT_LIST, 0, "a, b", 0, 0, "" },
	{ "on", CLEAT_OPT_BOOL, 0, "yes", 0, 0, "" },
	{ "big", CLEAT_OPT_SIZE, 0, "1KiB", 0, 0, "" },
	{ "text", CLEAT_OPT_STRING, 0, NULL, 0, 0, "" },
	{ NULL, 0, 0, NULL, 0, 0, NULL },
};

#define HEAD "[plugin.p]\nmodule = m\n"

static struct conf_set *
set_of(const char *text)
{
	struct conf *c = conf_of(text);
	struct conf_set *s = NULL;

	assert_int_equal(conf_set_new(c, "plugin.p", opts, &errs, &s), 0);
	assert_int_equal(errs.n, 0);
	conf_unref(&c);		/* the set stands by itself */
	return s;
}

static void
set_fails(const char *text, const struct cleat_opt *o, const char *error)
{
	struct conf *c = conf_of(text);
	struct conf_set *s = NULL;

	assert_int_equal(conf_set_new(c, "plugin.p", o, &errs, &s), -EINVAL);
	assert_null(s);
	assert_int_equal(errs.n, 1);
	assert_non_null(strstr(errs.line[0], error));
	conf_errors_fini(&errs);
	conf_unref(&c);
}

static void
options_are_typed_and_have_defaults(void **state)
{
	struct conf_set *s = set_of(HEAD "file = /x\nbig = 2KiB\non = no\n");

	(void)state;
	assert_string_equal(conf_set_text(s, "file"), "/x");
	assert_int_equal(conf_set_number(s, "every"), 5000);
	assert_int_equal(conf_set_number(s, "big"), 2048);
	assert_int_equal(conf_set_number(s, "on"), 0);
	assert_int_equal(conf_set_number(s, "pin"), 0);
	assert_string_equal(conf_set_item(s, "names", 1), "b");
	assert_null(conf_set_item(s, "names", 2));
	assert_null(conf_set_text(s, "text"));
	assert_null(conf_set_text(s, "unheard_of"));
	assert_int_equal(conf_set_number(s, "unheard_of"), 0);
	assert_null(conf_set_item(s, "unheard_of", 0));
	conf_set_free(&s);
	conf_set_free(&s);
}

static void
bad_options_are_told_and_secrets_are_not(void **state)
{
	(void)state;
	set_fails(HEAD, opts, "cleat.conf:1: [plugin.p] file is missing");
	set_fails(HEAD "file = /x\nfiel = 1\n", opts, "cleat.conf:4:"
	    " [plugin.p] fiel: unknown key (did you mean \"file\"?)");
	set_fails(HEAD "file = /x\nmax_mesage = 1\n", opts, "max_mesage:"
	    " unknown key (did you mean \"max_message\"?)");
	set_fails(HEAD "file = /x\npin = 77\n", opts, "[plugin.p] pin ="
	    " (hidden): expected a number");
	set_fails(HEAD "file = /x\n", NULL, "file: unknown key");
}

static void
a_schema_that_is_not_right_is_refused(void **state)
{
	static const struct cleat_opt bad[][2] = {
		{ { "a", 0, 0, NULL, 0, 0, "" } },
		{ { "a", 99, 0, NULL, 0, 0, "" } },
		{ { "A", CLEAT_OPT_BOOL, 0, NULL, 0, 0, "" } },
		{ { "a-b", CLEAT_OPT_BOOL, 0, NULL, 0, 0, "" } },
		{ { "", CLEAT_OPT_BOOL, 0, NULL, 0, 0, "" } },
		{ { "module", CLEAT_OPT_STRING, 0, NULL, 0, 0, "" } },
		{ { "a", CLEAT_OPT_BOOL, 0, "maybe", 0, 0, "" } },
		{ { "a", CLEAT_OPT_UINT, 0, "5", 6, 7, "" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		set_fails(HEAD, bad[i], "the module declares an option that is"
		    " not right in itself");
}

static void
changes_are_seen_by_meaning(void **state)
{
	struct conf_set *a = set_of(HEAD "file = /x\nevery = 60s\n");
	struct conf_set *b = set_of(HEAD "file = /x\nevery = 1m\n");
	struct conf_set *c = set_of(HEAD "file = /y\nevery = 2m\n");
	struct conf_set *d = set_of(HEAD "file = /y\nevery = 1m\n");

	(void)state;
	assert_false(conf_set_differs(a, b));
	assert_true(conf_set_differs(a, d));
	assert_null(conf_set_restart_key(a, d));
	assert_string_equal(conf_set_restart_key(a, c), "every");
	conf_set_free(&a);
	conf_set_free(&b);
	conf_set_free(&c);
	conf_set_free(&d);
}

static void
a_set_is_made_or_not_when_memory_is_short(void **state)
{
	struct conf *c = conf_of(HEAD "file = /x\nnames = a,b,c\n");
	struct conf_set *s = NULL;
	unsigned long n = 0;
	int err;

	(void)state;
	do {
		(void)mem_fail_nth(++n);
		err = conf_set_new(c, "plugin.p", opts, &errs, &s);
		assert_true(err == 0 || (err == -ENOMEM && s == NULL));
	} while (err < 0);
	(void)mem_fail_nth(0);
	assert_true(n > 10);
	conf_set_free(&s);
	conf_unref(&c);
}

/* Opens "safe:TEXT" to TEXT. */
static int
open_safe(const char *text, const char *key_file, char *why, char **ret)
{
	if (strcmp(text, "safe:broken") == 0) {
		(void)snprintf(why, CONF_WHY_SIZE, "no key in %s", key_file);
		return -ENOENT;
	}
	*ret = mem_strdup(strncmp(text, "safe:", 5) == 0 ? text + 5 : text);
	return *ret == NULL ? -ENOMEM : 0;
}

#define WITH_KEY "[daemon]\nsecret_key = /k\n"

static void
secrets_are_opened_and_others_are_not(void **state)
{
	struct conf_set *s, *t;

	(void)state;
	conf_set_secret_fn(open_safe);
	s = set_of(HEAD "file = /x\npin = safe:1234\ntext = safe:5678\n");
	assert_int_equal(conf_set_number(s, "pin"), 1234);
	assert_string_equal(conf_set_text(s, "pin"), "1234");
	assert_string_equal(conf_set_text(s, "text"), "safe:5678");
	t = set_of(HEAD "file = /x\npin = 1234\ntext = safe:5678\n");
	/* It is read again from there, so that it matters where it is. */
	assert_true(conf_set_differs(s, t));
	assert_false(conf_set_differs(s, s));
	conf_set_free(&s);
	conf_set_free(&t);
	set_fails(WITH_KEY HEAD "file = /x\npin = safe:broken\n", opts,
	    "[plugin.p] pin: no key in /k");
	set_fails(HEAD "file = /x\npin = safe:98765\n", opts, "(hidden)");
	conf_set_secret_fn(NULL);
}

static const char *now_is;

static int
open_now(const char *text, const char *key_file, char *why, char **ret)
{
	if (now_is == NULL)
		return open_safe("safe:broken", key_file, why, ret);
	*ret = mem_strdup(strcmp(text, "safe:x") == 0 ? now_is : text);
	return *ret == NULL ? -ENOMEM : 0;
}

static void
expect_secret(const struct conf_set *s, const char *name, const char *text)
{
	char why[CONF_WHY_SIZE], *got = NULL;

	assert_int_equal(conf_set_secret(s, name, why, &got), 0);
	assert_string_equal(got, text);
	mem_free_wiped(got, strlen(got));
}

static void
a_secret_is_read_again_when_asked_for(void **state)
{
	char why[CONF_WHY_SIZE], *got = NULL;
	struct conf_set *s;

	(void)state;
	now_is = "1234";
	conf_set_secret_fn(open_now);
	s = set_of(WITH_KEY HEAD "file = /x\npin = safe:x\n");
	expect_secret(s, "pin", "1234");
	now_is = "5678";
	expect_secret(s, "pin", "5678");
	assert_string_equal(conf_set_text(s, "pin"), "1234");
	now_is = NULL;
	assert_int_equal(conf_set_secret(s, "pin", why, &got), -ENOENT);
	assert_string_equal(why, "no key in /k");
	assert_null(got);
	expect_secret(s, "file", "/x");
	conf_set_free(&s);
	now_is = "1234";
	s = set_of(HEAD "file = /x\n");
	expect_secret(s, "pin", "");
	conf_set_free(&s);
	conf_set_secret_fn(NULL);
}

#define T(f) \
	cmocka_unit_test_setup_teardown(f, conf_dir_set_up, conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(options_are_typed_and_have_defaults),
		T(secrets_are_opened_and_others_are_not),
		T(a_secret_is_read_again_when_asked_for),
		T(bad_options_are_told_and_secrets_are_not),
		T(a_schema_that_is_not_right_is_refused),
		T(changes_are_seen_by_meaning),
		T(a_set_is_made_or_not_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
