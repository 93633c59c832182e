/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 for the folders that may not include GnuTLS.  Keeps no state. */
#include "tls/ed25519.h"

#include <errno.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base/mem.h"

static gnutls_datum_t
datum(const void *p, size_t n)
{
	return (gnutls_datum_t){ .data = (unsigned char *)(uintptr_t)p,
	    .size = (unsigned)n };
}

static int
error(int code)
{
	return code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO;
}

int
ed25519_verify(const uint8_t public_key[ED25519_KEY], const void *p,
    size_t n, const uint8_t signature[ED25519_SIGNATURE])
{
	gnutls_datum_t x = datum(public_key, ED25519_KEY), m = datum(p, n);
	gnutls_datum_t s = datum(signature, ED25519_SIGNATURE);
	gnutls_pubkey_t key;
	int r = gnutls_pubkey_init(&key);

	if (r < 0)
		return error(r);
	r = gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &x,
	    NULL);
	if (r >= 0)
		r = gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_EDDSA_ED25519,
		    0, &m, &s);
	gnutls_pubkey_deinit(key);
	if (r >= 0)
		return 0;
	return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EACCES;
}

/* 32 bytes of a datum that GnuTLS allocated, which is wiped and freed. */
static int
take(gnutls_datum_t *d, uint8_t ret[ED25519_KEY])
{
	int r = d->size == ED25519_KEY ? 0 : -EIO;

	if (r == 0)
		memcpy(ret, d->data, ED25519_KEY);
	if (d->data != NULL)
		mem_wipe(d->data, d->size);
	gnutls_free(d->data);
	return r;
}

int
ed25519_generate(uint8_t ret_seed[ED25519_KEY],
    uint8_t ret_public[ED25519_KEY])
{
	gnutls_datum_t x = { NULL, 0 }, k = { NULL, 0 };
	gnutls_privkey_t key;
	int r = gnutls_privkey_init(&key), r2;

	if (r < 0)
		return error(r);
	r = gnutls_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 0, 0);
	if (r >= 0)
		r = gnutls_privkey_export_ecc_raw(key, NULL, &x, NULL, &k);
	gnutls_privkey_deinit(key);
	if (r < 0)
		return error(r);
	r = take(&x, ret_public);
	r2 = take(&k, ret_seed);
	return r != 0 ? r : r2;
}

/* GnuTLS wants the public half along with the seed, but signs with what it
 * derives from the seed; an empty one is not taken. */
static int
private_key(const uint8_t seed[ED25519_KEY], const uint8_t *public_key,
    gnutls_privkey_t *ret)
{
	gnutls_datum_t k = datum(seed, ED25519_KEY);
	gnutls_datum_t x = datum(public_key, ED25519_KEY);
	int r = gnutls_privkey_init(ret);

	if (r < 0)
		return error(r);
	r = gnutls_privkey_import_ecc_raw(*ret, GNUTLS_ECC_CURVE_ED25519, &x,
	    NULL, &k);
	if (r < 0) {
		gnutls_privkey_deinit(*ret);
		return error(r);
	}
	return 0;
}

/* PKCS#8 of RFC 8410 7, up to the seed: GnuTLS derives the public half. */
static const uint8_t pkcs8[] = {
	0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
	0x04, 0x22, 0x04, 0x20
};

int
ed25519_public(const uint8_t seed[ED25519_KEY],
    uint8_t ret_public[ED25519_KEY])
{
	uint8_t der[sizeof(pkcs8) + ED25519_KEY];
	gnutls_datum_t d = datum(der, sizeof(der)), x = { NULL, 0 };
	gnutls_privkey_t key;
	int r = gnutls_privkey_init(&key);

	if (r < 0)
		return error(r);
	memcpy(der, pkcs8, sizeof(pkcs8));
	memcpy(der + sizeof(pkcs8), seed, ED25519_KEY);
	r = gnutls_privkey_import_x509_raw(key, &d, GNUTLS_X509_FMT_DER, NULL,
	    0);
	if (r >= 0)
		r = gnutls_privkey_export_ecc_raw(key, NULL, &x, NULL, NULL);
	gnutls_privkey_deinit(key);
	mem_wipe(der, sizeof(der));
	return r < 0 ? error(r) : take(&x, ret_public);
}

int
ed25519_sign(const uint8_t seed[ED25519_KEY], const void *p, size_t n,
    uint8_t ret[ED25519_SIGNATURE])
{
	gnutls_datum_t m = datum(p, n), s = { NULL, 0 };
	uint8_t public_key[ED25519_KEY];
	gnutls_privkey_t key;
	int r = ed25519_public(seed, public_key);

	if (r == 0)
		r = private_key(seed, public_key, &key);
	if (r != 0)
		return r;
	r = gnutls_privkey_sign_data2(key, GNUTLS_SIGN_EDDSA_ED25519, 0, &m,
	    &s);
	gnutls_privkey_deinit(key);
	if (r < 0)
		return error(r);
	r = s.size == ED25519_SIGNATURE ? 0 : -EIO;
	if (r == 0)
		memcpy(ret, s.data, ED25519_SIGNATURE);
	gnutls_free(s.data);
	return r;
}

size_t
ed25519_hello(const uint8_t nonce[32], const uint8_t *exporter,
    const char *endpoint, uint8_t *to)
{
	static const char context[15] = "cleat hello v1";
	size_t id = strlen(endpoint), n = 0;

	if (id > 255)
		return 0;
	memcpy(to, context, sizeof(context));	/* with its zero */
	n = sizeof(context);
	memcpy(to + n, nonce, 32);
	n += 32;
	to[n++] = exporter != NULL;
	if (exporter != NULL) {
		memcpy(to + n, exporter, 32);
		n += 32;
	}
	memcpy(to + n, endpoint, id);
	return n + id;
}
