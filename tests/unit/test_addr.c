/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and ranges (core/base/addr.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/addr.h"

static void
addresses_survive_the_way_there_and_back(void **state)
{
	static const char *const same[] = { "127.0.0.1:80", "[::1]:8443",
	    "0.0.0.0:0", "[2001:db8::1]:65535", "unix:/run/x.sock", "[::]:1" };
	struct sockaddr_storage ss;
	char text[ADDR_TEXT_SIZE];
	unsigned len;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(addr_parse(same[i], &ss, &len), 0);
		assert_string_equal(addr_text((struct sockaddr *)&ss, text),
		    same[i]);
	}
	assert_int_equal(addr_parse("*:80", &ss, &len), 0);
	assert_int_equal(ss.ss_family, AF_INET6);
	assert_string_equal(addr_text((struct sockaddr *)&ss, text),
	    "[::]:80");
	assert_int_equal(addr_parse("[::ffff:192.0.2.1]:80", &ss, &len), 0);
	assert_string_equal(addr_text((struct sockaddr *)&ss, text),
	    "192.0.2.1:80");
}

static void
anything_else_is_refused_untouched(void **state)
{
	static const char *const bad[] = { "", ":", ":80", "127.0.0.1",
	    "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:080", "127.0.0.1:+1",
	    "127.0.0.1: 80", "127.0.0.1:80 ", "127.1:80", "0177.0.0.1:80",
	    "localhost:80", "::1:80", "[::1]", "[::1:80", "::1]:80",
	    "[127.0.0.1]:80", "[]:80", "unix:", "unix:relative", "**:80",
	    "127.0.0.1:99999999999999999999",
	    "[00000000000000000000000000000000000000000000000000000001]:80" };
	struct sockaddr_storage ss;
	unsigned len = 77;

	(void)state;
	memset(&ss, 'x', sizeof(ss));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_parse(bad[i], &ss, &len), -EINVAL);
	assert_int_equal(len, 77);
	assert_int_equal(((char *)&ss)[0], 'x');
}

static void
a_unix_path_has_a_limit(void **state)
{
	char text[5 + 109] = "unix:/", out[ADDR_TEXT_SIZE];
	struct sockaddr_storage ss;
	unsigned len;

	(void)state;
	memset(text + 6, 'p', 106);
	assert_int_equal(strlen(text) - 5, 107);
	assert_int_equal(addr_parse(text, &ss, &len), 0);
	assert_int_equal(len, sizeof(struct sockaddr_un));
	assert_string_equal(addr_text((struct sockaddr *)&ss, out), text);
	text[112] = 'p';
	assert_int_equal(addr_parse(text, &ss, &len), -ENAMETOOLONG);
}

static struct addr
host(const char *text)
{
	struct sockaddr_storage ss;
	struct addr a;
	unsigned len;

	assert_int_equal(addr_parse(text, &ss, &len), 0);
	addr_of((struct sockaddr *)&ss, &a);
	return a;
}

static void
a_host_has_no_port_and_one_form(void **state)
{
	struct addr a = host("192.0.2.1:5"), b = host("[::ffff:192.0.2.1]:6");
	struct sockaddr_un unnamed = { .sun_family = AF_UNIX };
	char text[ADDR_TEXT_SIZE];

	(void)state;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_string_equal(addr_host_text(&a, text), "192.0.2.1");
	a = host("[2001:db8::1]:6");
	assert_string_equal(addr_host_text(&a, text), "2001:db8::1");
	a = host("unix:/x");
	assert_string_equal(addr_host_text(&a, text), "unix");
	assert_string_equal(addr_text((struct sockaddr *)&unnamed, text),
	    "unix");
	assert_int_equal(addr_host_length("192.0.2.1:5"), 9);
	assert_int_equal(addr_host_length("[2001:db8::1]:6"), 13);
	assert_int_equal(addr_host_length("unix"), 4);
	assert_int_equal(addr_host_length("unix:/x"), 7);
}

static bool
is_loop(const char *text)
{
	struct addr a = host(text);

	return addr_is_loopback(&a);
}

static void
loopback_is_127_8_and_1_and_unix(void **state)
{
	(void)state;
	assert_true(is_loop("127.0.0.1:1"));
	assert_true(is_loop("127.255.0.9:1"));
	assert_true(is_loop("[::1]:1"));
	assert_true(is_loop("[::ffff:127.0.0.1]:1"));
	assert_true(is_loop("unix:/x"));
	assert_false(is_loop("128.0.0.1:1"));
	assert_false(is_loop("[::2]:1"));
}

static bool
has(const char *range, const char *text)
{
	struct addr_range r;
	struct addr a = host(text);

	assert_int_equal(addr_range_parse(range, &r), 0);
	return addr_range_has(&r, &a);
}

static void
ranges_hold_what_they_say(void **state)
{
	(void)state;
	assert_true(has("192.0.2.0/24", "192.0.2.255:1"));
	assert_false(has("192.0.2.0/24", "192.0.3.0:1"));
	assert_true(has("192.0.2.77/24", "192.0.2.1:1"));
	assert_true(has("10.0.0.0/9", "10.127.0.1:1"));
	assert_false(has("10.0.0.0/9", "10.128.0.1:1"));
	assert_true(has("192.0.2.1", "192.0.2.1:1"));
	assert_false(has("192.0.2.1", "192.0.2.2:1"));
	assert_true(has("2001:db8::/33", "[2001:db8:7fff::1]:1"));
	assert_false(has("2001:db8::/33", "[2001:db8:8000::1]:1"));
	assert_true(has("0.0.0.0/0", "8.8.8.8:1"));
	assert_true(has("0.0.0.0/0", "[::ffff:8.8.8.8]:1"));
	assert_false(has("0.0.0.0/0", "[2001:db8::1]:1"));
	assert_true(has("::/0", "[2001:db8::1]:1"));
	assert_false(has("::/0", "8.8.8.8:1"));
	assert_false(has("::/0", "unix:/x"));
	assert_true(has("unix", "unix:/x"));
	assert_false(has("unix", "127.0.0.1:1"));
}

static void
bad_ranges_are_refused(void **state)
{
	static const char *const bad[] = { "", "/", "/8", "10.0.0.0/",
	    "10.0.0.0/33", "10.0.0.0/08", "10.0.0/8", "::/129", "::/-1",
	    "unix/8", "10.0.0.0/8/8", "10.0.0.0/8 ", "a.example" };
	struct addr_range r;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_range_parse(bad[i], &r), -EINVAL);
}

static void
mac_addresses_are_six_pairs_with_one_kind_of_mark(void **state)
{
	static const char *const bad[] = { "", "0", "00:11:22:33:44",
		"00:11:22:33:44:5", "00:11:22:33:44:55:66", "0:011:22:33:44:55",
		"g0:11:22:33:44:55", ":001122334455", "001122334455:",
		"00:11:22:33:44:55:", "00::11:22:33:44:55", "00:11-22:33:44:55",
		"0011:22:33:44:55", "00:11:22:33:4455", "00.11.22.33.44.55" };
	static const char *const good[] = { "001122aabbcc", "001122AABBCC",
		"00:11:22:AA:bb:cc", "00-11-22-aa-BB-cc" };
	uint8_t mac[6] = { 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(addr_mac_parse(bad[i], mac));
	assert_int_equal(mac[0], 7);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(mac, 7, sizeof(mac));
		assert_true(addr_mac_parse(good[i], mac));
		assert_memory_equal(mac, "\x00\x11\x22\xaa\xbb\xcc", 6);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_survive_the_way_there_and_back),
		cmocka_unit_test(anything_else_is_refused_untouched),
		cmocka_unit_test(a_unix_path_has_a_limit),
		cmocka_unit_test(a_host_has_no_port_and_one_form),
		cmocka_unit_test(loopback_is_127_8_and_1_and_unix),
		cmocka_unit_test(ranges_hold_what_they_say),
		cmocka_unit_test(bad_ranges_are_refused),
		cmocka_unit_test(
		    mac_addresses_are_six_pairs_with_one_kind_of_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
