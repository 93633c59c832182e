/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes, random bytes, base64 (RFC 4648 4), hex and Ed25519 (RFC 8032) for the
 * folders that may not include GnuTLS.  Keeps no state.
 */
#include "tls/digest.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "tls/vendor.h"

static const char b64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int
digest_sha256(const void *p, size_t n, uint8_t ret[32])
{
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, n > 0 ? p : "", n, ret) < 0)
		return -EIO;
	return 0;
}

int
digest_sha1(const void *p, size_t n, uint8_t ret[20])
{
	if (gnutls_hash_fast(GNUTLS_DIG_SHA1, n > 0 ? p : "", n, ret) < 0)
		return -EIO;
	return 0;
}

int
digest_random(void *p, size_t n)
{
	if (n > 0 && gnutls_rnd(GNUTLS_RND_RANDOM, p, n) < 0)
		return -EIO;
	return 0;
}

bool
digest_equal(const void *a, const void *b, size_t n)
{
	return n == 0 || gnutls_memcmp(a, b, n) == 0;
}

void
digest_base64(const void *p, size_t n, char *to)
{
	const uint8_t *s = p;
	uint32_t v;

	for (; n >= 3; n -= 3, s += 3) {
		v = (uint32_t)s[0] << 16 | (uint32_t)s[1] << 8 | s[2];
		*to++ = b64[v >> 18];
		*to++ = b64[v >> 12 & 63];
		*to++ = b64[v >> 6 & 63];
		*to++ = b64[v & 63];
	}
	if (n > 0) {
		v = (uint32_t)s[0] << 16 | (n > 1 ? (uint32_t)s[1] << 8 : 0);
		*to++ = b64[v >> 18];
		*to++ = b64[v >> 12 & 63];
		*to++ = n > 1 ? b64[v >> 6 & 63] : '=';
		*to++ = '=';
	}
	*to = '\0';
}

static int
b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One group of four characters; `last` allows padding.  Returns the bytes in
 * v (1 to 3), or -1.  Bits beyond the last byte must be zero, so that every
 * value has exactly one text. */
static int
b64_group(const char *text, bool last, uint8_t v[3])
{
	int c[4], pad = 0, i;

	if (last && text[3] == '=')
		pad = text[2] == '=' ? 2 : 1;
	for (i = 0; i < 4; i++) {
		c[i] = i >= 4 - pad ? 0 : b64_value(text[i]);
		if (c[i] < 0)
			return -1;
	}
	if ((pad == 1 && (c[2] & 3) != 0) || (pad == 2 && (c[1] & 15) != 0))
		return -1;
	v[0] = (uint8_t)(c[0] << 2 | c[1] >> 4);
	v[1] = (uint8_t)(c[1] << 4 | c[2] >> 2);
	v[2] = (uint8_t)(c[2] << 6 | c[3]);
	return 3 - pad;
}

int
digest_base64_decode(const char *text, size_t n, uint8_t *to, size_t cap,
    size_t *ret_n)
{
	uint8_t v[3];
	size_t i, used = 0;
	int k;

	if (n % 4 != 0)
		return -EINVAL;
	for (i = 0; i < n; i += 4) {
		k = b64_group(text + i, i + 4 == n, v);
		if (k < 0 || (size_t)k > cap - used)
			return -EINVAL;
		memcpy(to + used, v, (size_t)k);
		used += (size_t)k;
	}
	*ret_n = used;
	return 0;
}

void
digest_hex(const void *p, size_t n, char *to)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *s = p;
	size_t i;

	for (i = 0; i < n; i++) {
		*to++ = digit[s[i] >> 4];
		*to++ = digit[s[i] & 15];
	}
	*to = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
digest_hex_decode(const char *text, uint8_t *to, size_t n)
{
	size_t i;
	int hi, lo;

	if (strnlen(text, 2 * n + 1) != 2 * n)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		hi = hex_value(text[2 * i]);
		lo = hex_value(text[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		to[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

int
digest_ed25519_verify(const uint8_t public_key[32], const void *msg,
    size_t n, const uint8_t signature[64])
{
	gnutls_datum_t x = tls_datum(public_key, 32);
	gnutls_datum_t m = tls_datum(n > 0 ? msg : "", n);
	gnutls_datum_t sig = tls_datum(signature, 64);
	gnutls_pubkey_t key = NULL;
	int r = -EBADMSG;

	if (n > UINT_MAX)
		return -EBADMSG;
	if (gnutls_pubkey_init(&key) < 0)
		return -ENOMEM;
	if (gnutls_pubkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &x,
	    NULL) == 0 &&
	    gnutls_pubkey_verify_data2(key, GNUTLS_SIGN_EDDSA_ED25519, 0, &m,
	    &sig) >= 0)
		r = 0;
	gnutls_pubkey_deinit(key);
	return r;
}
