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
	const char *cn;
	const char *dns[4];		/* subject alternative names */
	enum test_key key;
	const struct test_cert *issuer;	/* NULL: self-signed */
	const char *purpose;		/* OID; NULL: none */
	int64_t from_s, to_s;		/* relative to now; 0, 0: -1 h, +1 h */
	size_t serial_n;		/* bytes; 0: 8 */
	bool ca, no_sign_usage, no_key_ids, sha1;
};

void test_cert_make(const struct test_cert_spec *, struct test_cert *ret);
void test_cert_free(struct test_cert *);
/* a.pem followed by b.pem; free() it. */
char *test_cert_join(const struct test_cert *a, const struct test_cert *b);
/* What the key answers to a TLS SignatureScheme, given a hash or a message as
 * tls/snapshot.h says.  Returns the length, 0 on failure. */
size_t test_cert_sign(const struct test_cert *, int scheme, const void *p,
    size_t n, uint8_t *to, size_t cap);

#endif
