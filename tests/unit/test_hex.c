/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void
digits_are_read_as_they_are_written(void **state)
{
	uint8_t v[3];
	char text[7];

	(void)state;
	assert_int_equal(hex_read("00aBfF", v, 3), 0);
	hex_write(v, 3, text);
	assert_string_equal(text, "00abff");
	hex_write(v, 0, text);
	assert_string_equal(text, "");
	for (int c = 0; c < 256; c++)
		assert_true((hex_value((char)c) >= 0) == (c != 0 &&
		    strchr("0123456789abcdefABCDEF", c) != NULL));
}

static void
a_digit_too_few_or_too_many_is_refused(void **state)
{
	uint8_t v[3];

	(void)state;
	assert_int_equal(hex_read("00aBf", v, 3), -EINVAL);
	assert_int_equal(hex_read("00aBfF0", v, 3), -EINVAL);
	assert_int_equal(hex_read("00aBfg", v, 3), -EINVAL);
	assert_int_equal(hex_read(" 0aBff", v, 3), -EINVAL);
	assert_int_equal(hex_read("", v, 0), 0);
	assert_int_equal(hex_read("00", v, 0), -EINVAL);
}

static void
a_fingerprint_may_have_colons_and_blanks(void **state)
{
	static const char *const good[] = { "00:aB:fF", "00 ab ff", "00abff",
	    " 00abff\r\n", "0:0ab:ff:" };
	uint8_t v[3], longer[4];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(v, 0x55, sizeof(v));
		assert_int_equal(hex_read_print(good[i], v, 3), 3);
		assert_memory_equal(v, "\x00\xab\xff", 3);
	}
	assert_int_equal(hex_read_print("00:ab:ff", longer, 4), 3);
	assert_int_equal(hex_read_print("00:ab:ff:0", longer, 4), 0);
	assert_int_equal(hex_read_print("00:ab:ff:01", v, 3), 0);
	assert_int_equal(hex_read_print("00-ab-ff", v, 3), 0);
	assert_int_equal(hex_read_print("", v, 3), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits_are_read_as_they_are_written),
		cmocka_unit_test(a_digit_too_few_or_too_many_is_refused),
		cmocka_unit_test(a_fingerprint_may_have_colons_and_blanks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
