/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys for tests.  Serial numbers are random. */
#include "certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls/trust.h"

#define MUST(c) must((c), #c, __LINE__)

static void
must(int r, const char *what, int line)
{
	if (r >= 0)
		return;
	fprintf(stderr, "certs.c:%d: %s: %s\n", line, what, gnutls_strerror(r));
	abort();
}

static gnutls_x509_privkey_t
make_key(enum test_key type, const struct test_cert *of)
{
	static const struct {
		gnutls_pk_algorithm_t pk;
		unsigned bits;
	} kind[] = {
		[TEST_KEY_P256] = {GNUTLS_PK_ECDSA,
		    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)},
		[TEST_KEY_P384] = {GNUTLS_PK_ECDSA,
		    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1)},
		[TEST_KEY_P521] = {GNUTLS_PK_ECDSA,
		    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1)},
		[TEST_KEY_ED25519] = {GNUTLS_PK_EDDSA_ED25519,
		    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519)},
		[TEST_KEY_RSA] = {GNUTLS_PK_RSA, 2048},
		[TEST_KEY_RSA_1024] = {GNUTLS_PK_RSA, 1024},
		[TEST_KEY_RSA_PSS] = {GNUTLS_PK_RSA_PSS, 2048},
	};
	gnutls_x509_privkey_t key;

	MUST(gnutls_x509_privkey_init(&key));
	if (of != NULL) {
		MUST(gnutls_x509_privkey_cpy(key, of->key));
		return key;
	}
	MUST(gnutls_x509_privkey_generate(key, kind[type].pk, kind[type].bits,
	    0));
	return key;
}

static char *
text(gnutls_datum_t *d, size_t *ret_n)
{
	char *s = malloc(d->size + 1);

	if (s == NULL)
		abort();
	memcpy(s, d->data, d->size);
	s[d->size] = '\0';
	*ret_n = d->size;
	gnutls_free(d->data);
	return s;
}

static void
set_fields(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
    const struct test_cert_spec *sp)
{
	int64_t from = sp->from_s, to = sp->to_s;
	uint8_t serial[32], id[64];
	size_t i, n = sp->serial_n != 0 ? sp->serial_n : 8;
	time_t now = time(NULL);

	if (from == 0 && to == 0) {
		from = -3600;
		to = 3600;
	}
	MUST(gnutls_rnd(GNUTLS_RND_NONCE, serial, n));
	serial[0] = (serial[0] & 0x7f) | 1;
	MUST(gnutls_x509_crt_set_version(crt, 3));
	MUST(gnutls_x509_crt_set_serial(crt, serial, n));
	MUST(gnutls_x509_crt_set_activation_time(crt, now + from));
	MUST(gnutls_x509_crt_set_expiration_time(crt, now + to));
	if (sp->cn != NULL)
		MUST(gnutls_x509_crt_set_dn_by_oid(crt,
		    GNUTLS_OID_X520_COMMON_NAME, 0, sp->cn,
		    (unsigned)strlen(sp->cn)));
	if (sp->o != NULL)
		MUST(gnutls_x509_crt_set_dn_by_oid(crt,
		    GNUTLS_OID_X520_ORGANIZATION_NAME, 0, sp->o,
		    (unsigned)strlen(sp->o)));
	if (sp->ou != NULL)
		MUST(gnutls_x509_crt_set_dn_by_oid(crt,
		    GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, 0, sp->ou,
		    (unsigned)strlen(sp->ou)));
	MUST(gnutls_x509_crt_set_key(crt, key));
	for (i = 0; i < 4 && sp->dns[i] != NULL; i++)
		MUST(gnutls_x509_crt_set_subject_alt_name(crt,
		    GNUTLS_SAN_DNSNAME, sp->dns[i],
		    (unsigned)strlen(sp->dns[i]), GNUTLS_FSAN_APPEND));
	if (sp->uri != NULL)
		MUST(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_URI,
		    sp->uri, (unsigned)strlen(sp->uri), GNUTLS_FSAN_APPEND));
	if (sp->ip[0] != 0)
		MUST(gnutls_x509_crt_set_subject_alt_name(crt,
		    GNUTLS_SAN_IPADDRESS, sp->ip, 4, GNUTLS_FSAN_APPEND));
	MUST(gnutls_x509_crt_set_basic_constraints(crt, sp->ca, -1));
	MUST(gnutls_x509_crt_set_key_usage(crt, sp->ca ?
	    GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN |
	    GNUTLS_KEY_DIGITAL_SIGNATURE :
	    sp->no_sign_usage ? GNUTLS_KEY_KEY_ENCIPHERMENT :
	    GNUTLS_KEY_DIGITAL_SIGNATURE));
	if (sp->purpose != NULL)
		MUST(gnutls_x509_crt_set_key_purpose_oid(crt, sp->purpose, 0));
	n = sizeof(id);
	MUST(gnutls_x509_crt_get_key_id(crt, 0, id, &n));
	if (!sp->no_key_ids)
		MUST(gnutls_x509_crt_set_subject_key_id(crt, id, n));
}

static gnutls_digest_algorithm_t
digest_for(gnutls_x509_privkey_t key, bool sha1)
{
	gnutls_ecc_curve_t curve;

	switch (gnutls_x509_privkey_get_pk_algorithm(key)) {
	case GNUTLS_PK_EDDSA_ED25519:
		return GNUTLS_DIG_SHA512;
	case GNUTLS_PK_ECDSA:
		if (gnutls_x509_privkey_export_ecc_raw(key, &curve, NULL, NULL,
		    NULL) >= 0 && curve == GNUTLS_ECC_CURVE_SECP384R1)
			return GNUTLS_DIG_SHA384;
		return sha1 ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256;
	default:
		return sha1 ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256;
	}
}

void
test_cert_make(const struct test_cert_spec *sp, struct test_cert *ret)
{
	gnutls_x509_crt_t crt, issuer;
	gnutls_x509_privkey_t key = make_key(sp->key, sp->key_of), signer;
	gnutls_datum_t d;
	uint8_t id[64];
	size_t n = sizeof(id);

	MUST(gnutls_x509_crt_init(&crt));
	set_fields(crt, key, sp);
	issuer = sp->issuer != NULL ? sp->issuer->crt : crt;
	signer = sp->issuer != NULL ? sp->issuer->key : key;
	if (sp->issuer != NULL && !sp->no_key_ids &&
	    gnutls_x509_crt_get_subject_key_id(issuer, id, &n, NULL) >= 0)
		MUST(gnutls_x509_crt_set_authority_key_id(crt, id, n));
	MUST(gnutls_x509_crt_sign2(crt, issuer, signer,
	    digest_for(signer, sp->sha1), 0));
	ret->crt = crt;
	ret->key = key;
	MUST(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d));
	ret->pem = text(&d, &ret->pem_n);
	MUST(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
	    GNUTLS_PKCS_PLAIN, &d));
	ret->key_pem = text(&d, &ret->key_n);
}

void
test_cert_free(struct test_cert *c)
{
	if (c->crt != NULL)
		gnutls_x509_crt_deinit(c->crt);
	if (c->key != NULL)
		gnutls_x509_privkey_deinit(c->key);
	free(c->pem);
	free(c->key_pem);
	memset(c, 0, sizeof(*c));
}

char *
test_cert_join(const struct test_cert *a, const struct test_cert *b)
{
	char *s = malloc(a->pem_n + b->pem_n + 1);

	if (s == NULL)
		abort();
	memcpy(s, a->pem, a->pem_n);
	memcpy(s + a->pem_n, b->pem, b->pem_n + 1);
	return s;
}

static const struct {
	int scheme;
	gnutls_sign_algorithm_t sign;
} schemes[] = {
	{0x0403, GNUTLS_SIGN_ECDSA_SHA256}, {0x0503, GNUTLS_SIGN_ECDSA_SHA384},
	{0x0603, GNUTLS_SIGN_ECDSA_SHA512},
	{0x0804, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256},
	{0x0805, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384},
	{0x0806, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512},
	{0x0809, GNUTLS_SIGN_RSA_PSS_SHA256},
	{0x080a, GNUTLS_SIGN_RSA_PSS_SHA384},
	{0x080b, GNUTLS_SIGN_RSA_PSS_SHA512},
	{0x0401, GNUTLS_SIGN_RSA_SHA256}, {0x0501, GNUTLS_SIGN_RSA_SHA384},
	{0x0601, GNUTLS_SIGN_RSA_SHA512},
	{0x0807, GNUTLS_SIGN_EDDSA_ED25519},
};

size_t
test_cert_sign(const struct test_cert *c, int scheme, const void *p, size_t n,
    uint8_t *to, size_t cap)
{
	gnutls_datum_t d = {(unsigned char *)(uintptr_t)p, (unsigned)n};
	gnutls_datum_t sig = {NULL, 0};
	gnutls_privkey_t key;
	size_t i, len = 0;
	int r = -1;

	MUST(gnutls_privkey_init(&key));
	MUST(gnutls_privkey_import_x509(key, c->key, 0));
	for (i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
		if (schemes[i].scheme == scheme)
			r = scheme == 0x0807 ?
			    gnutls_privkey_sign_data2(key, schemes[i].sign, 0,
			    &d, &sig) :
			    gnutls_privkey_sign_hash2(key, schemes[i].sign, 0,
			    &d, &sig);
	if (r >= 0 && sig.size <= cap) {
		memcpy(to, sig.data, sig.size);
		len = sig.size;
	}
	gnutls_free(sig.data);
	gnutls_privkey_deinit(key);
	return len;
}

struct tls_trust *
test_trust(const struct test_cert *ca, bool of_clients)
{
	char name[] = "test CA";
	const struct tls_blob blob = {ca->pem, ca->pem_n, name, false};
	const struct tls_trust_spec spec = {.of_clients = of_clients,
	    .ca = &blob, .ca_n = 1};
	struct tls_trust *t = NULL;

	if (tls_trust_new(&spec, NULL, &t) < 0)
		abort();
	return t;
}

char *
test_crl_make(const struct test_cert *issuer,
    const struct test_cert *const *revoked, size_t n, int64_t next_s)
{
	gnutls_x509_crl_t crl;
	gnutls_privkey_t key;
	gnutls_datum_t d;
	time_t now = time(NULL);
	size_t size;
	char *pem;

	MUST(gnutls_x509_crl_init(&crl));
	MUST(gnutls_x509_crl_set_version(crl, 2));
	MUST(gnutls_x509_crl_set_this_update(crl, now - 7200));
	MUST(gnutls_x509_crl_set_next_update(crl, now + next_s));
	MUST(gnutls_x509_crl_set_number(crl, "\1", 1));
	for (size_t i = 0; i < n; i++)
		MUST(gnutls_x509_crl_set_crt(crl, revoked[i]->crt, now - 60));
	MUST(gnutls_privkey_init(&key));
	MUST(gnutls_privkey_import_x509(key, issuer->key,
	    GNUTLS_PRIVKEY_IMPORT_COPY));
	MUST(gnutls_x509_crl_privkey_sign(crl, issuer->crt, key,
	    GNUTLS_DIG_SHA256, 0));
	MUST(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &d));
	pem = text(&d, &size);
	gnutls_privkey_deinit(key);
	gnutls_x509_crl_deinit(crl);
	return pem;
}
