/* SPDX-License-Identifier: Apache-2.0 */
/* core/control/request.c: what a request says, taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "control/control_priv.h"

/* A request without anybody who sends it. */
static struct control control;
static struct exchange x;
static char target[256];

static int
set_up(void **state)
{
	(void)state;
	memset(&control, 0, sizeof(control));
	memset(&x, 0, sizeof(x));
	x.control = &control;
	list_init(&x.wait);
	timer_init(&x.timer, NULL);
	return worker_init(&control.worker, "test");
}

static void
clear(void)
{
	json_decref(x.json);
	x.json = NULL;
	text_fini(&x.text);
	x.ready = x.problem = false;
	x.status = 0;
}

static int
tear_down(void **state)
{
	(void)state;
	clear();
	worker_fini(&control.worker);
	return 0;
}

/* In a block of exactly its size: overreads are found. */
static bool
parse(const char *text)
{
	bool ok;
	char *copy = mem_strdup(text);

	assert_non_null(copy);
	x.params = 77;
	ok = target_parse(copy, x.param, &x.params);
	if (!ok)
		assert_int_equal(x.params, 77);
	else
		(void)snprintf(target, sizeof(target), "%s", copy);
	for (unsigned i = 0; ok && i < x.params; i++) {
		size_t n = strlen(target);

		(void)snprintf(target + n, sizeof(target) - n, "|%s=%s",
		    x.param[i].name, x.param[i].value);
	}
	mem_free(copy);
	return ok;
}

static void
parses_to(const char *text, const char *wanted)
{
	assert_true(parse(text));
	assert_string_equal(target, wanted);
}

static void
a_target_is_path_and_parameters(void **state)
{
	(void)state;
	parses_to("/", "/");
	parses_to("/v1/status", "/v1/status");
	parses_to("/v1/status?", "/v1/status");
	parses_to("/a?b=c", "/a|b=c");
	parses_to("/a?b=c&d=", "/a|b=c|d=");
	parses_to("/a?b=c&", "/a|b=c");
	parses_to("/a?=", "/a|=");
	parses_to("/a?b=c=d", "/a|b=c=d");
	parses_to("/a?b=?", "/a|b=?");
	parses_to("/%41%2fb?%63=%26%3D", "/A/b|c=&=");
	parses_to("/%e2%82%ac+", "/\xe2\x82\xac+");
}

static void
a_target_that_is_not_well_formed_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "a", "*", "?a=b", "http://x/", "/%", "/%4", "/%zz", "/%0",
		"/%4g", "/%00", "/%0a", "/%1f", "/%7f", "/\x01", "/a?b",
		"/a?&", "/a?b=c&&d=e", "/a?b=%", "/a?%0d=1", "/a?b=%00",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

static void
a_target_has_at_most_eight_parameters(void **state)
{
	(void)state;
	assert_true(parse("/?1=&2=&3=&4=&5=&6=&7=&8="));
	assert_int_equal(x.params, PARAMS_MAX);
	assert_false(parse("/?1=&2=&3=&4=&5=&6=&7=&8=&9="));
}

static void
a_number_is_decimal_digits_in_range(void **state)
{
	static const char *const bad[] = {
		"", " 1", "1 ", "+1", "-1", "0x1", "1e3", "1.0", "a"
	};
	uint64_t v = 5;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(number_parse(bad[i], 10, &v), -EINVAL);
	assert_int_equal(number_parse("11", 10, &v), -ERANGE);
	assert_int_equal(number_parse("18446744073709551616", UINT64_MAX, &v),
	    -ERANGE);
	assert_int_equal(number_parse("99999999999999999999999", UINT64_MAX,
	    &v), -ERANGE);
	assert_int_equal(v, 5);
	assert_int_equal(number_parse("10", 10, &v), 0);
	assert_int_equal(v, 10);
	assert_int_equal(number_parse("18446744073709551615", UINT64_MAX, &v),
	    0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(number_parse("007", 10, &v), 0);
	assert_int_equal(v, 7);
}

static void
a_time_is_rfc_3339_in_utc(void **state)
{
	static const char *const bad[] = {
		"", "2026", "2026-11-21", "2026-11-21T10:00:00",
		"2026-11-21T10:00:00+01:00", "2026-11-21 10:00:00Z",
		"2026-11-21t10:00:00Z", "2026-11-21T10:00:00z",
		"2026-11-21T10:00:00.Z", "2026-11-21T10:00:00ZZ",
		"2026-11-21T24:00:00Z", "2026-11-21T10:60:00Z",
		"2026-11-21T10:00:60Z", "2026-02-30T00:00:00Z",
		"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
		"1969-12-31T23:59:59Z", "26-11-21T10:00:00Z",
		"-026-11-21T10:00:00Z", "2026-11-21T10:00:00.1",
	};
	int64_t ms = 5;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (time_parse(bad[i], &ms) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(ms, 5);
	assert_int_equal(time_parse("1970-01-01T00:00:00Z", &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(time_parse("2001-09-09T01:46:40.25Z", &ms), 0);
	assert_true(ms == INT64_C(1000000000250));
	assert_int_equal(time_parse("2001-09-09T01:46:40.123456789Z", &ms), 0);
	assert_true(ms == INT64_C(1000000000123));
	assert_int_equal(time_parse("2024-02-29T00:00:00Z", &ms), 0);
	assert_int_equal(time_parse("9999-12-31T23:59:59.999Z", &ms), 0);
	assert_true(ms == INT64_C(253402300799999));
}

static void
labels_are_what_they_may_be(void **state)
{
	(void)state;
	assert_true(label_valid("", 0));
	assert_true(label_valid("caf\xc3\xa9", 5));
	assert_false(label_valid("caf\xc3\xa9", 4));
	assert_false(label_valid("a\nb", 10));
	assert_false(label_valid("a\x7f", 10));
}

/* ---- members and parameters --------------------------------------------- */

static const struct member table[] = {
	{ "text", JSON_STRING, true }, { "count", JSON_INTEGER, false },
	{ "more", JSON_OBJECT, false }, { "list", JSON_ARRAY, false },
	{ NULL, JSON_NULL, false }
};

static bool
members(const char *body, json_t **m)
{
	clear();
	x.json = json_loads(body, 0, NULL);
	assert_non_null(x.json);
	return body_members(&x, table, m);
}

/* It is told, with its kind and the member. */
static void
told(const char *kind, const char *member)
{
	json_t *o = json_loadb((const char *)x.text.out.p, x.text.out.n, 0,
	    NULL);
	char type[80];

	(void)snprintf(type, sizeof(type), "urn:cleat:problem:%s", kind);
	assert_true(x.ready && x.problem);
	assert_int_equal(x.status, 400);
	assert_string_equal(json_string_value(json_object_get(o, "type")),
	    type);
	assert_string_equal(json_string_value(json_object_get(o, "member")),
	    member);
	json_decref(o);
}

static void
members_are_found_by_their_names(void **state)
{
	json_t *m[4];

	(void)state;
	assert_true(members("{\"list\":[],\"text\":\"a\"}", m));
	assert_string_equal(json_string_value(m[0]), "a");
	assert_null(m[1]);
	assert_null(m[2]);
	assert_true(json_is_array(m[3]));
	assert_false(x.ready);
}

static void
a_member_has_the_type_of_the_table(void **state)
{
	static const struct {
		const char *body, *kind, *member;
	} bad[] = {
		{ "{}", "invalid", "text" },
		{ "{\"text\":null}", "invalid", "text" },
		{ "{\"text\":1}", "invalid", "text" },
		{ "{\"text\":true}", "invalid", "text" },
		{ "{\"text\":[\"a\"]}", "invalid", "text" },
		{ "{\"text\":\"a\",\"count\":1.0}", "invalid", "count" },
		{ "{\"text\":\"a\",\"count\":\"1\"}", "invalid", "count" },
		{ "{\"text\":\"a\",\"more\":[]}", "invalid", "more" },
		{ "{\"text\":\"a\",\"list\":{}}", "invalid", "list" },
		{ "{\"text\":\"a\",\"Text\":\"b\"}", "unknown-member",
		    "Text" },
		{ "{\"\":1}", "unknown-member", "" },
	};
	json_t *m[4];

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(members(bad[i].body, m));
		told(bad[i].kind, bad[i].member);
	}
}

static void
a_member_with_a_long_name_is_told_in_part(void **state)
{
	char body[8200];
	json_t *m[4], *o;

	(void)state;
	memset(body, '\x7f', sizeof(body));
	memcpy(body, "{\"", 2);
	(void)snprintf(body + 8100, 10, "\":1}");
	assert_false(members(body, m));
	o = json_loadb((const char *)x.text.out.p, x.text.out.n, 0, NULL);
	assert_int_equal(strlen(json_string_value(json_object_get(o,
	    "member"))), 8098);
	assert_true(strlen(json_string_value(json_object_get(o,
	    "detail"))) < 200);
	json_decref(o);
}

static void
a_parameter_is_a_number_in_its_range(void **state)
{
	static const char *const bad[] = {
		"/?n=0", "/?n=11", "/?n=", "/?n=-1", "/?n=1x"
	};
	uint64_t v = 3;
	char text[20];

	(void)state;
	(void)snprintf(text, sizeof(text), "/?m=1");
	assert_true(target_parse(text, x.param, &x.params));
	assert_true(param_number(&x, "n", 7, 1, 10, &v));
	assert_int_equal(v, 7);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		clear();
		(void)snprintf(text, sizeof(text), "%s", bad[i]);
		assert_true(target_parse(text, x.param, &x.params));
		assert_false(param_number(&x, "n", 7, 1, 10, &v));
		told("invalid", "n");
	}
	clear();
	assert_int_equal(v, 7);
	(void)snprintf(text, sizeof(text), "/?n=10");
	assert_true(target_parse(text, x.param, &x.params));
	assert_true(param_number(&x, "n", 7, 1, 10, &v));
	assert_int_equal(v, 10);
}

static void
a_parameter_is_an_id(void **state)
{
	char text[20];

	(void)state;
	(void)snprintf(text, sizeof(text), "/?after=a/b&id=a.b");
	assert_true(target_parse(text, x.param, &x.params));
	assert_true(id_param_valid(&x, "none"));
	assert_true(id_param_valid(&x, "id"));
	assert_false(id_param_valid(&x, "after"));
	told("invalid", "after");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_is_path_and_parameters),
		cmocka_unit_test(a_target_that_is_not_well_formed_is_refused),
		cmocka_unit_test(a_target_has_at_most_eight_parameters),
		cmocka_unit_test(a_number_is_decimal_digits_in_range),
		cmocka_unit_test(a_time_is_rfc_3339_in_utc),
		cmocka_unit_test(labels_are_what_they_may_be),
		cmocka_unit_test(members_are_found_by_their_names),
		cmocka_unit_test(a_member_has_the_type_of_the_table),
		cmocka_unit_test(a_member_with_a_long_name_is_told_in_part),
		cmocka_unit_test(a_parameter_is_a_number_in_its_range),
		cmocka_unit_test(a_parameter_is_an_id),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
