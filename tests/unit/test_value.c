/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values (core/conf/value.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "conf/conf_priv.h"

static uint64_t
number(enum conf_type type, const char *text)
{
	struct conf_key k = { .section = "s", .name = "k", .type = type };
	struct conf_value v = { .key = NULL };
	uint64_t n;

	assert_int_equal(conf_value_set(&v, &k, text, NULL), 0);
	n = v.number;
	conf_value_fini(&v);
	return n;
}

static void
refused(const struct conf_key *k, const char *text)
{
	struct conf_value v = { .key = NULL };

	assert_int_equal(conf_value_set(&v, k, text, "f:1"), -EINVAL);
	assert_null(v.text);
	assert_null(v.where);
}

static void
is_refused(enum conf_type type, const char *text)
{
	struct conf_key k = { .section = "s", .name = "k", .type = type,
	    .value = "x", .words = type == CONF_ENUM ? "a|bc" : NULL };

	refused(&k, text);
}

static void
numbers_are_plain_decimal(void **state)
{
	(void)state;
	assert_int_equal(number(CONF_UINT, "0"), 0);
	assert_int_equal(number(CONF_UINT, "18446744073709551615"),
	    UINT64_MAX);
	is_refused(CONF_UINT, "18446744073709551616");
	is_refused(CONF_UINT, "99999999999999999999999");
	is_refused(CONF_UINT, "010");
	is_refused(CONF_UINT, "0x10");
	is_refused(CONF_UINT, "-1");
	is_refused(CONF_UINT, "+1");
	is_refused(CONF_UINT, "12abc");
	is_refused(CONF_UINT, "1 2");
	is_refused(CONF_UINT, "1.5");
	is_refused(CONF_UINT, "");
}

static void
durations_need_a_unit(void **state)
{
	(void)state;
	assert_int_equal(number(CONF_DURATION, "500ms"), 500);
	assert_int_equal(number(CONF_DURATION, "20s"), 20000);
	assert_int_equal(number(CONF_DURATION, "5m"), 300000);
	assert_int_equal(number(CONF_DURATION, "2h"), 7200000);
	assert_int_equal(number(CONF_DURATION, "1d"), 86400000);
	assert_int_equal(number(CONF_DURATION, "0"), 0);
	assert_int_equal(number(CONF_DURATION, "0s"), 0);
	is_refused(CONF_DURATION, "20");
	is_refused(CONF_DURATION, "20 s");
	is_refused(CONF_DURATION, "s");
	is_refused(CONF_DURATION, "05s");
	is_refused(CONF_DURATION, "20sec");
	is_refused(CONF_DURATION, "300000000000d");
}

static void
sizes_are_binary(void **state)
{
	(void)state;
	assert_int_equal(number(CONF_SIZE, "4096"), 4096);
	assert_int_equal(number(CONF_SIZE, "64KiB"), 65536);
	assert_int_equal(number(CONF_SIZE, "1MiB"), 1048576);
	assert_int_equal(number(CONF_SIZE, "2GiB"), UINT64_C(2) << 30);
	is_refused(CONF_SIZE, "64K");
	is_refused(CONF_SIZE, "64kb");
	is_refused(CONF_SIZE, "99999999999999GiB");
}

static void
booleans_have_six_words(void **state)
{
	(void)state;
	assert_int_equal(number(CONF_BOOL, "yes"), 1);
	assert_int_equal(number(CONF_BOOL, "true"), 1);
	assert_int_equal(number(CONF_BOOL, "on"), 1);
	assert_int_equal(number(CONF_BOOL, "no"), 0);
	assert_int_equal(number(CONF_BOOL, "false"), 0);
	assert_int_equal(number(CONF_BOOL, "off"), 0);
	is_refused(CONF_BOOL, "maybe");
	is_refused(CONF_BOOL, "1");
	is_refused(CONF_BOOL, "YES");
	is_refused(CONF_BOOL, "");
}

static void
ranges_and_words_bound_a_number(void **state)
{
	struct conf_key k = { .section = "s", .name = "k", .type = CONF_UINT,
	    .value = "auto", .min = 1, .max = 64, .words = "auto" };
	struct conf_value v = { .key = NULL };
	char text[CONF_EXPECTED_SIZE];

	(void)state;
	assert_int_equal(conf_value_set(&v, &k, "auto", NULL), 0);
	assert_int_equal(v.number, 0);
	conf_value_fini(&v);
	assert_int_equal(conf_value_set(&v, &k, "64", NULL), 0);
	conf_value_fini(&v);
	refused(&k, "0");
	refused(&k, "65");
	assert_string_equal(conf_value_expected(&k, text), "a number without"
	    " leading zeros from 1 to 64, or auto");
	k.words = NULL;
	k.max = 0;
	refused(&k, "0");
	assert_int_equal(conf_value_set(&v, &k, "1000", NULL), 0);
	conf_value_fini(&v);
	k.type = CONF_DURATION;
	k.min = 1500;
	k.max = 7200000;
	assert_string_equal(conf_value_expected(&k, text), "a duration with its"
	    " unit (ms, s, m, h, d) from 1500ms to 2h");
}

static void
words_names_paths_and_hosts(void **state)
{
	char long_name[70];

	(void)state;
	assert_int_equal(number(CONF_PATH, "/x"), 0);
	assert_int_equal(number(CONF_NAME, "a-b_9"), 0);
	assert_int_equal(number(CONF_HOST, "a.example.org"), 0);
	assert_int_equal(number(CONF_HOST, "*.example.org"), 0);
	is_refused(CONF_ENUM, "b");
	is_refused(CONF_ENUM, "a|bc");
	is_refused(CONF_ENUM, "abc");
	is_refused(CONF_PATH, "x/y");
	is_refused(CONF_NAME, "-a");
	is_refused(CONF_NAME, "a.b");
	is_refused(CONF_NAME, "A");
	memset(long_name, 'a', sizeof(long_name));
	long_name[64] = '\0';
	is_refused(CONF_NAME, long_name);
	is_refused(CONF_HOST, long_name);
	is_refused(CONF_HOST, "*");
	is_refused(CONF_HOST, "*.");
	is_refused(CONF_HOST, "a..b");
	is_refused(CONF_HOST, ".a");
	is_refused(CONF_HOST, "a.");
	is_refused(CONF_HOST, "a.*.b");
	is_refused(CONF_HOST, "a b");
}

static void
addresses(void **state)
{
	(void)state;
	assert_int_equal(number(CONF_ADDRESS, "*:443"), 0);
	assert_int_equal(number(CONF_ADDRESS, "systemd:main"), 0);
	assert_int_equal(number(CONF_IPC, "ipc:///run/x.ipc"), 0);
	is_refused(CONF_ADDRESS, "systemd:");
	is_refused(CONF_ADDRESS, "systemd:a:b");
	is_refused(CONF_ADDRESS, "localhost:443");
	is_refused(CONF_IPC, "ipc://run/x.ipc");
	is_refused(CONF_IPC, "tcp://127.0.0.1:1");
}

static void
lists_are_split_at_commas(void **state)
{
	struct conf_key k = { .section = "s", .name = "k", .type = CONF_HOST,
	    .value = "", .flags = CONF_LIST };
	struct conf_value v = { .key = NULL }, w = { .key = NULL };

	(void)state;
	assert_int_equal(conf_value_set(&v, &k, "A.b ,\tc.d,e", NULL), 0);
	assert_int_equal(v.items_n, 3);
	assert_string_equal(v.items[0], "a.b");
	assert_string_equal(v.items[1], "c.d");
	assert_string_equal(v.items[2], "e");
	assert_int_equal(conf_value_set(&w, &k, "a.b,c.d,e", NULL), 0);
	assert_true(conf_value_same(&v, &w));
	conf_value_fini(&w);
	assert_int_equal(conf_value_set(&w, &k, "", NULL), 0);
	assert_false(conf_value_same(&v, &w));
	assert_int_equal(w.items_n, 0);
	conf_value_fini(&v);
	refused(&k, "a,,b");
	refused(&k, "a,");
	refused(&k, ",");
	refused(&k, "a,b c");
	k.type = CONF_RANGE;
	assert_int_equal(conf_value_set(&v, &k, "10.0.0.0/8, unix", NULL), 0);
	assert_int_equal(v.ranges_n, 2);
	assert_true(v.ranges[1].is_unix);
	conf_value_fini(&v);
	refused(&k, "10.0.0.0/8, x");
}

static void
values_are_the_same_by_meaning(void **state)
{
	struct conf_key k = { .section = "s", .name = "k",
	    .type = CONF_DURATION, .value = NULL };
	struct conf_value v = { .key = NULL }, w = { .key = NULL };

	(void)state;
	assert_int_equal(conf_value_set(&v, &k, "60s", NULL), 0);
	assert_int_equal(conf_value_set(&w, &k, "1m", NULL), 0);
	assert_true(conf_value_same(&v, &w));
	conf_value_fini(&w);
	assert_int_equal(conf_value_set(&w, &k, NULL, NULL), 0);
	assert_false(conf_value_same(&v, &w));
	conf_value_fini(&v);
	conf_value_fini(&w);
}

static void
short_memory_leaves_the_value_empty(void **state)
{
	struct conf_key k = { .section = "s", .name = "k", .type = CONF_RANGE,
	    .value = "", .flags = CONF_LIST };
	struct conf_value v = { .key = NULL };
	unsigned long n = 0;
	int err;

	(void)state;
	do {
		(void)mem_fail_nth(++n);
		err = conf_value_set(&v, &k, "10.0.0.1, unix", "f:1");
		assert_true(err == 0 || (err == -ENOMEM && v.text == NULL));
	} while (err < 0);
	(void)mem_fail_nth(0);
	assert_int_equal(n, 7);
	conf_value_fini(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_plain_decimal),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(sizes_are_binary),
		cmocka_unit_test(booleans_have_six_words),
		cmocka_unit_test(ranges_and_words_bound_a_number),
		cmocka_unit_test(words_names_paths_and_hosts),
		cmocka_unit_test(addresses),
		cmocka_unit_test(lists_are_split_at_commas),
		cmocka_unit_test(values_are_the_same_by_meaning),
		cmocka_unit_test(short_memory_leaves_the_value_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
