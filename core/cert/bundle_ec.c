/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What GnuTLS takes for damage in EC keys: curves that it does not know, curves
 * that are spelled out, and keys without their public half, which is optional
 * (RFC 5915 3) and which Java leaves out.
 * Such a key waits for a certificate of its curve, where its other half is.
 */
#include "cert/bundle_priv.h"

#include <errno.h>
#include <string.h>

#include <gnutls/crypto.h>

#define SCALAR_MAX 66			/* P-521 */
#define KEY_MAX 32

struct ec {
	struct tlv curve, scalar;
	bool has_public;
};

/* One after the other of what is in a SEQUENCE. */
static bool
enter(struct tlv *t, const uint8_t **end)
{
	*end = t->p + t->n;
	return tlv_read(t->p, *end, t);
}

/* ECPrivateKey: version, octets, [0] curve, [1] public half. */
static bool
read_ec(const uint8_t *p, size_t n, struct ec *ret)
{
	const uint8_t *end = p + n;
	struct tlv t;

	if (!tlv_read(p, end, &t) || t.tag != DER_SEQUENCE ||
	    !enter(&t, &end) || t.tag != DER_INTEGER ||
	    !tlv_read(t.next, end, &t) || t.tag != DER_OCTETS)
		return false;
	ret->scalar = t;
	while (tlv_read(t.next, end, &t)) {
		if (t.tag == 0xa0 && !tlv_read(t.p, t.p + t.n, &ret->curve))
			return false;
		ret->has_public = ret->has_public || t.tag == 0xa1;
	}
	return true;
}

/* PrivateKeyInfo: version, { id-ecPublicKey, curve }, octets of the above. */
static bool
read_pkcs8(const uint8_t *p, size_t n, struct ec *ret)
{
	static const uint8_t id[] = {
		0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01
	};
	const uint8_t *end = p + n;
	struct tlv t, oid, octets;

	if (!tlv_read(p, end, &t) || t.tag != DER_SEQUENCE ||
	    !enter(&t, &end) || t.tag != DER_INTEGER ||
	    !tlv_read(t.next, end, &t) || t.tag != DER_SEQUENCE ||
	    !tlv_read(t.next, end, &octets) || octets.tag != DER_OCTETS ||
	    !tlv_read(t.p, t.p + t.n, &oid) || oid.n != sizeof(id) ||
	    memcmp(oid.p, id, sizeof(id)) != 0 ||
	    !read_ec(octets.p, octets.n, ret))
		return false;
	return ret->curve.n > 0 ||
	    tlv_read(oid.next, t.p + t.n, &ret->curve);
}

static gnutls_ecc_curve_t
curve_of(const struct tlv *oid)
{
	static const struct {
		const char *oid;
		size_t n;
		gnutls_ecc_curve_t curve;
	} known[] = {
		{ "\x2a\x86\x48\xce\x3d\x03\x01\x07", 8,
		    GNUTLS_ECC_CURVE_SECP256R1 },
		{ "\x2b\x81\x04\x00\x22", 5, GNUTLS_ECC_CURVE_SECP384R1 },
		{ "\x2b\x81\x04\x00\x23", 5, GNUTLS_ECC_CURVE_SECP521R1 },
		{ "\x2a\x86\x48\xce\x3d\x03\x01\x01", 8,
		    GNUTLS_ECC_CURVE_SECP192R1 },
		{ "\x2b\x81\x04\x00\x21", 5, GNUTLS_ECC_CURVE_SECP224R1 },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (oid->n == known[i].n &&
		    memcmp(oid->p, known[i].oid, oid->n) == 0)
			return known[i].curve;
	}
	return GNUTLS_ECC_CURVE_INVALID;
}

static int
wait_for_half(struct gather *g, const struct ec *ec, gnutls_ecc_curve_t curve,
    bool was_encrypted, const char *format)
{
	struct cert_bundle *b = g->b;
	struct cert_half *h = &b->halves[b->halves_n];

	if (b->halves_n == CERT_BUNDLE_HALVES || ec->scalar.n > SCALAR_MAX)
		return gather_fail(g, -E2BIG, "there are more than %d EC keys "
		    "without their public half", CERT_BUNDLE_HALVES);
	g->keys++;
	memcpy(h->scalar, ec->scalar.p, ec->scalar.n);
	h->n = ec->scalar.n;
	h->curve = (int)curve;
	h->was_encrypted = was_encrypted;
	h->from = (struct cert_origin){ g->file, format, g->keys };
	b->halves_n++;
	return 0;
}

int
gather_key_ec(struct gather *g, const uint8_t *p, size_t n, bool pkcs8,
    bool was_encrypted, const char *format)
{
	struct ec ec;
	gnutls_ecc_curve_t curve;

	memset(&ec, 0, sizeof(ec));
	if ((pkcs8 ? !read_pkcs8(p, n, &ec) : !read_ec(p, n, &ec)) ||
	    ec.curve.n == 0)
		return 1;
	if (ec.curve.tag != DER_OID)
		return gather_fail(g, -ENOTSUP, "the private key has its curve "
		    "spelled out, which is not supported: write it anew with "
		    "\"openssl ec -param_enc named_curve\"");
	curve = curve_of(&ec.curve);
	if (curve == GNUTLS_ECC_CURVE_INVALID)
		return gather_fail(g, -ENOTSUP, "the private key is of an "
		    "elliptic curve that is not supported: make one of P-256");
	return ec.has_public ? 1 :
	    wait_for_half(g, &ec, curve, was_encrypted, format);
}

/* The key that the half and the point of the certificate make. */
static gnutls_x509_privkey_t
join(const struct cert_half *h, gnutls_x509_crt_t crt)
{
	gnutls_datum_t x = { NULL, 0 }, y = { NULL, 0 }, k;
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
	gnutls_x509_privkey_t key = NULL;

	if (gnutls_x509_crt_get_pk_algorithm(crt, NULL) != GNUTLS_PK_ECDSA ||
	    gnutls_x509_crt_get_pk_ecc_raw(crt, &curve, &x, &y) < 0)
		return NULL;
	k = cert_datum(h->scalar, h->n);
	if ((int)curve == h->curve && gnutls_x509_privkey_init(&key) >= 0 &&
	    (gnutls_x509_privkey_import_ecc_raw(key, curve, &x, &y, &k) < 0 ||
	    gnutls_x509_privkey_verify_params(key) < 0)) {
		gnutls_x509_privkey_deinit(key);
		key = NULL;
	}
	gnutls_free(x.data);
	gnutls_free(y.data);
	return key;
}

static int
join_any(struct gather *g, const struct cert_half *h)
{
	gnutls_x509_privkey_t key;
	int err;

	for (size_t i = 0; i < g->b->certs_n; i++) {
		key = join(h, g->b->certs[i].crt);
		if (key == NULL)
			continue;
		g->file = h->from.file;
		g->keys = h->from.at - 1;
		err = gather_key(g, key, h->was_encrypted, h->from.format);
		return err < 0 ? err : 1;
	}
	return 0;
}

int
gather_halves(struct gather *g)
{
	struct cert_bundle *b = g->b;
	struct gather each = *g;
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < b->halves_n; i++) {
		r = r < 0 ? r : join_any(&each, &b->halves[i]);
		if (r <= 0)
			b->halves[kept++] = b->halves[i];
	}
	explicit_bzero(&b->halves[kept],
	    (b->halves_n - kept) * sizeof(b->halves[0]));
	b->halves_n = kept;
	return r < 0 ? r : 0;
}

/* ---- PBES2 -------------------------------------------------------------- */

/* The ciphers of RFC 8018 B.2 that anybody uses, by their last bytes. */
static gnutls_cipher_algorithm_t
cipher_of(const struct tlv *oid)
{
	static const uint8_t aes[] = {
		0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01
	};
	static const uint8_t des3[] = {
		0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07
	};

	if (oid->n == sizeof(des3) && memcmp(oid->p, des3, oid->n) == 0)
		return GNUTLS_CIPHER_3DES_CBC;
	if (oid->n != sizeof(aes) + 1 ||
	    memcmp(oid->p, aes, sizeof(aes)) != 0)
		return GNUTLS_CIPHER_UNKNOWN;
	return oid->p[sizeof(aes)] == 2 ? GNUTLS_CIPHER_AES_128_CBC :
	    oid->p[sizeof(aes)] == 22 ? GNUTLS_CIPHER_AES_192_CBC :
	    oid->p[sizeof(aes)] == 42 ? GNUTLS_CIPHER_AES_256_CBC :
	    GNUTLS_CIPHER_UNKNOWN;
}

struct pbes2 {
	struct tlv salt, iv, body;
	unsigned rounds;
	gnutls_mac_algorithm_t prf;
	gnutls_cipher_algorithm_t cipher;
};

/* PBKDF2-params; gather_work() has looked at them before. */
static bool
read_kdf(struct tlv t, struct pbes2 *ret)
{
	static const gnutls_mac_algorithm_t prf[] = {
		GNUTLS_MAC_SHA1, GNUTLS_MAC_SHA224, GNUTLS_MAC_SHA256,
		GNUTLS_MAC_SHA384, GNUTLS_MAC_SHA512
	};
	const uint8_t *end;
	struct tlv oid;

	ret->prf = GNUTLS_MAC_SHA1;
	if (!enter(&t, &end) || t.tag != DER_OCTETS)
		return false;
	ret->salt = t;
	if (!tlv_read(t.next, end, &t) || t.tag != DER_INTEGER || t.n > 4)
		return false;
	for (size_t i = 0; i < t.n; i++)
		ret->rounds = ret->rounds << 8 | t.p[i];
	while (tlv_read(t.next, end, &t)) {
		if (t.tag != DER_SEQUENCE || !tlv_read(t.p, t.p + t.n, &oid) ||
		    oid.n == 0)
			continue;
		if (oid.p[oid.n - 1] < 7 || oid.p[oid.n - 1] > 11)
			return false;
		ret->prf = prf[oid.p[oid.n - 1] - 7];
	}
	return ret->rounds > 0;
}

/* EncryptedPrivateKeyInfo: { PBES2, { { PBKDF2, … }, { cipher,
 * iv } } }, octets */
static bool
read_pbes2(const uint8_t *p, size_t n, struct pbes2 *ret)
{
	const uint8_t *end = p + n, *in;
	struct tlv t, a, kdf, cipher;

	if (!tlv_read(p, end, &t) || !enter(&t, &end) ||
	    !tlv_read(t.next, end, &ret->body) || ret->body.tag != DER_OCTETS ||
	    !enter(&t, &in) || !tlv_read(t.next, in, &a) || !enter(&a, &in))
		return false;
	kdf = a;
	if (!tlv_read(a.next, in, &cipher) || !enter(&cipher, &in))
		return false;
	ret->cipher = cipher_of(&cipher);
	if (!tlv_read(cipher.next, in, &ret->iv) || !enter(&kdf, &in) ||
	    !tlv_read(kdf.next, in, &kdf))
		return false;
	return ret->cipher != GNUTLS_CIPHER_UNKNOWN && read_kdf(kdf, ret) &&
	    ret->iv.n == gnutls_cipher_get_iv_size(ret->cipher) &&
	    ret->body.n % gnutls_cipher_get_block_size(ret->cipher) == 0;
}

static bool
decipher(const struct pbes2 *e, const char *password, uint8_t *to)
{
	uint8_t raw[KEY_MAX];
	gnutls_datum_t salt = cert_datum(e->salt.p, e->salt.n);
	gnutls_datum_t pw = cert_datum(password, strlen(password));
	gnutls_datum_t iv = cert_datum(e->iv.p, e->iv.n);
	gnutls_datum_t key = { raw, (unsigned)
	    gnutls_cipher_get_key_size(e->cipher) };
	gnutls_cipher_hd_t h = NULL;
	bool done;

	done = gnutls_pbkdf2(e->prf, &pw, &salt, e->rounds, raw,
	    key.size) >= 0 &&
	    gnutls_cipher_init(&h, e->cipher, &key, &iv) >= 0 &&
	    gnutls_cipher_decrypt2(h, e->body.p, e->body.n, to,
	    e->body.n) >= 0;
	if (h != NULL)
		gnutls_cipher_deinit(h);
	explicit_bzero(raw, sizeof(raw));
	return done;
}

int
gather_key_ec_encrypted(struct gather *g, const uint8_t *p, size_t n,
    const char *format)
{
	struct pbes2 e;
	uint8_t plain[1024];
	int r = 1;

	memset(&e, 0, sizeof(e));
	if (g->password == NULL || !read_pbes2(p, n, &e) ||
	    e.body.n > sizeof(plain))
		return 1;
	if (decipher(&e, g->password, plain))
		r = gather_key_ec(g, plain, e.body.n, true, true, format);
	explicit_bzero(plain, sizeof(plain));
	return r;
}
