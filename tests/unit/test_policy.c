/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tls/snapshot.h"

#define AEAD_ONLY \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM" \
	":-MAC-ALL:+AEAD:-KX-ALL:+ECDHE-ECDSA:-SIGN-ALL:+SIGN-ECDSA-SHA256" \
	":+SIGN-ECDSA-SECP256R1-SHA256"

static void
test_default_is_allowed(void **state)
{
	char why[TLS_WHY_SIZE] = "";

	(void)state;
	assert_int_equal(tls_global_init(why), 0);
	assert_int_equal(tls_policy_check(NULL, why), 0);
	assert_int_equal(tls_policy_check("", why), 0);
	assert_int_equal(tls_policy_check(tls_policy_default(), NULL), 0);
	assert_string_equal(why, "");
}

static void
test_stricter_and_psk_are_allowed(void **state)
{
	static const char *const good[] = {
		AEAD_ONLY, AEAD_ONLY ":-VERS-TLS1.2", AEAD_ONLY ":-VERS-TLS1.3",
		AEAD_ONLY ":-GROUP-ALL:+GROUP-X25519",
		AEAD_ONLY ":+PSK:+ECDHE-PSK:%SERVER_PRECEDENCE",
		AEAD_ONLY ":+AES-256-GCM:+CHACHA20-POLY1305",
	};
	char why[TLS_WHY_SIZE] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (tls_policy_check(good[i], why) < 0)
			fail_msg("%s: %s", good[i], why);
}

static void
test_what_is_refused_and_why(void **state)
{
	static const struct {
		const char *priority, *why;
	} bad[] = {
		{"NORMAL", "TLS1.1"},
		{AEAD_ONLY ":+VERS-TLS1.1", "TLS1.1"},
		{AEAD_ONLY ":+VERS-TLS1.0", "TLS1.0"},
		{AEAD_ONLY ":+VERS-DTLS1.2", "DTLS1.2"},
		{AEAD_ONLY ":-VERS-ALL", "nothing"},
		{AEAD_ONLY ":+AES-128-CBC", "AES-128-CBC"},
		{AEAD_ONLY ":+AES-256-CCM", "AES-256-CCM"},
		{AEAD_ONLY ":+AES-128-CCM-8", "AES-128-CCM-8"},
		{AEAD_ONLY ":+3DES-CBC", "3DES-CBC"},
		{AEAD_ONLY ":+NULL", "NULL"},
		{AEAD_ONLY ":-CIPHER-ALL", "nothing"},
		{AEAD_ONLY ":+SHA1", "SHA1"},
		{AEAD_ONLY ":+SHA256", "SHA256"},
		{AEAD_ONLY ":-MAC-ALL", "nothing"},
		{AEAD_ONLY ":+RSA", "RSA"},
		{AEAD_ONLY ":+ANON-ECDH", "ANON"},
		{AEAD_ONLY ":+DHE-RSA", "DHE-RSA"},
		{AEAD_ONLY ":-KX-ALL", "ECDHE"},
		{AEAD_ONLY ":-KX-ALL:+PSK", "ECDHE"},
		{AEAD_ONLY ":+SIGN-RSA-SHA1", "SHA1"},
		{AEAD_ONLY ":+SIGN-ECDSA-SHA1", "SHA1"},
		{AEAD_ONLY ":+SIGN-DSA-SHA256", "DSA"},
		{AEAD_ONLY ":-SIGN-ALL", "nothing"},
		{AEAD_ONLY ":-GROUP-ALL", "group"},
		{"AEAD_ONLY", "understood"},
		{"NORMAL:+NO-SUCH-THING", "NO-SUCH-THING"},
		{"LEGACY", "not allowed"},
		{"PERFORMANCE:-VERS-ALL:+VERS-TLS1.2", "not allowed"},
	};
	char why[TLS_WHY_SIZE];
	gnutls_priority_t p = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		why[0] = '\0';
		if (tls_policy_resolve(bad[i].priority, why, &p) != -EINVAL ||
		    strstr(why, bad[i].why) == NULL)
			fail_msg("%s: \"%s\"", bad[i].priority, why);
		assert_null(p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_is_allowed),
		cmocka_unit_test(test_stricter_and_psk_are_allowed),
		cmocka_unit_test(test_what_is_refused_and_why),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
