/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens and lists in header values, RFC 7230 3.2.6 and 7. */
#include "wire/ws_token.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/header_text.h"

static struct header_text headers;

/* The elements joined by '|', then '!' if the list is malformed. */
static void
expect_list(const char *text, const char *want)
{
	struct ws_list state = { 0 };
	struct ws_text t;
	char got[200] = "";
	size_t n = 0;
	int r;

	header_text_set(&headers, text);
	while ((r = ws_list_next(&headers.headers, "l", &state, &t)) == 1) {
		n += (size_t)snprintf(got + n, sizeof got - n, "%.*s|",
		    (int)t.n, t.p);
	}
	if (r < 0) {
		assert_int_equal(r, -EINVAL);
		(void)snprintf(got + n, sizeof got - n, "!");
	}
	assert_string_equal(got, want);
}

static void
a_list_goes_over_all_headers_of_its_name(void **state)
{
	(void)state;
	expect_list("", "");
	expect_list("L: a", "a|");
	expect_list("L: a, b\nX: no\nl: c", "a|b|c|");
	expect_list("L: \nL: c", "c|");
}

static void
empty_elements_and_spaces_are_skipped(void **state)
{
	(void)state;
	expect_list("L: ,, a\t ,\t,b ,", "a|b|");
	expect_list("L:   ", "");
	expect_list("L: , ,", "");
}

static void
what_is_no_token_ends_the_list_with_an_error(void **state)
{
	(void)state;
	expect_list("L: a b", "!");
	expect_list("L: a, b/c", "a|!");
	expect_list("L: a, \"b\"", "a|!");
	expect_list("L: a;q=1", "!");
	expect_list("L: \xc3\xa9", "!");
	expect_list("L: a\nL: (", "a|!");
}

static void
a_list_has_a_word_in_any_case_only_if_it_is_well_formed(void **state)
{
	(void)state;
	header_text_set(&headers, "C: keep-alive, UPGRADE\nD: upgrade, (\n"
	    "E: upgraded, grade");
	assert_true(ws_list_has(&headers.headers, "C", "upgrade"));
	assert_false(ws_list_has(&headers.headers, "D", "upgrade"));
	assert_false(ws_list_has(&headers.headers, "E", "upgrade"));
	assert_false(ws_list_has(&headers.headers, "F", "upgrade"));
}

static void
a_single_header_is_trimmed_and_never_one_of_two(void **state)
{
	struct ws_text t;

	(void)state;
	header_text_set(&headers, "A: \t x y \t\nB: 1\nB: 1\nC: ");
	assert_int_equal(ws_single_header(&headers.headers, "a", &t), 0);
	assert_true(ws_text_equal(t, "x y"));
	assert_false(ws_text_equal(t, "X Y"));
	assert_true(ws_text_equal_nocase(t, "X Y"));
	assert_int_equal(ws_single_header(&headers.headers, "b", &t), -EEXIST);
	assert_int_equal(ws_single_header(&headers.headers, "z", &t), -ENOENT);
	assert_int_equal(ws_single_header(&headers.headers, "c", &t), 0);
	assert_int_equal(t.n, 0);
}

static void
token_characters_are_those_of_the_rfc(void **state)
{
	const char *extra = "!#$%&'*+-.^_`|~";
	unsigned c;
	char s[2] = "";

	(void)state;
	for (c = 1; c < 256; c++) {
		s[0] = (char)c;
		assert_int_equal(ws_is_token((struct ws_text){ s, 1 }),
		    (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		    (c >= 'A' && c <= 'Z') || strchr(extra, (int)c) != NULL);
	}
	s[0] = '\0';
	assert_false(ws_is_token((struct ws_text){ s, 1 }));
	assert_false(ws_is_token((struct ws_text){ s, 0 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_goes_over_all_headers_of_its_name),
		cmocka_unit_test(empty_elements_and_spaces_are_skipped),
		cmocka_unit_test(what_is_no_token_ends_the_list_with_an_error),
		cmocka_unit_test(
		    a_list_has_a_word_in_any_case_only_if_it_is_well_formed),
		cmocka_unit_test(
		    a_single_header_is_trimmed_and_never_one_of_two),
		cmocka_unit_test(token_characters_are_those_of_the_rfc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
