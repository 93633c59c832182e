/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON writer (core/base/json_out.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json_out.h"

static uint8_t area[512];
static struct outbuf out;
static struct json_out j;

static void
begin(size_t cap)
{
	memset(area, 'G', sizeof(area));
	out = (struct outbuf){ area, 0, cap };
	jout_init(&j, &out);
}

static void
wrote(const char *text)
{
	assert_true(jout_ok(&j));
	assert_int_equal(out.n, strlen(text));
	assert_memory_equal(area, text, out.n);
}

static void
commas_come_by_themselves(void **state)
{
	(void)state;
	begin(sizeof(area));
	jout_object(&j, NULL);
	jout_string(&j, "s", "x");
	jout_uint(&j, "u", UINT64_MAX);
	jout_array(&j, "a");
	jout_uint(&j, NULL, 1);
	jout_uint(&j, NULL, 20);
	jout_object(&j, NULL);
	jout_object_end(&j);
	jout_array(&j, NULL);
	jout_array_end(&j);
	jout_array_end(&j);
	jout_raw(&j, "r", "null", 4);
	jout_uint(&j, "z", 0);
	jout_object_end(&j);
	wrote("{\"s\":\"x\",\"u\":18446744073709551615,"
	    "\"a\":[1,20,{},[]],\"r\":null,\"z\":0}");
}

static void
string_is(const char *s, size_t n, const char *want)
{
	begin(sizeof(area));
	jout_string_n(&j, NULL, s, n);
	wrote(want);
}

static void
strings_are_escaped_by_rfc_8259(void **state)
{
	(void)state;
	string_is("a\"\\/\b\f\n\r\t\0\x1f\x7f", 12,
	    "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"");
	string_is("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9,
	    "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
	begin(sizeof(area));
	jout_object(&j, NULL);
	jout_uint(&j, "k\"\xff", 1);
	jout_object_end(&j);
	wrote("{\"k\\\"\xef\xbf\xbd\":1}");
}

#define R "\xef\xbf\xbd"

static void
bytes_that_are_not_utf8_are_replaced(void **state)
{
	(void)state;
	string_is("a\x80z", 3, "\"a" R "z\"");
	string_is("\xc0\xaf", 2, "\"" R R "\"");
	string_is("\xe2\x82", 2, "\"" R "\"");
	string_is("\xe2\x82z", 3, "\"" R "z\"");
	string_is("\xed\xa0\x80", 3, "\"" R R R "\"");
	string_is("\xf0\x80\x80\x80", 4, "\"" R R R R "\"");
	string_is("\xf4\x90\x80\x80", 4, "\"" R R R R "\"");
	string_is("\xf1\x80\x80\xe1\x80\xc2\x62", 7, "\"" R R R "b\"");
	string_is("\xf5\xff", 2, "\"" R R "\"");
	string_is("\xef\xbf\xbf\xf4\x8f\xbf\xbf", 7,
	    "\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\"");
}

static void
times_and_bytes_have_one_form(void **state)
{
	(void)state;
	begin(200);
	jout_object(&j, NULL);
	jout_time(&j, "t", 1763680660123);
	jout_hex(&j, "h", "\x00\xab\xff", 3);
	jout_hex(&j, "e", "", 0);
	jout_object_end(&j);
	assert_true(jout_ok(&j));
	wrote("{\"t\":\"2025-11-20T23:17:40.123Z\",\"h\":\"00abff\","
	    "\"e\":\"\"}");
}

static void
running_out_of_room_is_remembered(void **state)
{
	size_t whole = strlen("{\"key\":\"va\\nlue\",\"n\":12}");

	(void)state;
	for (size_t cap = 0; cap <= whole; cap++) {
		begin(cap);
		jout_object(&j, NULL);
		jout_string(&j, "key", "va\nlue");
		jout_uint(&j, "n", 12);
		jout_object_end(&j);
		assert_int_equal(jout_ok(&j), cap == whole);
		assert_true(out.n <= cap);
		assert_int_equal(area[cap], 'G');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commas_come_by_themselves),
		cmocka_unit_test(strings_are_escaped_by_rfc_8259),
		cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
		cmocka_unit_test(times_and_bytes_have_one_form),
		cmocka_unit_test(running_out_of_room_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
