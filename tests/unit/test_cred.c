/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/mem.h"
#include "cert/describe.h"
#include "tls/cred_check.h"
#include "tls/digest.h"
#include "../lib/certs.h"

static struct test_cert ca, inter, leaf;
static char why[TLS_WHY_SIZE];

static int
load(const char *chain, const char *key, struct tls_cred **ret)
{
	why[0] = '\0';
	return tls_cred_new(chain, strlen(chain), key, strlen(key), NULL, 0,
	    why, ret);
}

static void
expect_refused(const char *chain, const char *key, const char *text)
{
	struct tls_cred *c = NULL;

	assert_int_equal(load(chain, key, &c), -EINVAL);
	if (strstr(why, text) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", why, text);
	assert_null(c);
	assert_null(strchr(why, '\n'));
}

static void
test_facts(void **state)
{
	const struct test_cert_spec rsa = {.cn = "rsa.test",
	    .key = TEST_KEY_RSA};
	struct tls_cred_info in;
	struct tls_cred *c = NULL;
	struct test_cert t;
	gnutls_datum_t der;
	uint8_t h[32];

	(void)state;
	assert_int_equal(load(leaf.pem, leaf.key_pem, &c), 0);
	tls_cred_info(c, &in);
	assert_string_equal(in.subject, "CN=a.test");
	assert_string_equal(in.issuer, "CN=Inter");
	assert_string_equal(in.names, "a.test, *.b.test");
	assert_string_equal(in.key, "EC/ECDSA 256 bits");
	assert_false(in.self_signed);
	assert_false(in.external);
	assert_int_equal(in.not_after - in.not_before, 7200);
	assert_int_equal(gnutls_x509_crt_export2(leaf.crt, GNUTLS_X509_FMT_DER,
	    &der), 0);
	assert_int_equal(digest_sha256(der.data, der.size, h), 0);
	gnutls_free(der.data);
	assert_memory_equal(h, in.sha256, 32);
	tls_cred_unref(&c);
	assert_null(c);
	test_cert_make(&rsa, &t);
	assert_int_equal(load(t.pem, t.key_pem, &c), 0);
	tls_cred_info(c, &in);
	assert_true(in.self_signed);
	assert_string_equal(in.names, "");
	assert_string_equal(in.key, "RSA 2048 bits");
	tls_cred_unref(&c);
	tls_cred_unref(&c);
	test_cert_free(&t);
}

static void
test_every_key_type(void **state)
{
	static const enum test_key keys[] = {TEST_KEY_P256, TEST_KEY_P384,
	    TEST_KEY_P521, TEST_KEY_ED25519, TEST_KEY_RSA, TEST_KEY_RSA_PSS};
	struct tls_cred *c = NULL;
	struct test_cert t;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const struct test_cert_spec s = {.cn = "k", .key = keys[i]};

		test_cert_make(&s, &t);
		if (load(t.pem, t.key_pem, &c) < 0)
			fail_msg("key %zu: %s", i, why);
		tls_cred_unref(&c);
		test_cert_free(&t);
	}
}

static void
test_chain_in_any_order(void **state)
{
	char *a = test_cert_join(&leaf, &inter), *b = test_cert_join(&inter,
	    &leaf), *all = NULL;
	struct tls_cred *c = NULL;
	struct tls_cred_info in;

	(void)state;
	assert_true(asprintf(&all, "some words before\n%s%s%s", ca.pem,
	    inter.pem, leaf.pem) > 0);
	assert_int_equal(load(a, leaf.key_pem, &c), 0);
	tls_cred_unref(&c);
	assert_int_equal(load(b, leaf.key_pem, &c), 0);
	tls_cred_info(c, &in);
	assert_string_equal(in.subject, "CN=a.test");
	tls_cred_unref(&c);
	assert_int_equal(load(all, leaf.key_pem, &c), 0);
	tls_cred_unref(&c);
	free(a);
	free(b);
	free(all);
}

/* What is told of it is what is sent. */
static void
test_chain_facts(void **state)
{
	struct cert_facts *facts = NULL;
	struct tls_cred *c = NULL;
	unsigned long nth;
	char *all = NULL;
	size_t n = 0;
	int r = -ENOMEM;

	(void)state;
	assert_true(asprintf(&all, "%s%s%s", inter.pem, leaf.pem, ca.pem) > 0);
	assert_int_equal(load(all, leaf.key_pem, &c), 0);
	for (nth = 1; r == -ENOMEM; nth++) {
		mem_fail_nth(nth);
		r = tls_cred_chain(c, &facts, &n);
		mem_fail_nth(0);
	}
	assert_int_equal(r, 0);
	assert_int_equal(n, 3);
	assert_string_equal(facts[0].subject.dn, "CN=a.test");
	assert_string_equal(facts[1].subject.dn, "CN=Inter");
	assert_string_equal(facts[1].issuer.dn, "CN=CA");
	assert_true(facts[2].self_signed);
	mem_free(facts);
	tls_cred_unref(&c);
	free(all);
}

/* A key in the chain's text is not the one that was given. */
static void
test_key_in_the_chain(void **state)
{
	struct tls_cred *c = NULL;
	char *text = NULL;

	(void)state;
	assert_true(asprintf(&text, "%s%s%s", inter.key_pem, leaf.pem,
	    inter.pem) > 0);
	assert_int_equal(load(text, leaf.key_pem, &c), 0);
	tls_cred_unref(&c);
	free(text);
}

static void
test_bad_input(void **state)
{
	char *cut = strdup(leaf.pem);
	struct tls_cred *c = NULL;

	(void)state;
	assert_non_null(cut);
	expect_refused("", leaf.key_pem, "empty");
	expect_refused(leaf.pem, "", "empty");
	expect_refused("nothing", leaf.key_pem, "chain");
	expect_refused(leaf.pem, "nothing", "key");
	expect_refused(leaf.key_pem, leaf.key_pem, "no certificate");
	expect_refused(leaf.pem, leaf.pem, "key");
	expect_refused(leaf.pem, inter.key_pem, "belongs to no certificate");
	cut[strlen(cut) / 2] = '!';
	expect_refused(cut, leaf.key_pem, "chain");
	free(cut);
	assert_int_equal(tls_cred_new(leaf.pem, (size_t)2 << 20, leaf.key_pem,
	    leaf.key_n, NULL, 0, why, &c), -EINVAL);
	assert_int_equal(tls_cred_new(leaf.pem, leaf.pem_n, leaf.key_pem,
	    leaf.key_n, "garbage", 7, why, &c), -EINVAL);
	assert_non_null(strstr(why, "OCSP"));
	assert_int_equal(tls_cred_new("x", 1, "y", 1, NULL, 0, NULL, &c),
	    -EINVAL);
	assert_null(c);
}

static void
test_encrypted_key(void **state)
{
	gnutls_datum_t d;
	char *pem;

	(void)state;
	assert_int_equal(gnutls_x509_privkey_export2_pkcs8(leaf.key,
	    GNUTLS_X509_FMT_PEM, "secret", GNUTLS_PKCS_PBES2_AES_128, &d), 0);
	pem = strndup((char *)d.data, d.size);
	assert_non_null(pem);
	expect_refused(leaf.pem, pem, "encrypted");
	free(pem);
	gnutls_free(d.data);
}

static void
test_what_clients_would_refuse(void **state)
{
	const struct {
		struct test_cert_spec spec;
		const char *why;
	} bad[] = {
		{{.cn = "x", .key = TEST_KEY_RSA_1024}, "1024 bits"},
		{{.cn = "x", .no_sign_usage = true}, "digitalSignature"},
		{{.cn = "x", .purpose = GNUTLS_KP_TLS_WWW_CLIENT},
		    "serverAuth"},
	};
	const struct test_cert_spec weak = {.cn = "x", .issuer = &ca,
	    .sha1 = true}, fake_ca = {.cn = "Inter", .ca = true};
	struct test_cert t, fake;
	char *chain;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		test_cert_make(&bad[i].spec, &t);
		expect_refused(t.pem, t.key_pem, bad[i].why);
		test_cert_free(&t);
	}
	test_cert_make(&weak, &t);
	chain = test_cert_join(&t, &ca);
	expect_refused(chain, t.key_pem, "weak");
	free(chain);
	test_cert_free(&t);
	test_cert_make(&fake_ca, &fake);
	{
		const struct test_cert_spec s = {.cn = "y", .issuer = &inter,
		    .no_key_ids = true};

		test_cert_make(&s, &t);
	}
	chain = test_cert_join(&t, &fake);	/* the name fits, the key not */
	expect_refused(chain, t.key_pem, "not signed by the next");
	free(chain);
	test_cert_free(&t);
	test_cert_free(&fake);
}

static int
no_request(void *ctx, const char *id, int scheme, const void *p, size_t n,
    struct tls_sign_job *job)
{
	(void)ctx;
	(void)id;
	(void)scheme;
	(void)p;
	(void)n;
	(void)job;
	return -ENOSYS;
}

static void
test_allocation_failures(void **state)
{
	const struct tls_signer signer = {no_request, NULL};
	struct tls_cred *c = NULL;
	struct tls_cred_info in;
	unsigned long n;
	int r;

	(void)state;
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = load(leaf.pem, leaf.key_pem, &c);
		mem_fail_nth(0);
		assert_true(r == 0 ? c != NULL : c == NULL);
	}
	assert_int_equal(r, 0);
	tls_cred_unref(&c);
	for (n = 1, r = -ENOMEM; r == -ENOMEM; n++) {
		mem_fail_nth(n);
		r = tls_cred_new_external(leaf.pem, leaf.pem_n, &signer, "id",
		    NULL, 0, why, &c);
		mem_fail_nth(0);
		assert_true(r == 0 ? c != NULL : c == NULL);
	}
	assert_int_equal(r, 0);
	tls_cred_info(c, &in);
	assert_true(in.external);
	tls_cred_unref(&c);
}

static int
setup(void **state)
{
	const struct test_cert_spec sca = {.cn = "CA", .ca = true},
	    si = {.cn = "Inter", .ca = true, .issuer = &ca},
	    sl = {.cn = "a.test", .dns = {"a.test", "*.b.test"},
	    .issuer = &inter};

	(void)state;
	test_cert_make(&sca, &ca);
	test_cert_make(&si, &inter);
	test_cert_make(&sl, &leaf);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	test_cert_free(&ca);
	test_cert_free(&inter);
	test_cert_free(&leaf);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_every_key_type),
		cmocka_unit_test(test_chain_in_any_order),
		cmocka_unit_test(test_chain_facts),
		cmocka_unit_test(test_key_in_the_chain),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_encrypted_key),
		cmocka_unit_test(test_what_clients_would_refuse),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests_name("cred", tests, setup, teardown);
}
