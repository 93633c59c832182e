/* SPDX-License-Identifier: Apache-2.0 */
/* The allow list for Origin, RFC 6454. */
#include "wire/ws_origin.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/header_text.h"

static int
check(const char *text, const char *const *allowed)
{
	static struct header_text h;

	header_text_set(&h, text);
	return ws_origin_check(&h.headers, allowed);
}

static const char *const some[] = { "https://Admin.Example.com",
    "http://127.0.0.1:8080", "https://[2001:DB8::1]:444", "app://x", NULL };
static const char *const only_null[] = { "null", NULL };
static const char *const none[] = { NULL };

static void
no_origin_is_no_browser(void **state)
{
	(void)state;
	assert_int_equal(check("Host: a", NULL), 0);
	assert_int_equal(check("Host: a", none), 0);
}

static void
an_origin_must_be_listed(void **state)
{
	(void)state;
	assert_int_equal(check("Origin: https://a.example", NULL), -EACCES);
	assert_int_equal(check("Origin: https://a.example", none), -EACCES);
	assert_int_equal(check("Origin: https://a.example", some), -EACCES);
	assert_int_equal(check("Origin: app://x", some), 0);
}

static void
scheme_host_and_port_all_count(void **state)
{
	(void)state;
	assert_int_equal(check("Origin: HTTPS://admin.example.COM", some), 0);
	assert_int_equal(check("Origin: https://admin.example.com:443", some),
	    0);
	assert_int_equal(check("Origin: https://admin.example.com:444", some),
	    -EACCES);
	assert_int_equal(check("Origin: http://admin.example.com", some),
	    -EACCES);
	assert_int_equal(check("Origin: http://admin.example.com:443", some),
	    -EACCES);
	assert_int_equal(check("Origin: https://example.com", some), -EACCES);
	assert_int_equal(check("Origin: https://admin.example.com.evil", some),
	    -EACCES);
	assert_int_equal(check("Origin: https://evil-admin.example.com", some),
	    -EACCES);
	assert_int_equal(check("Origin: http://127.0.0.1:8080", some), 0);
	assert_int_equal(check("Origin: http://127.0.0.1", some), -EACCES);
	assert_int_equal(check("Origin: https://[2001:db8::1]:444", some), 0);
}

static void
null_must_be_listed_as_null(void **state)
{
	(void)state;
	assert_int_equal(check("Origin: null", some), -EACCES);
	assert_int_equal(check("Origin: null", only_null), 0);
	assert_int_equal(check("Origin: NULL", only_null), -EACCES);
	assert_int_equal(check("Origin: https://null", only_null), -EACCES);
}

static void
what_is_not_one_origin_is_refused(void **state)
{
	static const char *const wrong[] = { "Origin: ", "Origin: app://",
	    "Origin: https://admin.example.com/",
	    "Origin: https://admin.example.com/path",
	    "Origin: https://admin.example.com https://x.example",
	    "Origin: https://me@admin.example.com",
	    "Origin: https://admin.example.com:",
	    "Origin: https://admin.example.com:0443",
	    "Origin: https://admin.example.com:99999",
	    "Origin: https:/admin.example.com",
	    "Origin: admin.example.com", "Origin: ://admin.example.com",
	    "Origin: 1https://admin.example.com", "Origin: https://[2001:db8",
	    "Origin: https://[]", "Origin: https://admin.example.com#x",
	    "Origin: app://x\nOrigin: app://x",
	    "Origin: app://x, app://x" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		if (check(wrong[i], some) != -EACCES)
			fail_msg("allowed %s", wrong[i]);
	}
}

static void
configured_origins_can_be_checked(void **state)
{
	(void)state;
	assert_true(ws_origin_valid("null"));
	assert_true(ws_origin_valid("https://a.example"));
	assert_true(ws_origin_valid(" https://[::1]:8443 "));
	assert_true(ws_origin_valid("moz-extension://0d1f-22"));
	assert_false(ws_origin_valid("https://a.example/"));
	assert_false(ws_origin_valid("a.example"));
	assert_false(ws_origin_valid("*"));
	assert_false(ws_origin_valid(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_origin_is_no_browser),
		cmocka_unit_test(an_origin_must_be_listed),
		cmocka_unit_test(scheme_host_and_port_all_count),
		cmocka_unit_test(null_must_be_listed_as_null),
		cmocka_unit_test(what_is_not_one_origin_is_refused),
		cmocka_unit_test(configured_origins_can_be_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
