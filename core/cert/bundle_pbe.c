/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much work a file wants done before its password can be tried: every
 * encryption by password (RFC 8018 PBES1 and PBES2, RFC 7292 appendix C) that
 * stands in its bytes, and the MAC of a PKCS#12.  They are found by their OID
 * wherever they are, so neither depth nor BER hides one; what a false find
 * costs is a refusal, once in 2^80 files.
 *
 * The unit is one round of PBKDF2 with HMAC-SHA256, about 0.15 us: a factor
 * says how much slower another hash is, measured with GnuTLS 3.7.
 */
#include "cert/bundle_priv.h"

#include <errno.h>
#include <string.h>

#define FACTOR_SHORT 1			/* SHA-1, SHA-224, SHA-256 */
#define FACTOR_LONG 5			/* SHA-384, SHA-512 */
/* The key derivation of PKCS#12 is written with more ado. */
#define FACTOR_PKCS12 2
#define BLOCKS_3DES 3			/* of SHA-1: two for the key, one IV */

/* 1.2.840.113549: .1.5 is PKCS#5, .1.12.1 PKCS#12, .2 the hashes */
#define RSADSI 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d

static const uint8_t pkcs5[] = { 0x06, 0x09, RSADSI, 0x01, 0x05 };
static const uint8_t pkcs12[] = { 0x06, 0x0a, RSADSI, 0x01, 0x0c, 0x01 };
static const uint8_t hmac[] = { RSADSI, 0x02 };
/* id-scrypt, 1.3.6.1.4.1.11591.4.11 (RFC 7914),
 * which GnuTLS takes for damage */
static const uint8_t scrypt_oid[] = {
	0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b
};
#define KEY_BYTES_MAX 64
#define PBKDF2 12			/* the last arc below pkcs5 */

/* An INTEGER; what is negative or does not fit is as much as there can be. */
static uint64_t
number(const struct tlv *t)
{
	uint64_t v = 0;

	if (t->n == 0 || (t->p[0] & 0x80) != 0)
		return UINT64_MAX;
	for (size_t i = 0; i < t->n; i++) {
		if (v > UINT64_MAX >> 8)
			return UINT64_MAX;
		v = v << 8 | t->p[i];
	}
	return v;
}

static int
spend(struct gather *g, uint64_t rounds, unsigned factor)
{
	if (rounds == 0)
		return gather_fail(g, -E2BIG, "wants its password hashed in 0 "
		    "iterations, which is none: write the file anew");
	if (rounds > (CERT_WORK_MAX - g->work) / factor)
		return gather_fail(g, -E2BIG, "wants its password hashed %llu "
		    "times, which takes too long: write the file anew with "
		    "fewer iterations, such as 600000",
		    (unsigned long long)rounds);
	g->work += (unsigned)rounds * factor;
	return 0;
}

int
gather_rounds(struct gather *g, unsigned rounds)
{
	return spend(g, rounds, FACTOR_SHORT);
}

/* PBKDF2-params: salt, iterationCount, keyLength OPTIONAL, prf DEFAULT
 * hmacWithSHA1 (RFC 8018 A.2). */
static int
pbkdf2(struct gather *g, const struct tlv *params, unsigned times)
{
	const uint8_t *end = params->p + params->n;
	struct tlv t, oid;
	uint64_t rounds;
	unsigned factor = 2 * FACTOR_SHORT;	/* 32 bytes are two of SHA-1 */

	if (!tlv_read(params->p, end, &t) || !tlv_read(t.next, end, &t) ||
	    t.tag != DER_INTEGER)
		return 0;		/* not what it looked like */
	rounds = number(&t);
	while (tlv_read(t.next, end, &t)) {
		if (t.tag == DER_INTEGER && number(&t) > KEY_BYTES_MAX)
			return gather_fail(g, -EINVAL, "is damaged: its "
			    "encryption wants a key of %llu bytes",
			    (unsigned long long)number(&t));
		if (t.tag != DER_SEQUENCE)
			continue;
		if (!tlv_read(t.p, t.p + t.n, &oid) ||
		    oid.n != sizeof(hmac) + 1 ||
		    memcmp(oid.p, hmac, sizeof(hmac)) != 0 ||
		    oid.p[sizeof(hmac)] < 7 || oid.p[sizeof(hmac)] > 11)
			return gather_fail(g, -ENOTSUP, "its password is "
			    "hashed with something else than SHA-1 or SHA-2, "
			    "which is not supported: write the file anew with "
			    "HMAC-SHA256");
		factor = oid.p[sizeof(hmac)] >= 10 ? FACTOR_LONG :
		    oid.p[sizeof(hmac)] == 9 ? FACTOR_SHORT : factor;
	}
	return spend(g, rounds, factor * times);
}

/* PBEParameter, pkcs-12PbeParams: salt, iterations. */
static int
pbes1(struct gather *g, const struct tlv *params, unsigned factor)
{
	struct tlv t;

	if (!tlv_read(params->p, params->p + params->n, &t) ||
	    t.tag != DER_OCTETS ||
	    !tlv_read(t.next, params->p + params->n, &t) ||
	    t.tag != DER_INTEGER)
		return 0;
	return spend(g, number(&t), factor);
}

static int
spend_at(struct gather *g, const uint8_t *p, const uint8_t *end, bool is12,
    unsigned times)
{
	struct tlv oid, params;

	if (!tlv_read(p, end, &oid) || !tlv_read(oid.next, end, &params) ||
	    params.tag != DER_SEQUENCE)
		return 0;
	if (is12)
		return pbes1(g, &params, times * FACTOR_PKCS12 * BLOCKS_3DES);
	return oid.p[oid.n - 1] == PBKDF2 ? pbkdf2(g, &params, times) :
	    pbes1(g, &params, times * FACTOR_SHORT);
}

static int
spend_all(struct gather *g, const uint8_t *p, const uint8_t *end,
    const uint8_t *oid, size_t n, unsigned times)
{
	int err = 0;

	while (err == 0 && p < end &&
	    (p = memmem(p, (size_t)(end - p), oid, n)) != NULL) {
		err = spend_at(g, p, end, oid == pkcs12, times);
		p += n;
	}
	return err;
}

int
gather_work(struct gather *g, const uint8_t *p, size_t n, unsigned times)
{
	int err;

	if (memmem(p, n, scrypt_oid, sizeof(scrypt_oid)) != NULL)
		return gather_fail(g, -ENOTSUP, "the private key is encrypted "
		    "with scrypt, which is not supported: convert it with "
		    "\"openssl pkcs8 -topk8 -v2 aes-256-cbc\"");
	err = spend_all(g, p, p + n, pkcs5, sizeof(pkcs5), times);
	return err < 0 ? err :
	    spend_all(g, p, p + n, pkcs12, sizeof(pkcs12), times);
}

int
gather_work_mac(struct gather *g, const uint8_t *p, size_t n, bool is_long,
    unsigned rounds, unsigned times)
{
	unsigned factor = times * FACTOR_PKCS12 *
	    (is_long ? FACTOR_LONG : FACTOR_SHORT);
	struct tlv t;

	/* The third of a PFX, its last element (RFC 7292 4): what GnuTLS
	 * makes of a count over 32 bits is not what stands there.  Behind
	 * a content of indefinite length is nothing to be found. */
	if (tlv_read(p, p + n, &t) && !t.open) {
		const uint8_t *end = t.p + t.n;

		if (tlv_read(t.p, end, &t) && tlv_read(t.next, end, &t) &&
		    !t.open && tlv_read(t.next, end, &t) &&
		    tlv_read(t.p, end, &t) && tlv_read(t.next, end, &t) &&
		    tlv_read(t.next, end, &t) && t.tag == DER_INTEGER)
			return spend(g, number(&t), factor);
	}
	return spend(g, rounds, factor);
}
