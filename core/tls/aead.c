/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of cipher handles: four ways, the least recently used of a set
 * gives way.  Owns the handles, which hold copies of keys (GnuTLS wipes its
 * copy in deinit); never keeps a pointer to a key or its owner.
 */
#include "tls/aead.h"

#include <errno.h>
#include <stdatomic.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "base/check.h"
#include "base/mem.h"

#define WAYS 4
#define HANDLES_MAX 65536

struct entry {
	uint64_t key_id;		/* 0: empty */
	uint64_t used;			/* the cache's clock */
	gnutls_aead_cipher_hd_t hd;
};

struct aead_cache {
	uint64_t clock, misses;
	unsigned sets;			/* a power of two */
	struct entry e[];
};

static _Atomic uint64_t last_key_id;

int
aead_cache_new(unsigned handles, struct aead_cache **ret)
{
	struct aead_cache *c;
	unsigned sets = 1;

	if (handles == 0 || handles > HANDLES_MAX)
		return -EINVAL;
	while (sets * 2 * WAYS <= handles)
		sets *= 2;
	c = mem_calloc(1, sizeof(*c) + sets * WAYS * sizeof(c->e[0]));
	if (c == NULL)
		return -ENOMEM;
	c->sets = sets;
	*ret = c;
	return 0;
}

static void
entry_clear(struct entry *e)
{
	if (e->key_id == 0)
		return;
	gnutls_aead_cipher_deinit(e->hd);
	e->key_id = 0;
	e->used = 0;
}

void
aead_cache_free(struct aead_cache **cp)
{
	struct aead_cache *c = *cp;

	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->sets * WAYS; i++)
		entry_clear(&c->e[i]);
	mem_free(c);
	*cp = NULL;
}

/* Numbers are handed out in a row, so the low bits spread by themselves. */
static struct entry *
set_of(struct aead_cache *c, uint64_t key_id)
{
	return &c->e[(key_id & (c->sets - 1)) * WAYS];
}

void
aead_cache_drop(struct aead_cache *c, uint64_t key_id)
{
	struct entry *set = set_of(c, key_id);

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].key_id == key_id)
			entry_clear(&set[i]);
}

uint64_t
aead_cache_misses(const struct aead_cache *c)
{
	return c->misses;
}

uint64_t
aead_key_id(void)
{
	return atomic_fetch_add_explicit(&last_key_id, 1,
	    memory_order_relaxed) + 1;
}

static int
handle(struct aead_cache *c, const struct aead_op *op,
    gnutls_aead_cipher_hd_t *ret)
{
	struct entry *set = set_of(c, op->key_id), *old = set;
	uint8_t key[AEAD_KEY_MAX];
	gnutls_datum_t k = { key, (unsigned)op->key_n };
	gnutls_aead_cipher_hd_t hd;
	int rc;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key_id == op->key_id) {
			set[i].used = ++c->clock;
			*ret = set[i].hd;
			return 0;
		}
		if (set[i].used < old->used)
			old = &set[i];
	}
	CT_ASSERT(op->key_id != 0 && op->key_n <= sizeof(key));
	for (size_t i = 0; i < op->key_n; i++)
		key[i] = op->key[i];
	rc = gnutls_aead_cipher_init(&hd, (gnutls_cipher_algorithm_t)op->cipher,
	    &k);
	mem_wipe(key, sizeof(key));
	if (rc < 0)
		return -ENOMEM;
	entry_clear(old);
	old->key_id = op->key_id;
	old->used = ++c->clock;
	old->hd = hd;
	c->misses++;
	*ret = hd;
	return 0;
}

int
aead_seal(struct aead_cache *c, const struct aead_op *op, const uint8_t *in,
    size_t n, uint8_t *out)
{
	gnutls_aead_cipher_hd_t hd;
	size_t out_n = n + AEAD_TAG_SIZE;
	int rc = handle(c, op, &hd);

	if (rc < 0)
		return rc;
	rc = gnutls_aead_cipher_encrypt(hd, op->nonce, AEAD_NONCE_SIZE,
	    op->aad, op->aad_n, AEAD_TAG_SIZE, in, n, out, &out_n);
	if (rc < 0)
		return -ENOMEM;
	CT_ASSERT(out_n == n + AEAD_TAG_SIZE);
	return 0;
}

int
aead_open(struct aead_cache *c, const struct aead_op *op, const uint8_t *in,
    size_t n, uint8_t *out)
{
	gnutls_aead_cipher_hd_t hd;
	size_t out_n = n - AEAD_TAG_SIZE;
	int rc = handle(c, op, &hd);

	if (rc < 0)
		return rc;
	rc = gnutls_aead_cipher_decrypt(hd, op->nonce, AEAD_NONCE_SIZE,
	    op->aad, op->aad_n, AEAD_TAG_SIZE, in, n, out, &out_n);
	if (rc == GNUTLS_E_MEMORY_ERROR)
		return -ENOMEM;
	return rc < 0 ? -EBADMSG : 0;
}
