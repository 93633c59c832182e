/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into JSON without a tree, and things by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/json_find.h"
#include "base/mem.h"
#include "base/strtab.h"

static struct json_span
span(const char *s)
{
	return (struct json_span){ s, strlen(s) };
}

static void
is(struct json_span v, const char *want)
{
	assert_int_equal(v.n, strlen(want));
	assert_memory_equal(v.p, want, v.n);
}

static void
members_are_found_at_the_top_only(void **state)
{
	struct json_span v = { NULL, 0 };

	(void)state;
	assert_true(json_member(span(" { \"a\" : {\"b\":1} , \"b\":[2,{}] } "),
	    "b", &v));
	is(v, "[2,{}]");
	assert_true(json_member(
	    span("{\"x\":\"}\\\",\\\"a\\\":1\",\"a\":-1.5}"), "a", &v));
	is(v, "-1.5");
	assert_true(json_member(span("{\"a\":1,\"a\":\"two\"}"), "a", &v));
	is(v, "\"two\"");
	assert_false(json_member(span("{\"aa\":1}"), "a", &v));
	assert_false(json_member(span("{}"), "a", &v));
	assert_false(json_member(span("[\"a\",1]"), "a", &v));
	assert_false(json_member(span(""), "a", &v));
}

static void
elements_come_one_by_one(void **state)
{
	struct json_span all = span("[ 1, \"a,]\" ,[2,[3]],{\"x\":[4]} ]"), v;
	size_t at = 0;

	(void)state;
	assert_true(json_item(all, &at, &v));
	is(v, "1");
	assert_true(json_item(all, &at, &v));
	is(v, "\"a,]\"");
	assert_true(json_item(all, &at, &v));
	is(v, "[2,[3]]");
	assert_true(json_item(all, &at, &v));
	is(v, "{\"x\":[4]}");
	assert_false(json_item(all, &at, &v));
	at = 0;
	assert_false(json_item(span("[]"), &at, &v));
	assert_false(json_item(span("{}"), &at, &v));
}

/* Whatever is cut off, it never reads behind the end (ASan looks). */
static void
a_text_that_ends_early_is_survived(void **state)
{
	static const char text[] =
	    "{\"a\":[1,\"x\\\"y\",{\"b\":null}],\"c\":2}";
	struct json_span v;

	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		char *copy = mem_dup(text, n == 0 ? 1 : n);
		size_t at = 0;

		assert_non_null(copy);
		if (json_member((struct json_span){ copy, n }, "a", &v))
			for (struct json_span i; json_item(v, &at, &i);)
				continue;
		mem_free(copy);
	}
}

static void
strings_and_numbers_are_read_when_they_are_plain(void **state)
{
	char to[4];
	uint64_t v = 0;

	(void)state;
	assert_true(json_plain(span("\"abc\""), to, sizeof(to)));
	assert_string_equal(to, "abc");
	assert_false(json_plain(span("\"abcd\""), to, sizeof(to)));
	assert_false(json_plain(span("\"\\n\""), to, sizeof(to)));
	assert_false(json_plain(span("7"), to, sizeof(to)));
	assert_true(json_whole(span("9007199254740992"), &v));
	assert_false(json_whole(span("9007199254740993"), &v));
	assert_false(json_whole(span("-1"), &v));
	assert_false(json_whole(span("1.0"), &v));
	assert_false(json_whole(span("\"1\""), &v));
}

static void
things_are_found_by_name_while_the_table_grows(void **state)
{
	static struct strtab_node node[1000];
	static char name[1000][12];
	struct strtab t = { 0 };

	(void)state;
	assert_null(strtab_find(&t, "0"));
	(void)mem_fail_nth(1);
	assert_int_equal(strtab_add(&t, &node[0], "0"), -12);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name[i], sizeof(name[i]), "%d", i);
		/* One growth in the middle fails: slower, not wrong. */
		if (i == 128)
			(void)mem_fail_nth(1);
		assert_int_equal(strtab_add(&t, &node[i], name[i]), 0);
	}
	(void)mem_fail_nth(0);
	for (int i = 0; i < 1000; i += 2)
		strtab_remove(&t, &node[i]);
	for (int i = 0; i < 1000; i++)
		assert_ptr_equal(strtab_find(&t, name[i]),
		    i % 2 == 0 ? NULL : &node[i]);
	while (strtab_any(&t) != NULL)
		strtab_remove(&t, strtab_any(&t));
	assert_int_equal(t.count, 0);
	strtab_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found_at_the_top_only),
		cmocka_unit_test(elements_come_one_by_one),
		cmocka_unit_test(a_text_that_ends_early_is_survived),
		cmocka_unit_test(
		    strings_and_numbers_are_read_when_they_are_plain),
		cmocka_unit_test(
		    things_are_found_by_name_while_the_table_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
