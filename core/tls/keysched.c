/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic keys of TLS 1.3 (RFC 8446 7.1 HKDF-Expand-Label, 7.2 next secret,
 * 7.3 keys).  Owns nothing; every copy of a secret made here is wiped before
 * return.
 */
#include "tls/keysched.h"

#include <errno.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/check.h"
#include "base/mem.h"

#define LABEL_MAX 12

size_t
keysched_secret_size(int prf)
{
	switch (prf) {
	case GNUTLS_MAC_SHA256:
		return 32;
	case GNUTLS_MAC_SHA384:
		return 48;
	default:
		return 0;
	}
}

int
keysched_expand(int prf, const uint8_t *secret, const char *label,
    uint8_t *to, size_t n)
{
	uint8_t key[KEYSCHED_SECRET_MAX];
	uint8_t info[2 + 1 + 6 + LABEL_MAX + 1];
	size_t label_n = strlen(label), secret_n = keysched_secret_size(prf);
	gnutls_datum_t k = { key, (unsigned)secret_n };
	gnutls_datum_t i = { info, (unsigned)(2 + 1 + 6 + label_n + 1) };
	int rc;

	CT_ASSERT(secret_n != 0 && label_n <= LABEL_MAX && n <= 255);
	memcpy(key, secret, secret_n);
	info[0] = 0;
	info[1] = (uint8_t)n;
	info[2] = (uint8_t)(6 + label_n);
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, label_n);
	info[9 + label_n] = 0;
	rc = gnutls_hkdf_expand((gnutls_mac_algorithm_t)prf, &k, &i, to, n);
	mem_wipe(key, sizeof(key));
	if (rc < 0) {
		mem_wipe(to, n);
		return -ENOMEM;
	}
	return 0;
}

int
keysched_traffic(int prf, const uint8_t *secret, uint8_t *key, size_t key_n,
    uint8_t iv[KEYSCHED_IV_SIZE])
{
	int rc = keysched_expand(prf, secret, "key", key, key_n);

	if (rc == 0)
		rc = keysched_expand(prf, secret, "iv", iv, KEYSCHED_IV_SIZE);
	if (rc < 0)
		mem_wipe(key, key_n);
	return rc;
}

int
keysched_next(int prf, uint8_t *secret)
{
	uint8_t next[KEYSCHED_SECRET_MAX];
	size_t n = keysched_secret_size(prf);
	int rc = keysched_expand(prf, secret, "traffic upd", next, n);

	if (rc == 0)
		memcpy(secret, next, n);
	mem_wipe(next, sizeof(next));
	return rc;
}
