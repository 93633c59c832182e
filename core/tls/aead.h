/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening with a bounded cache of GnuTLS cipher handles.  A handle
 * costs 752 bytes and about 0.2 us to make, so idle channels keep none: a
 * worker keeps the most recently used ones.  A cache belongs to one worker's
 * thread.
 *
 * Handles are found by the number of the key.  Numbers come from one counter of
 * the process and are never given twice, so the handle of a key that is gone
 * cannot match; it is dropped at once by aead_cache_drop() or in time by age.
 * Ciphers are numbered as GnuTLS numbers them.
 */
#ifndef CT_TLS_AEAD_H
#define CT_TLS_AEAD_H

#include <stddef.h>
#include <stdint.h>

#define AEAD_TAG_SIZE 16
#define AEAD_NONCE_SIZE 12
#define AEAD_KEY_MAX 32
#define AEAD_CACHE_DEFAULT 256

struct aead_cache;

/* At most `handles` of them (rounded down to a power of two, at least 4).
 * -EINVAL (0 or more than 65536), -ENOMEM. */
int aead_cache_new(unsigned handles, struct aead_cache **ret);
/* Wipes every handle. */
void aead_cache_free(struct aead_cache **);
/* Wipes the handle of this key if there is one. */
void aead_cache_drop(struct aead_cache *, uint64_t key_id);
/* Tests only: how many handles were made since the cache was. */
uint64_t aead_cache_misses(const struct aead_cache *);

/* A number for a key that was just set.  Any thread.  Never 0. */
uint64_t aead_key_id(void);

/* One use of a key; everything is borrowed. */
struct aead_op {
	uint64_t key_id;
	const uint8_t *key;
	size_t key_n;
	int cipher;
	const uint8_t *nonce;		/* AEAD_NONCE_SIZE */
	const uint8_t *aad;
	size_t aad_n;
};

/* Encrypts in[0..n) to out[0..n + AEAD_TAG_SIZE); in == out is allowed.
 * -ENOMEM when the library fails. */
int aead_seal(struct aead_cache *, const struct aead_op *, const uint8_t *in,
    size_t n, uint8_t *out);
/* Decrypts in[0..n), n >= AEAD_TAG_SIZE, to out[0..n - AEAD_TAG_SIZE).
 * -EBADMSG the tag does not fit (out is then not to be used), -ENOMEM. */
int aead_open(struct aead_cache *, const struct aead_op *, const uint8_t *in,
    size_t n, uint8_t *out);

#endif
