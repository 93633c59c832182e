/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/hex.h"

static void
test_known_hashes(void **state)
{
	/* FIPS 180-4, the examples "abc" and the empty message. */
	uint8_t h[32];
	char hex[65];

	(void)state;
	assert_int_equal(digest_sha256("abc", 3, h), 0);
	hex_write(h, 32, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(digest_sha256(NULL, 0, h), 0);
	hex_write(h, 32, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855");
	assert_int_equal(digest_sha1("abc", 3, h), 0);
	hex_write(h, 20, hex);
	assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
	assert_int_equal(digest_sha1(NULL, 0, h), 0);
	hex_write(h, 20, hex);
	assert_string_equal(hex, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

static void
test_base64(void **state)
{
	/* RFC 4648 section 10. */
	static const char *const pairs[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfb", "//77"},
		{"\xfb\xf0", "+/A="},
	};
	char text[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		digest_base64(pairs[i][0], strlen(pairs[i][0]), text);
		assert_string_equal(text, pairs[i][1]);
	}
}

static void
test_random_and_equal(void **state)
{
	uint8_t a[32] = {0}, b[32] = {0};

	(void)state;
	assert_true(digest_equal(a, b, 32));
	assert_int_equal(digest_random(a, 32), 0);
	assert_int_equal(digest_random(b, 32), 0);
	assert_false(digest_equal(a, b, 32));
	assert_true(digest_equal(a, b, 0));
	assert_int_equal(digest_random(NULL, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_hashes),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_random_and_equal),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
