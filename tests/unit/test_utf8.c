/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 (RFC 3629 section 4): every sequence of up to four bytes is judged as a
 * decoder that works by numbers judges it, however it is cut.
 */
#include "wire/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Length of the character at p, or 0: by decoding, not by ranges of bytes. */
static size_t
decode(const uint8_t *p, size_t n)
{
	static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len, i;
	uint32_t v;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	len = p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 :
	    p[0] >> 3 == 30 ? 4 : 0;
	if (len == 0 || len > n)
		return 0;
	v = p[0] & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		v = v << 6 | (p[i] & 0x3fu);
	}
	if (v < smallest[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	return len;
}

static bool
decodes(const uint8_t *p, size_t n)
{
	size_t at = 0, len;

	while (at < n) {
		len = decode(p + at, n - at);
		if (len == 0)
			return false;
		at += len;
	}
	return true;
}

static void
every_two_and_three_byte_string_is_judged_like_a_decoder(void **state)
{
	uint8_t b[3];
	unsigned i;

	(void)state;
	for (i = 0; i < 1u << 24; i++) {
		b[0] = (uint8_t)(i >> 16);
		b[1] = (uint8_t)(i >> 8);
		b[2] = (uint8_t)i;
		if (utf8_valid(b, 3) != decodes(b, 3))
			fail_msg("%02x %02x %02x", b[0], b[1], b[2]);
		if (b[2] == 0 && utf8_valid(b, 2) != decodes(b, 2))
			fail_msg("%02x %02x", b[0], b[1]);
	}
}

static void
four_byte_strings_of_edge_bytes_are_judged_like_a_decoder(void **state)
{
	static const uint8_t edge[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
	    0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf3,
	    0xf4, 0xf5, 0xff };
	uint8_t b[4];
	unsigned i;

	(void)state;
	for (i = 0; i < 256u * 20 * 20 * 20; i++) {
		b[0] = (uint8_t)(i / 8000);
		b[1] = edge[i / 400 % 20];
		b[2] = edge[i / 20 % 20];
		b[3] = edge[i % 20];
		if (utf8_valid(b, 4) != decodes(b, 4))
			fail_msg("%02x %02x %02x %02x", b[0], b[1], b[2], b[3]);
	}
}

static void
the_first_impossible_byte_stops_it(void **state)
{
	static const struct {
		const char *text;
		size_t at;
	} cases[] = {
		{ "a\x80", 1 }, { "\xc0\x80", 0 }, { "\xc1\xbf", 0 },
		{ "\xe0\x9f\xbf", 1 }, { "\xed\xa0\x80", 1 },
		{ "\xf0\x8f\xbf\xbf", 1 }, { "\xf4\x90\x80\x80", 1 },
		{ "\xf5", 0 }, { "\xff", 0 }, { "\xfe", 0 },
		{ "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 12 },
		{ "0123456789abcdef0123456789abcdef0123\xe2\x82x", 38 },
	};
	size_t i, n, cut, got;
	struct utf8 u;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		n = strlen(cases[i].text);
		for (cut = 0; cut <= cases[i].at; cut++) {
			memset(&u, 0, sizeof u);
			got = utf8_feed(&u,
			    (const uint8_t *)cases[i].text, cut);
			assert_int_equal(got, cut);
			got += utf8_feed(&u,
			    (const uint8_t *)cases[i].text + cut, n - cut);
			assert_int_equal(got, cases[i].at);
		}
	}
}

static void
noncharacters_are_text(void **state)
{
	(void)state;
	assert_true(utf8_valid((const uint8_t *)"\xef\xbf\xbe", 3));
	assert_true(utf8_valid((const uint8_t *)"\xef\xbf\xbf", 3));
	assert_true(utf8_valid((const uint8_t *)"\xf4\x8f\xbf\xbf", 4));
	assert_true(utf8_valid((const uint8_t *)"\0", 1));
	assert_true(utf8_valid((const uint8_t *)"", 0));
}

static void
a_text_does_not_end_inside_a_character(void **state)
{
	struct utf8 u = { 0 };

	(void)state;
	assert_false(utf8_valid((const uint8_t *)"a\xe2\x82", 3));
	assert_int_equal(utf8_feed(&u, (const uint8_t *)"\xe2", 1), 1);
	assert_false(utf8_complete(&u));
	assert_int_equal(utf8_feed(&u, (const uint8_t *)"\x82\xac", 2), 2);
	assert_true(utf8_complete(&u));
}

/* Long strings, so that runs of ASCII of every length and alignment occur. */
static void
random_text_is_judged_alike_whole_and_cut(void **state)
{
	uint8_t b[200];
	size_t n, i, at, step, got, whole;
	struct utf8 u;
	int round;

	(void)state;
	srandom(1);
	for (round = 0; round < 100000; round++) {
		n = (size_t)random() % sizeof b;
		for (i = 0; i < n; i++)
			b[i] = (uint8_t)(random() % 128);
		if (round % 2 && n > 4) {
			i = (size_t)random() % (n - 4);
			memcpy(b + i, "\xf0\x9f\x98\x80", 4);
		}
		if (round % 3 == 0 && n > 0)
			b[(size_t)random() % n] = (uint8_t)random();
		memset(&u, 0, sizeof u);
		whole = utf8_feed(&u, b, n);
		assert_int_equal(whole == n && utf8_complete(&u),
		    decodes(b, n));
		memset(&u, 0, sizeof u);
		for (at = 0; at < n; at += got) {
			step = 1 + (size_t)random() % 9;
			if (step > n - at)
				step = n - at;
			got = utf8_feed(&u, b + at, step);
			if (got < step) {
				at += got;
				break;
			}
		}
		assert_int_equal(at, whole);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_two_and_three_byte_string_is_judged_like_a_decoder),
		cmocka_unit_test(
		    four_byte_strings_of_edge_bytes_are_judged_like_a_decoder),
		cmocka_unit_test(the_first_impossible_byte_stops_it),
		cmocka_unit_test(noncharacters_are_text),
		cmocka_unit_test(a_text_does_not_end_inside_a_character),
		cmocka_unit_test(random_text_is_judged_alike_whole_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
