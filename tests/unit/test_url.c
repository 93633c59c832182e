/* SPDX-License-Identifier: Apache-2.0 */
/* Server addresses as people write them (client/url.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "url.h"

static void
good_addresses_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *host, *port, *path, *header;
		bool tls;
	} good[] = {
		{ "gate.example", "gate.example", "8443", "/v1/channel",
		    "gate.example:8443", true },
		{ "wss://gate.example", "gate.example", "443",
		    "/v1/channel", "gate.example:443", true },
		{ "ws://[::1]/x", "::1", "80", "/x", "[::1]:80", false },
		{ "gate.example:443", "gate.example", "443", "/v1/channel",
		    "gate.example:443", true },
		{ "wss://[2001:db8::1]:1/x/y?z=1", "2001:db8::1", "1",
		    "/x/y?z=1", "[2001:db8::1]:1", true },
		{ "ws://127.0.0.1:80/", "127.0.0.1", "80", "/v1/channel",
		    "127.0.0.1:80", false }
	};
	char header[272];
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(url_parse(good[i].text, &u), 0);
		assert_string_equal(u.host, good[i].host);
		assert_string_equal(u.port, good[i].port);
		assert_string_equal(u.path, good[i].path);
		assert_int_equal(u.tls, good[i].tls);
		url_host_header(&u, header);
		assert_string_equal(header, good[i].header);
	}
}

static void
anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "wss://", "https://h", "wss://h:", "wss://h:0",
		"wss://a\x7f", "wss://a\001", "wss://[[]", "wss://h/\033",
		"wss://h:65536", "wss://h:8x", "wss://h:-1", "wss://[::1",
		"wss://[::1]x", "wss://u@h", "wss://h/a b", "wss://h/\r\nX: y",
		"wss://h h", "://h", "wss://h:123456"
	};
	struct url u;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url_parse(bad[i], &u) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_addresses_are_taken_apart),
		cmocka_unit_test(anything_else_is_refused)
	};

	return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
