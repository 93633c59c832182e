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
	if (r < 0) {
		int ec = gather_key_ec(g, p, n, pkcs8, false, format);

		if (ec != 1) {
			gnutls_x509_privkey_deinit(key);
			return ec;
		}
	}
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
	if (r < 0 && r != GNUTLS_E_MEMORY_ERROR) {
		int ec = gather_key_ec_encrypted(g, p, n, format);

		if (ec != 1) {
			gnutls_x509_privkey_deinit(key);
			return ec;
		}
	}
	return done(g, key, r, true, format);
}

/* Of RFC 1421's line, GnuTLS knows these. */
static bool
is_known_dek(const char *name, size_t n)
{
	static const char *const known[] = {
		"DES-CBC", "DES-EDE3-CBC", "AES-128-CBC", "AES-192-CBC",
		"AES-256-CBC", "CAMELLIA-128-CBC", "CAMELLIA-192-CBC",
		"CAMELLIA-256-CBC"
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i]) == n && memcmp(known[i], name, n) == 0)
			return true;
	}
	return false;
}

/* The name between "DEK-Info:" and the comma. */
static int
check_dek(struct gather *g, const uint8_t *p, size_t n)
{
	static const char head[] = "DEK-Info:";
	const char *at = memmem(p, n, head, strlen(head)), *end, *comma;
	char name[33];

	end = (const char *)p + n;
	at = at == NULL ? end : at + strlen(head);
	while (at < end && *at == ' ')
		at++;
	comma = at == end ? NULL : memchr(at, ',', (size_t)(end - at));
	if (comma == NULL || comma - at >= (ptrdiff_t)sizeof(name) ||
	    is_known_dek(at, (size_t)(comma - at)))
		return 0;
	memset(name, 0, sizeof(name));
	for (size_t i = 0; at + i < comma; i++)
		name[i] = at[i] > ' ' && at[i] <= '~' ? at[i] : '?';
	return gather_fail(g, -ENOTSUP, "the private key is encrypted with "
	    "%s, which is not supported: write it anew with \"openssl pkcs8 "
	    "-topk8 -v2 aes-256-cbc\"", name);
}

int
gather_key_openssl(struct gather *g, const uint8_t *p, size_t n)
{
	gnutls_datum_t d = cert_datum(p, n);
	gnutls_x509_privkey_t key = NULL;
	int r;

	r = check_dek(g, p, n);
	if (r < 0)
		return r;
	if (g->password == NULL)
		return gather_password_wrong(g, "the private key");
	r = gnutls_x509_privkey_init(&key);
	if (r >= 0)
		r = gnutls_x509_privkey_import_openssl(key, &d, g->password);
	return done(g, key, r, true, "PEM");
}
