/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates for tests, made when the test runs, as PEM.  No vendor type
 * here, so that tests of every folder may use it.  Failures abort the test.
 */
#ifndef CT_TEST_CERTS_H
#define CT_TEST_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum test_key {
	TEST_KEY_P256, TEST_KEY_P384, TEST_KEY_P521, TEST_KEY_ED25519,
	TEST_KEY_RSA, TEST_KEY_RSA_1024, TEST_KEY_RSA_PSS
};

struct test_cert {
	char *pem, *key_pem;		/* NUL-terminated */
	size_t pem_n, key_n;
	void *crt, *key;		/* the library's */
};

struct test_cert_spec {
	const char *cn, *o, *ou;
	const char *dns[4];		/* subject alternative names */
	const char *uri;
	uint8_t ip[4];			/* 0.0.0.0: none */
	enum test_key key;
	const struct test_cert *issuer;	/* NULL: self-signed */
	const struct test_cert *key_of;	/* the same key; NULL: a new one */
	const char *purpose;		/* OID; NULL: none */
	int64_t from_s, to_s;		/* relative to now; 0, 0: -1 h, +1 h */
	size_t serial_n;		/* bytes; 0: 8 */
	bool ca, no_sign_usage, no_key_ids, sha1;
};

void test_cert_make(const struct test_cert_spec *, struct test_cert *ret);
void test_cert_free(struct test_cert *);
struct tls_trust;
/* Whom the CA's peers are believed by; unref it. */
struct tls_trust *test_trust(const struct test_cert *ca, bool of_clients);
/* A revocation list of `issuer` that names `n` certificates, as PEM; free() it.
 * next_s: relative to now. */
char *test_crl_make(const struct test_cert *issuer,
    const struct test_cert *const *revoked, size_t n, int64_t next_s);
/* a.pem followed by b.pem; free() it. */
char *test_cert_join(const struct test_cert *a, const struct test_cert *b);
/* What the key answers to a TLS SignatureScheme, given a hash or a message as
 * tls/snapshot.h says.  Returns the length, 0 on failure. */
size_t test_cert_sign(const struct test_cert *, int scheme, const void *p,
    size_t n, uint8_t *to, size_t cap);

#endif
