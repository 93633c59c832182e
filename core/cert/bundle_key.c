/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys: PKCS#8 (RFC 5208, 5958; PBES2 of RFC 8018), traditional RSA and
 * EC (RFC 8017, 5915), and those that OpenSSL encrypts by itself (DEK-Info).
 */
#include "cert/bundle_priv.h"

#include <errno.h>
#include <string.h>

/*
 * Ends what an import of `key` answered.  What a wrong password makes of a key
 * sometimes looks deciphered and is then only damaged.
 */
static int
done(struct gather *g, gnutls_x509_privkey_t key, int r, bool was_encrypted,
    const char *format)
{
	if (r >= 0)
		return gather_key(g, key, was_encrypted, format);
	if (key != NULL)
		gnutls_x509_privkey_deinit(key);
	if (was_encrypted && r != GNUTLS_E_MEMORY_ERROR &&
	    r != GNUTLS_E_UNKNOWN_CIPHER_TYPE)
		return gather_password_wrong(g, "the private key");
	return gather_vendor(g, "the private key", r);
}

int
gather_key_plain(struct gather *g, const uint8_t *p, size_t n, bool pkcs8,
    const char *format)
{
	gnutls_datum_t d = cert_datum(p, n);
	gnutls_x509_privkey_t key = NULL;
	int r;

	if (gather_passes_keys(g))
		return 0;
	r = gnutls_x509_privkey_init(&key);
	if (r >= 0)
		r = pkcs8 ? gnutls_x509_privkey_import_pkcs8(key, &d,
		    GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN) :
		    gnutls_x509_privkey_import(key, &d, GNUTLS_X509_FMT_DER);
	return done(g, key, r, false, format);
}

int
gather_key_pkcs8(struct gather *g, const uint8_t *p, size_t n,
    const char *format)
{
	gnutls_datum_t d = cert_datum(p, n);
	gnutls_x509_privkey_t key = NULL;
	unsigned schema, cipher, rounds = 0;
	char *oid = NULL;
	unsigned before = g->work;
	int r;

	if (gather_passes_keys(g))
		return 0;
	r = gather_work(g, p, n, 1);
	if (r < 0)
		return r;
	r = gnutls_pkcs8_info(&d, GNUTLS_X509_FMT_DER, &schema, &cipher, NULL,
	    NULL, &rounds, &oid);
	if (r < 0)
		r = gather_cipher(g, "the private key", oid, r);
	gnutls_free(oid);
	if (r < 0)
		return r;
	if (g->work == before)		/* hidden by how it is encoded */
		r = gather_rounds(g, rounds);
	if (r < 0)
		return r;
	r = gnutls_x509_privkey_init(&key);
	if (r >= 0)
		r = gnutls_x509_privkey_import_pkcs8(key, &d,
		    GNUTLS_X509_FMT_DER, g->password == NULL ? "" :
		    g->password, 0);
	return done(g, key, r, true, format);
}

int
gather_key_openssl(struct gather *g, const uint8_t *p, size_t n)
{
	gnutls_datum_t d = cert_datum(p, n);
	gnutls_x509_privkey_t key = NULL;
	int r;

	if (g->password == NULL)
		return gather_password_wrong(g, "the private key");
	r = gnutls_x509_privkey_init(&key);
	if (r >= 0)
		r = gnutls_x509_privkey_import_openssl(key, &d, g->password);
	return done(g, key, r, true, "PEM");
}
