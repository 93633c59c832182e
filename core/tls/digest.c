/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes, random bytes and base64 (RFC 4648 4) for the folders that may not
 * include GnuTLS.  Keeps no state.
 */
#include "tls/digest.h"

#include <errno.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/mem.h"

static const char b64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The hash leaves its last block, and so a whole token, on the stack below us;
 * AddressSanitizer would put our area elsewhere. */
static __attribute__((noinline, no_sanitize_address)) void
wipe_stack(void)
{
	uint8_t area[2048];

	mem_wipe(area, sizeof(area));
}

int
digest_sha256(const void *p, size_t n, uint8_t ret[32])
{
	int r = gnutls_hash_fast(GNUTLS_DIG_SHA256, n > 0 ? p : "", n, ret);

	wipe_stack();
	return r < 0 ? -EIO : 0;
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
