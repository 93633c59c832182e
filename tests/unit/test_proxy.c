/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, versions 1 and 2, whole and byte by byte. */
#include "wire/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Every shorter prefix asks for more; every longer buffer gives the same. */
static int
parse(const void *p, size_t n, struct proxy_header *ret)
{
	struct proxy_header h;
	const char *why = NULL;
	uint8_t *copy;
	size_t i;
	int r = -EAGAIN, before = -EAGAIN;

	for (i = 0; i <= n; i++) {
		copy = malloc(i + 1);
		assert_non_null(copy);
		memcpy(copy, p, i);
		memset(&h, 0x55, sizeof h);
		r = proxy_parse(copy, i, &h, &why);
		free(copy);
		if (before != -EAGAIN)
			assert_int_equal(r, before);
		if (r == 0)
			assert_true(h.used <= i);
		assert_int_equal(why != NULL, r == -EPROTO);
		before = r;
	}
	if (r == 0)
		*ret = h;
	return r;
}

static int
parse_text(const char *s, struct proxy_header *ret)
{
	return parse(s, strlen(s), ret);
}

static void
expect_inet(const struct sockaddr_storage *ss, const char *text)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)ss;
	char host[INET6_ADDRSTRLEN], got[80];

	if (ss->ss_family == AF_INET) {
		inet_ntop(AF_INET, &in4->sin_addr, host, sizeof host);
		snprintf(got, sizeof got, "%s %u", host,
		    ntohs(in4->sin_port));
	} else {
		assert_int_equal(ss->ss_family, AF_INET6);
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
		snprintf(got, sizeof got, "%s %u", host,
		    ntohs(in6->sin6_port));
	}
	assert_string_equal(got, text);
}

static void
v1_gives_addresses_of_both_families(void **state)
{
	struct proxy_header h;
	char line[PROXY_V1_MAX + 1];

	(void)state;
	assert_int_equal(parse_text("PROXY TCP4 192.0.2.1 198.51.100.7 "
	    "56324 443\r\nGET", &h), 0);
	assert_int_equal(h.used, 45);
	assert_int_equal(h.version, 1);
	assert_true(h.known);
	assert_false(h.local);
	expect_inet(&h.source, "192.0.2.1 56324");
	expect_inet(&h.destination, "198.51.100.7 443");
	assert_int_equal(parse_text("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n",
	    &h), 0);
	expect_inet(&h.source, "2001:db8::1 0");
	expect_inet(&h.destination, "::1 65535");
	/* The longest of TCP6 that the specification counts. */
	snprintf(line, sizeof line, "PROXY TCP6 %s %s 65535 65535\r\n",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	assert_int_equal(parse_text(line, &h), 0);
	assert_int_equal(h.used, 104);
}

static void
v1_unknown_ignores_the_rest_of_its_line(void **state)
{
	struct proxy_header h;

	(void)state;
	assert_int_equal(parse_text("PROXY UNKNOWN\r\n", &h), 0);
	assert_int_equal(h.used, 15);
	assert_false(h.known);
	assert_int_equal(parse_text("PROXY UNKNOWN ff:: what ever\r\n", &h),
	    0);
	assert_false(h.known);
}

static void
v1_is_read_strictly(void **state)
{
	static const char *const wrong[] = {
		"GET / HTTP/1.1\r\n", "PROXX", "proxy TCP4",
		"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4\r\n",
		"PROXY \r\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 999999\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
		"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx",
		"PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
	};
	struct proxy_header h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (parse_text(wrong[i], &h) != -EPROTO)
			fail_msg("accepted: %s", wrong[i]);
	}
	assert_int_equal(parse("PROXY UNKNOWN\0\r\n", 16, &h), -EPROTO);
}

static void
v1_has_at_most_107_bytes(void **state)
{
	struct proxy_header h;
	char line[200];

	(void)state;
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(parse(line, sizeof line, &h), 0);
	assert_int_equal(h.used, 107);
	memcpy(line + 105, "x\r\n", 3);
	assert_int_equal(parse(line, 106, &h), -EAGAIN);
	assert_int_equal(parse(line, 107, &h), -EPROTO);
	assert_int_equal(parse(line, sizeof line, &h), -EPROTO);
}

struct v2 {
	size_t n;
	uint8_t p[8192];
};

static void
v2_start(struct v2 *v, unsigned command, unsigned family)
{
	memset(v, 0, sizeof *v);
	memcpy(v->p, SIGNATURE, 12);
	v->p[12] = (uint8_t)command;
	v->p[13] = (uint8_t)family;
	v->n = 16;
}

static void
v2_add(struct v2 *v, const void *p, size_t n)
{
	memmove(v->p + v->n, p, n);
	v->n += n;
	v->p[14] = (uint8_t)((v->n - 16) >> 8);
	v->p[15] = (uint8_t)(v->n - 16);
}

#define INET4 "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"

static void
v2_gives_addresses_of_all_stream_families(void **state)
{
	struct proxy_header h;
	struct sockaddr_un *un = (struct sockaddr_un *)&h.source;
	uint8_t a[216] = { 0 };
	struct v2 v;

	(void)state;
	v2_start(&v, 0x21, 0x11);
	v2_add(&v, INET4, 12);
	assert_int_equal(parse(v.p, v.n + 20, &h), 0);
	assert_int_equal(h.used, 28);
	assert_int_equal(h.version, 2);
	assert_true(h.known);
	expect_inet(&h.source, "192.0.2.1 56324");
	expect_inet(&h.destination, "198.51.100.7 443");

	v2_start(&v, 0x21, 0x21);
	a[15] = 1;
	a[16] = 0x20;
	a[17] = 1;
	a[31] = 2;
	a[33] = 80;
	a[34] = 1;
	v2_add(&v, a, 36);
	assert_int_equal(parse(v.p, v.n, &h), 0);
	expect_inet(&h.source, "::1 80");
	expect_inet(&h.destination, "2001::2 256");

	v2_start(&v, 0x21, 0x31);
	memset(a, 0, sizeof a);
	memcpy(a, "/run/a", 6);
	v2_add(&v, a, 216);
	assert_int_equal(parse(v.p, v.n, &h), 0);
	assert_int_equal(h.source.ss_family, AF_UNIX);
	assert_string_equal(un->sun_path, "/run/a");
}

static void
v2_local_and_unspec_discard_everything(void **state)
{
	struct proxy_header h;
	struct v2 v;

	(void)state;
	v2_start(&v, 0x20, 0x00);
	assert_int_equal(parse(v.p, v.n, &h), 0);
	assert_true(h.local);
	assert_false(h.known);
	assert_int_equal(h.used, 16);
	v2_start(&v, 0x20, 0x11);
	v2_add(&v, "xy", 2);
	assert_int_equal(parse(v.p, v.n, &h), 0);
	assert_true(h.local);
	assert_int_equal(h.used, 18);
	v2_start(&v, 0x21, 0x00);
	v2_add(&v, "\x04\xff\xff", 3);
	assert_int_equal(parse(v.p, v.n, &h), 0);
	assert_false(h.local);
	assert_false(h.known);
}

static void
v2_refuses_what_is_not_a_stream_or_not_version_2(void **state)
{
	static const unsigned wrong[][2] = { { 0x11, 0x11 }, { 0x31, 0x11 },
	    { 0x22, 0x11 }, { 0x2f, 0 }, { 0x21, 0x12 }, { 0x21, 0x22 },
	    { 0x21, 0x32 }, { 0x21, 0x01 }, { 0x21, 0x10 }, { 0x21, 0x41 } };
	struct proxy_header h;
	struct v2 v;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		v2_start(&v, wrong[i][0], wrong[i][1]);
		v2_add(&v, INET4, 12);
		assert_int_equal(parse(v.p, v.n, &h), -EPROTO);
		assert_int_equal(parse(v.p, 14, &h), -EPROTO);
	}
	v2_start(&v, 0x21, 0x11);
	v.p[11] = 'x';
	assert_int_equal(parse(v.p, 12, &h), -EPROTO);
}

static void
v2_checks_its_lengths(void **state)
{
	struct proxy_header h;
	struct v2 v;

	(void)state;
	v2_start(&v, 0x21, 0x11);
	v2_add(&v, INET4, 11);
	assert_int_equal(parse(v.p, v.n, &h), -EPROTO);
	v2_start(&v, 0x21, 0x21);
	v2_add(&v, v.p, 35);
	assert_int_equal(parse(v.p, v.n, &h), -EPROTO);
	v2_start(&v, 0x20, 0);
	v2_add(&v, v.p + 100, PROXY_V2_MAX - 16);
	assert_int_equal(parse(v.p, v.n, &h), 0);
	assert_int_equal(h.used, PROXY_V2_MAX);
	v2_start(&v, 0x20, 0);
	v2_add(&v, v.p + 100, PROXY_V2_MAX - 15);
	assert_int_equal(parse(v.p, 16, &h), -EPROTO);
}

static int
parse_with_tlvs(const void *tlvs, size_t n)
{
	struct proxy_header h;
	struct v2 v;

	v2_start(&v, 0x21, 0x11);
	v2_add(&v, INET4, 12);
	v2_add(&v, tlvs, n);
	return parse(v.p, v.n, &h);
}

static void
v2_tlvs_must_fit(void **state)
{
	(void)state;
	assert_int_equal(parse_with_tlvs("\x04\x00\x00", 3), 0);
	assert_int_equal(parse_with_tlvs("\x01\x00\x02h2\xe0\x00\x01x", 9), 0);
	assert_int_equal(parse_with_tlvs("\x04", 1), -EPROTO);
	assert_int_equal(parse_with_tlvs("\x04\x00", 2), -EPROTO);
	assert_int_equal(parse_with_tlvs("\x04\x00\x01", 3), -EPROTO);
	assert_int_equal(parse_with_tlvs("\x04\x00\x00\x04\xff\xff", 6),
	    -EPROTO);
}

/* By the definition, one bit after the other (RFC 3720 B.4 polynomial). */
static uint32_t
slow_crc32c(const uint8_t *p, size_t n)
{
	uint32_t crc = 0xffffffff;
	size_t i;

	for (i = 0; i < n * 8; i++) {
		uint32_t bit = (crc ^ (uint32_t)(p[i / 8] >> i % 8)) & 1;

		crc >>= 1;
		if (bit)
			crc ^= 0x82f63b78;
	}
	return ~crc;
}

static void
v2_crc32c_is_verified(void **state)
{
	struct proxy_header h;
	struct v2 v;
	uint32_t crc;
	size_t i;

	(void)state;
	assert_int_equal(slow_crc32c((const uint8_t *)"123456789", 9),
	    0xe3069283);
	v2_start(&v, 0x21, 0x11);
	v2_add(&v, INET4, 12);
	v2_add(&v, "\x03\x00\x04\0\0\0\0\x04\x00\x02zz", 12);
	crc = slow_crc32c(v.p, v.n);
	for (i = 0; i < 4; i++)
		v.p[31 + i] = (uint8_t)(crc >> (24 - 8 * i));
	assert_int_equal(parse(v.p, v.n, &h), 0);
	expect_inet(&h.source, "192.0.2.1 56324");
	for (i = 16; i < v.n; i++) {
		if (i >= 28 && i < 31)
			continue;	/* the TLV's own frame */
		v.p[i] ^= 0x10;
		assert_int_equal(parse(v.p, v.n, &h), -EPROTO);
		v.p[i] ^= 0x10;
	}
	assert_int_equal(parse_with_tlvs("\x03\x00\x03\0\0\0", 6), -EPROTO);
	assert_int_equal(parse_with_tlvs(
	    "\x03\x00\x04\0\0\0\0\x03\x00\x04\0\0\0\0", 14), -EPROTO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_gives_addresses_of_both_families),
		cmocka_unit_test(v1_unknown_ignores_the_rest_of_its_line),
		cmocka_unit_test(v1_is_read_strictly),
		cmocka_unit_test(v1_has_at_most_107_bytes),
		cmocka_unit_test(v2_gives_addresses_of_all_stream_families),
		cmocka_unit_test(v2_local_and_unspec_discard_everything),
		cmocka_unit_test(
		    v2_refuses_what_is_not_a_stream_or_not_version_2),
		cmocka_unit_test(v2_checks_its_lengths),
		cmocka_unit_test(v2_tlvs_must_fit),
		cmocka_unit_test(v2_crc32c_is_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
