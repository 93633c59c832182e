/* SPDX-License-Identifier: Apache-2.0 */
/* Negotiating permessage-deflate, RFC 7692 7.1 and RFC 6455 9.1. */
#include "wire/ws_extension.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/header_text.h"

#define H "Sec-WebSocket-Extensions: "
#define PD "permessage-deflate"
#define BOTH PD "; server_no_context_takeover; client_no_context_takeover"

static struct header_text headers;

/* want: the answer; NULL: none; "!": malformed. */
static void
expect(const char *text, const char *want, unsigned bits)
{
	struct ws_deflate_params d = { .send_bits = 99 };
	char answer[WS_DEFLATE_ANSWER_SIZE] = "";
	int r;

	header_text_set(&headers, text);
	r = ws_deflate_negotiate(&headers.headers, answer, &d);
	if (want == NULL) {
		assert_int_equal(r, 0);
		assert_false(d.enabled);
	} else if (strcmp(want, "!") == 0) {
		assert_int_equal(r, -EINVAL);
		assert_int_equal(d.send_bits, 99);
	} else {
		assert_int_equal(r, 1);
		assert_true(d.enabled);
		assert_string_equal(answer, want);
		assert_int_equal(d.send_bits, bits);
	}
}

/* Autobahn 13.1 to 13.7 */
static void
the_offers_of_the_test_suite_are_taken(void **state)
{
	(void)state;
	expect(H PD, BOTH, 15);
	expect(H PD "; server_no_context_takeover", BOTH, 15);
	expect(H PD "; client_max_window_bits; server_no_context_takeover; "
	    "server_max_window_bits=9", BOTH "; server_max_window_bits=9", 9);
	expect(H PD "; server_max_window_bits=15",
	    BOTH "; server_max_window_bits=15", 15);
	expect(H PD "; server_no_context_takeover; server_max_window_bits=9, "
	    PD "; server_no_context_takeover, " PD,
	    BOTH "; server_max_window_bits=9", 9);
}

static void
no_offer_is_no_answer(void **state)
{
	(void)state;
	expect("Host: x", NULL, 0);
	expect(H, NULL, 0);
	expect(H "x-webkit-deflate-frame, foo; bar=1", NULL, 0);
}

static void
a_window_of_8_is_declined(void **state)
{
	(void)state;
	expect(H PD "; server_max_window_bits=8", NULL, 0);
	expect(H PD "; server_max_window_bits=8, " PD, BOTH, 15);
	expect(H PD "; server_max_window_bits=8\n" H PD
	    "; server_max_window_bits=12", BOTH "; server_max_window_bits=12",
	    12);
}

static void
client_max_window_bits_is_answered_only_to_an_offered_value(void **state)
{
	(void)state;
	expect(H PD "; client_max_window_bits", BOTH, 15);
	expect(H PD "; client_max_window_bits=10",
	    BOTH "; client_max_window_bits=10", 15);
	expect(H PD "; client_max_window_bits=8; server_max_window_bits=10",
	    BOTH "; server_max_window_bits=10; client_max_window_bits=8", 10);
}

static void
quoted_values_are_the_same_as_tokens(void **state)
{
	(void)state;
	expect(H PD "; server_max_window_bits=\"10\"",
	    BOTH "; server_max_window_bits=10", 10);
	expect(H PD "; server_max_window_bits = \"1\\0\"",
	    BOTH "; server_max_window_bits=10", 10);
	expect(H "foo; x=\"" "a1b2-c3_0123456789\", " PD, BOTH, 15);
}

static void
parameters_that_break_the_rules_decline_their_offer(void **state)
{
	static const char *const wrong[] = {
		"server_max_window_bits", "server_max_window_bits=7",
		"server_max_window_bits=16", "server_max_window_bits=09",
		"server_max_window_bits=010", "server_max_window_bits=1",
		"server_max_window_bits=abc", "server_max_window_bits=-9",
		"server_max_window_bits=100000000000000000000",
		"client_max_window_bits=7", "client_max_window_bits=16",
		"client_max_window_bits=08", "client_max_window_bits=x",
		"server_no_context_takeover=1",
		"client_no_context_takeover=true", "unknown", "unknown=1",
		"server_no_context_takeover; server_no_context_takeover",
		"client_no_context_takeover; client_no_context_takeover",
		"server_max_window_bits=9; server_max_window_bits=9",
		"client_max_window_bits; client_max_window_bits",
		"client_max_window_bits=9; client_max_window_bits",
	};
	char line[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(line, sizeof line, H PD "; %s", wrong[i]);
		expect(line, NULL, 0);
		snprintf(line, sizeof line, H PD "; %s, " PD
		    "; server_max_window_bits=11", wrong[i]);
		expect(line, BOTH "; server_max_window_bits=11", 11);
	}
}

static void
names_are_compared_in_any_case_and_spaces_are_free(void **state)
{
	(void)state;
	expect(H "Permessage-Deflate ;Server_Max_Window_Bits=9 ,, ",
	    BOTH "; server_max_window_bits=9", 9);
	expect(H "  ,\tpermessage-deflate\t;\tclient_max_window_bits", BOTH,
	    15);
	expect(H "permessage-deflate2, xpermessage-deflate", NULL, 0);
}

static void
what_is_not_the_grammar_refuses_the_request(void **state)
{
	static const char *const wrong[] = { ";", PD ";", PD "; =", PD "; a=",
	    PD "; a=;", PD "; a=\"", PD "; a=\"b", PD "; a=\"\"",
	    PD "; a=\"b c\"", PD "; a=\"b\\\"", PD "; a=\"b\" c",
	    PD " x", PD "; a b", PD "; a=b=c", "\"" PD "\"", PD "/1",
	    PD ", foo;", "f\xc3\xa9" };
	char line[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		snprintf(line, sizeof line, H "%s", wrong[i]);
		expect(line, "!", 0);
		snprintf(line, sizeof line, H PD "\n" H "%s", wrong[i]);
		expect(line, "!", 0);
	}
}

static int
check_answer(const char *text, bool offered, struct ws_deflate_params *ret)
{
	header_text_set(&headers, text);
	return ws_deflate_check_answer(&headers.headers, offered, ret);
}

static void
a_client_takes_answers_that_keep_to_its_offer(void **state)
{
	struct ws_deflate_params d;

	(void)state;
	assert_int_equal(check_answer("", true, &d), 0);
	assert_false(d.enabled);
	assert_int_equal(check_answer("", false, &d), 0);
	assert_false(d.enabled);
	assert_int_equal(check_answer(H BOTH, true, &d), 0);
	assert_true(d.enabled);
	assert_int_equal(d.send_bits, 15);
	assert_int_equal(check_answer(H PD "; server_no_context_takeover; "
	    "server_max_window_bits=8", true, &d), 0);
	assert_true(d.enabled);
}

static void
a_client_refuses_what_it_did_not_offer(void **state)
{
	struct ws_deflate_params d;

	(void)state;
	assert_int_equal(check_answer(H BOTH, false, &d), -EPROTO);
	assert_int_equal(check_answer(H PD, true, &d), -EPROTO);
	assert_int_equal(check_answer(H BOTH "; client_max_window_bits=9",
	    true, &d), -EPROTO);
	assert_int_equal(check_answer(H BOTH "; x", true, &d), -EPROTO);
	assert_int_equal(check_answer(H BOTH ", " BOTH, true, &d), -EPROTO);
	assert_int_equal(check_answer(H "foo", true, &d), -EPROTO);
	assert_int_equal(check_answer(H BOTH ";", true, &d), -EPROTO);
}

/* Our client and our server understand each other. */
static void
the_answer_fits_our_own_offer(void **state)
{
	struct ws_deflate_params d;
	char answer[WS_DEFLATE_ANSWER_SIZE], line[300];

	(void)state;
	header_text_set(&headers, H WS_DEFLATE_OFFER);
	assert_int_equal(ws_deflate_negotiate(&headers.headers, answer, &d),
	    1);
	snprintf(line, sizeof line, H "%s", answer);
	assert_int_equal(check_answer(line, true, &d), 0);
	assert_true(d.enabled);
}

#define T(x) cmocka_unit_test(x)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_offers_of_the_test_suite_are_taken),
		T(no_offer_is_no_answer),
		T(a_window_of_8_is_declined),
		T(client_max_window_bits_is_answered_only_to_an_offered_value),
		T(quoted_values_are_the_same_as_tokens),
		T(parameters_that_break_the_rules_decline_their_offer),
		T(names_are_compared_in_any_case_and_spaces_are_free),
		T(what_is_not_the_grammar_refuses_the_request),
		T(a_client_takes_answers_that_keep_to_its_offer),
		T(a_client_refuses_what_it_did_not_offer),
		T(the_answer_fits_our_own_offer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
