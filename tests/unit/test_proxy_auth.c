/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies, pins and lists of servers (client/proxy_auth.c, proxy.c, pins.c,
 * servers.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "tls/pins.h"
#include "proxy.h"
#include "servers.h"
#include "../lib/tmpdir.h"

/* RFC 7616 3.9.1 */
static void
responses_are_those_of_the_rfc(void **state)
{
	static const char md5[] = "Digest realm=\"http-auth@example.org\", "
	    "qop=\"auth, auth-int\", algorithm=MD5, "
	    "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
	    "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
	static const char sha[] = "Digest realm=\"http-auth@example.org\", "
	    "qop=\"auth, auth-int\", algorithm=SHA-256, "
	    "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
	    "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
	const struct auth_digest d = {
		.user = "Mufasa", .password = "Circle of Life",
		.method = "GET", .uri = "/dir/index.html", .nc = 1,
		.cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	};
	struct auth_challenge c = { 0 };
	char response[AUTH_RESPONSE_SIZE], value[1024];

	(void)state;
	auth_take(&c, md5);
	assert_true(c.digest && !c.sha256 && c.qop);
	assert_int_equal(auth_response(&c, &d, response), 0);
	assert_string_equal(response, "8ca523f5e9506fed4657c9700eebdbec");
	auth_take(&c, sha);
	assert_true(c.sha256);
	assert_int_equal(auth_response(&c, &d, response), 0);
	assert_string_equal(response, "753927fa0e85d155564e2e272a28d1802ca10d"
	    "af4496794697cf8db5856cb6c1");
	auth_take(&c, md5);
	assert_true(c.sha256);		/* the better one stays */
	assert_int_equal(auth_write_digest(&c, &d, value, sizeof(value)), 0);
	assert_non_null(strstr(value, "username=\"Mufasa\""));
	assert_non_null(strstr(value, "nc=00000001"));
	for (size_t cap = 0; cap < strlen(value); cap++)
		assert_int_equal(auth_write_digest(&c, &d, value, cap),
		    -EMSGSIZE);
}

static void
several_challenges_of_one_header_are_told_apart(void **state)
{
	struct auth_challenge c = { 0 };

	(void)state;
	auth_take(&c, "Negotiate, NTLM abc==, Basic realm=\"a, b=\\\"c\", "
	    "Digest realm=\"r\", nonce=\"n\", stale=true");
	assert_true(c.basic && c.digest && c.stale && !c.qop);
	assert_string_equal(c.realm, "r");
}

static void
what_we_cannot_do_is_passed_over(void **state)
{
	static const char *const bad[] = {
		"", "Digest", "Digest realm=\"r\"", "Digest nonce=\"n\"",
		"Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512",
		"Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
		"Digest realm=\"r\", nonce=\"n", "Digest realm=, nonce=\"n\"",
		"=", ",,,", "Digest \"", "Bearer x", "Digest realm=\"\\"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct auth_challenge c = { 0 };

		auth_take(&c, bad[i]);
		assert_false(c.digest || c.basic);
	}
}

static void
basic_is_refused_for_a_user_with_a_colon(void **state)
{
	char value[64];

	(void)state;
	/* RFC 7617 2 */
	assert_int_equal(auth_write_basic("Aladdin", "open sesame", value,
	    sizeof(value)), 0);
	assert_string_equal(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	assert_int_equal(auth_write_basic("a:b", "c", value, sizeof(value)),
	    -EINVAL);
	assert_int_equal(auth_write_basic("a", "b", value, 10), -EMSGSIZE);
}

static void
no_proxy_covers_names_domains_and_ports(void **state)
{
	struct url u;

	(void)state;
	assert_int_equal(url_parse("wss://gate.example.org:443", &u), 0);
	assert_true(proxy_excluded("*", &u));
	assert_true(proxy_excluded("x, example.org", &u));
	assert_true(proxy_excluded(".example.org", &u));
	assert_true(proxy_excluded("GATE.example.org:443", &u));
	assert_false(proxy_excluded("gate.example.org:8443", &u));
	assert_false(proxy_excluded("ample.org", &u));
	assert_false(proxy_excluded("", &u));
	assert_false(proxy_excluded(NULL, &u));
	assert_int_equal(url_parse("wss://[::1]:443", &u), 0);
	assert_true(proxy_excluded("[::1]", &u));
	assert_true(proxy_excluded("::1", &u));
}

static void
proxy_addresses_are_taken_apart(void **state)
{
	static const char *const bad[] = {
		"https://p", "http://", "http://u@", "http://%zz@p",
		"http://a:b%00@p", "ftp://p"
	};
	struct proxy p = { 0 };
	char why[PROXY_WHY_SIZE];

	(void)state;
	assert_int_equal(proxy_init(&p, "http://u%40x:p%3a%2F@h:81/", NULL,
	    NULL, NULL, why), 0);
	assert_string_equal(p.user, "u@x");
	assert_string_equal(p.password, "p:/");
	assert_string_equal(p.where.host, "h");
	assert_string_equal(p.where.port, "81");
	proxy_fini(&p);
	assert_int_equal(proxy_init(&p, "h", "u", "p", "digest", why), 0);
	assert_string_equal(p.where.port, "3128");
	assert_int_equal(p.allowed, PROXY_AUTH_DIGEST);
	proxy_fini(&p);
	assert_int_equal(proxy_init(&p, "none", NULL, NULL, NULL, why), 0);
	assert_false(p.used);
	assert_int_equal(proxy_init(&p, "h", NULL, NULL, "ntlm", why),
	    -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(proxy_init(&p, bad[i], NULL, NULL, NULL, why),
		    -EINVAL);
}

static int
answer(struct proxy *p, const char *text)
{
	char head[512], why[PROXY_WHY_SIZE];

	(void)snprintf(head, sizeof(head), "%s", text);
	return proxy_answer(p, head, why);
}

static void
wrong_credentials_are_not_tried_for_ever(void **state)
{
	static const char fresh[] = "HTTP/1.1 407 No\r\nProxy-Authenticate: "
	    "Digest realm=\"r\", nonce=\"n\"\r\n\r\n";
	static const char stale[] = "HTTP/1.1 407 No\r\nProxy-Authenticate: "
	    "Digest realm=\"r\", nonce=\"n\", stale=true\r\n\r\n";
	struct proxy p = { 0 };
	char why[PROXY_WHY_SIZE];

	(void)state;
	assert_int_equal(proxy_init(&p, "h", "u", "p", NULL, why), 0);
	assert_int_equal(answer(&p, fresh), -EAGAIN);
	assert_int_equal(answer(&p, stale), -EAGAIN);
	assert_int_equal(answer(&p, stale), -EACCES);
	assert_int_equal(answer(&p, fresh), -EAGAIN);
	assert_int_equal(answer(&p, fresh), -EACCES);
	assert_int_equal(answer(&p, "HTTP/1.0 200\r\n\r\n"), 0);
	assert_int_equal(answer(&p, "HTTP/1.1 502 x\r\n\r\n"), -ECONNREFUSED);
	assert_int_equal(answer(&p, "SSH-2.0\r\n\r\n"), -EPROTO);
	proxy_fini(&p);
}

static void
short_memory_leaves_no_half_proxy(void **state)
{
	struct proxy p = { 0 };
	char why[PROXY_WHY_SIZE];
	int r = -ENOMEM;

	(void)state;
	for (unsigned long k = 1; r != 0; k++) {
		(void)mem_fail_nth(k);
		r = proxy_init(&p, "http://a:b@h", "u", "p", NULL, why);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true(r == 0 || !p.used);
	}
	proxy_fini(&p);
}

/* ---- pins and servers --------------------------------------------------- */

#define PIN "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void
pins_are_base64_of_32_bytes(void **state)
{
	struct tls_pin pins[TLS_PINS_MAX];
	char many[1024] = "";

	(void)state;
	assert_int_equal(pins_parse(PIN ", ca:" PIN, pins), 2);
	assert_true(!pins[0].ca && pins[1].ca);
	assert_string_equal(pins[1].text, PIN);
	assert_int_equal(pins_parse("", pins), 0);
	assert_int_equal(pins_parse("sha256/abc=", pins), -EINVAL);
	assert_int_equal(pins_parse("md5/abc", pins), -EINVAL);
	assert_int_equal(pins_parse(PIN "x", pins), -EINVAL);
	for (int i = 0; i <= TLS_PINS_MAX; i++)
		(void)strncat(many, PIN " ", sizeof(many) - strlen(many) - 1);
	assert_int_equal(pins_parse(many, pins), -EINVAL);
}

static void
named_servers_come_first_and_own_ones_stay(void **state)
{
	struct servers s;
	char path[512];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/servers", tmpdir_make());
	assert_int_equal(servers_init(&s, "wss://a, wss://b", path), 0);
	assert_int_equal(servers_name(&s, "wss://c", path), 0);
	assert_string_equal(servers_now(&s)->host, "c");
	assert_int_equal(servers_next(&s), 0);
	assert_string_equal(servers_now(&s)->host, "a");
	assert_int_equal(servers_next(&s), 0);
	assert_int_equal(servers_next(&s), 1);
	assert_string_equal(servers_now(&s)->host, "c");
	/* Never down to plain text, and no nonsense. */
	assert_int_equal(servers_name(&s, "ws://c", path), -EINVAL);
	assert_int_equal(servers_name(&s, "wss://", path), -EINVAL);
	servers_fini(&s);
	assert_int_equal(servers_init(&s, "wss://a", path), 0);
	assert_string_equal(servers_now(&s)->host, "c");
	servers_fini(&s);
	assert_int_equal(servers_init(&s, " ,", NULL), -EINVAL);
	tmpdir_remove();
}

static void
a_kept_list_is_judged_like_one_that_a_server_names(void **state)
{
	static const char *const bad[] = { "ws://c", "wss://c ws://d", "",
	    "ftp://x", "wss://c/\033[2J\n\001 " };
	struct servers s;
	char path[512];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/servers", tmpdir_make());
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(file_write_atomic(path, bad[i],
		    strlen(bad[i]), 0600), 0);
		assert_int_equal(servers_init(&s, "wss://a", path), 1);
		assert_string_equal(servers_now(&s)->host, "a");
		assert_int_equal(servers_count(&s), 1);
		servers_fini(&s);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(servers_init(&s, "wss://a", path), 0);
		servers_fini(&s);
	}
	/* Who was given plain text may go on so. */
	assert_int_equal(file_write_atomic(path, "ws://c", 6, 0600), 0);
	assert_int_equal(servers_init(&s, "ws://a", path), 0);
	assert_string_equal(servers_now(&s)->host, "c");
	servers_fini(&s);
	tmpdir_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responses_are_those_of_the_rfc),
		cmocka_unit_test(
		    several_challenges_of_one_header_are_told_apart),
		cmocka_unit_test(what_we_cannot_do_is_passed_over),
		cmocka_unit_test(basic_is_refused_for_a_user_with_a_colon),
		cmocka_unit_test(no_proxy_covers_names_domains_and_ports),
		cmocka_unit_test(proxy_addresses_are_taken_apart),
		cmocka_unit_test(wrong_credentials_are_not_tried_for_ever),
		cmocka_unit_test(short_memory_leaves_no_half_proxy),
		cmocka_unit_test(pins_are_base64_of_32_bytes),
		cmocka_unit_test(named_servers_come_first_and_own_ones_stay),
		cmocka_unit_test(
		    a_kept_list_is_judged_like_one_that_a_server_names)
	};

	return cmocka_run_group_tests_name("proxy_auth", tests, NULL, NULL);
}
