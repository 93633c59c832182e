/* SPDX-License-Identifier: Apache-2.0 */
/* Close codes and payloads, RFC 6455 5.5.1 and 7.4. */
#include "wire/ws_close.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int
parse(const char *p, size_t n, struct ws_close *ret)
{
	return ws_close_parse((const uint8_t *)p, n, ret);
}

static void
only_codes_for_the_wire_are_valid(void **state)
{
	static const unsigned good[] = { 1000, 1001, 1002, 1003, 1007, 1008,
	    1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999 };
	static const unsigned wrong[] = { 0, 1, 999, 1004, 1005, 1006, 1015,
	    1016, 1100, 2000, 2999, 5000, 65535 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(ws_close_code_valid(good[i]));
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_false(ws_close_code_valid(wrong[i]));
}

static void
an_empty_payload_has_no_code(void **state)
{
	struct ws_close c;
	uint8_t to[WS_CLOSE_MAX];

	(void)state;
	assert_int_equal(ws_close_parse(NULL, 0, &c), 0);
	assert_int_equal(c.code, WS_CLOSE_NONE);
	assert_int_equal(c.reason_n, 0);
	assert_int_equal(ws_close_encode(to, WS_CLOSE_NONE, "x"), 0);
}

static void
one_byte_is_a_protocol_error(void **state)
{
	struct ws_close c = { .code = 77 };

	(void)state;
	assert_int_equal(parse("\x03", 1, &c), -EPROTO);
	assert_int_equal(c.code, 77);
	assert_int_equal(ws_close_code_for(-EPROTO), 1002);
}

static void
a_forbidden_code_is_a_protocol_error(void **state)
{
	struct ws_close c;

	(void)state;
	assert_int_equal(parse("\x03\xed", 2, &c), -EPROTO);	/* 1005 */
	assert_int_equal(parse("\x00\x00", 2, &c), -EPROTO);
	assert_int_equal(parse("\x03\xed\xff", 3, &c), -EPROTO);
}

static void
a_reason_must_be_utf8(void **state)
{
	struct ws_close c;

	(void)state;
	assert_int_equal(parse("\x03\xe8\xce\xba", 4, &c), 0);
	assert_int_equal(c.code, 1000);
	assert_int_equal(c.reason_n, 2);
	assert_memory_equal(c.reason, "\xce\xba", 2);
	assert_int_equal(parse("\x03\xe8\xce", 3, &c), -EILSEQ);
	assert_int_equal(parse("\x03\xe8\xed\xa0\x80", 5, &c), -EILSEQ);
	assert_int_equal(ws_close_code_for(-EILSEQ), 1007);
}

static void
a_payload_has_at_most_125_bytes(void **state)
{
	char p[126];
	struct ws_close c;

	(void)state;
	memset(p, 'x', sizeof p);
	memcpy(p, "\x03\xe8", 2);
	assert_int_equal(parse(p, 125, &c), 0);
	assert_int_equal(c.reason_n, 123);
	assert_int_equal(parse(p, 126, &c), -EPROTO);
}

static void
encoding_cuts_the_reason_between_characters(void **state)
{
	uint8_t to[WS_CLOSE_MAX];
	struct ws_close c;
	char reason[200];
	size_t n, lead;

	(void)state;
	for (lead = 0; lead < 4; lead++) {
		memset(reason, 'x', lead);
		for (n = lead; n + 3 < sizeof reason; n += 3)
			memcpy(reason + n, "\xe2\x82\xac", 3);
		reason[n] = '\0';
		n = ws_close_encode(to, 4003, reason);
		assert_int_equal(n, 2 + lead + (123 - lead) / 3 * 3);
		assert_int_equal(ws_close_parse(to, n, &c), 0);
		assert_int_equal(c.code, 4003);
	}
	assert_int_equal(ws_close_encode(to, 1000, "ab\xff" "cd"), 4);
	assert_int_equal(ws_close_encode(to, 1000, "ab\xe2\x82"), 4);
	assert_int_equal(ws_close_encode(to, 1000, NULL), 2);
}

static void
encoding_never_writes_a_forbidden_code(void **state)
{
	uint8_t to[WS_CLOSE_MAX];
	struct ws_close c;
	unsigned code;

	(void)state;
	for (code = 0; code < 70000; code++) {
		if (code == WS_CLOSE_NONE)
			continue;
		assert_int_equal(ws_close_encode(to, code, NULL), 2);
		assert_int_equal(ws_close_parse(to, 2, &c), 0);
		assert_int_equal(c.code,
		    ws_close_code_valid(code) ? code : 1011);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_codes_for_the_wire_are_valid),
		cmocka_unit_test(an_empty_payload_has_no_code),
		cmocka_unit_test(one_byte_is_a_protocol_error),
		cmocka_unit_test(a_forbidden_code_is_a_protocol_error),
		cmocka_unit_test(a_reason_must_be_utf8),
		cmocka_unit_test(a_payload_has_at_most_125_bytes),
		cmocka_unit_test(encoding_cuts_the_reason_between_characters),
		cmocka_unit_test(encoding_never_writes_a_forbidden_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
