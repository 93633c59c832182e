/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making and freeing a detached TLS connection, and what both directions share:
 * where the keys lie, nonces (RFC 8446 5.3; RFC 5288 3, RFC 6655 3, RFC 7905 2)
 * and the change to the next keys (RFC 8446 7.2).  Every key in here is wiped
 * with the object that holds it.
 */
#include "tls/record.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "base/check.h"
#include "base/slab.h"
#include "tls/keysched.h"
#include "tls/record_priv.h"

/* 2^24.5: the bound of RFC 8446 5.5 for AES-GCM holds for TLS 1.2 as well. */
#define GCM_MAX UINT64_C(23726566)
#define CCM_MAX (UINT64_C(1) << 23)

const struct rec_cipher rec_ciphers[REC_CIPHERS] = {
	{ GNUTLS_CIPHER_AES_128_GCM, GNUTLS_MAC_SHA256, 32, 16, 8, GCM_MAX },
	{ GNUTLS_CIPHER_AES_256_GCM, GNUTLS_MAC_SHA384, 48, 32, 8, GCM_MAX },
	{ GNUTLS_CIPHER_CHACHA20_POLY1305, GNUTLS_MAC_SHA256, 32, 32, 0,
	    UINT64_MAX },
	{ GNUTLS_CIPHER_AES_128_CCM, GNUTLS_MAC_SHA256, 32, 16, 8, CCM_MAX },
	{ GNUTLS_CIPHER_AES_256_CCM, 0, 0, 32, 8, CCM_MAX },
};

static int
cipher_index(int gnutls_id)
{
	for (int i = 0; i < REC_CIPHERS; i++)
		if (rec_ciphers[i].gnutls_id == gnutls_id)
			return i;
	return -EINVAL;
}

/*
 * A connection outlives its handshake by days: on the heap it would keep the
 * holes apart that handshakes leave there.  One slab for each length; they are
 * the process's, since a connection may end in another thread than it began.
 */
static struct {
	pthread_mutex_t lock;		/* guards slab */
	struct slab slab[2][REC_CIPHERS];	/* TLS 1.2, 1.3 */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct slab *
slab_of(const struct tls_record *r)
{
	return &pool.slab[rec_is(r, REC_13) ? 1 : 0][r->cipher];
}

static struct tls_record *
take_place(const struct tls_record *shape)
{
	struct slab *s = slab_of(shape);
	struct tls_record *r;

	pthread_mutex_lock(&pool.lock);
	if (s->size == 0)
		slab_init(s, offsetof(struct tls_record, keys) +
		    2 * rec_direction_n(shape));
	r = slab_get(s);
	pthread_mutex_unlock(&pool.lock);
	return r;
}

struct tls_record *
rec_alloc(unsigned flags, unsigned cipher)
{
	struct tls_record shape = {
		.t.ops = &tls_record_ops,
		.flags = (uint8_t)flags,
		.cipher = (uint8_t)cipher,
		.update_credit = TLS_RECORD_KEYUPDATE_BURST *
		    TLS_RECORD_KEYUPDATE_EVERY,
	};
	struct tls_record *r = take_place(&shape);

	if (r == NULL)
		return NULL;
	memcpy(r, &shape, offsetof(struct tls_record, keys));
	r->key_id[RD] = aead_key_id();
	r->key_id[WR] = aead_key_id();
	return r;
}

static void
put64(uint8_t *to, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		to[i] = (uint8_t)v;
}

struct aead_op
rec_op(struct tls_record *r, enum rec_dir dir, const uint8_t *explicit_nonce,
    uint8_t nonce[AEAD_NONCE_SIZE])
{
	const struct rec_cipher *c = &rec_ciphers[r->cipher];
	const uint8_t *iv = rec_iv(r, dir);
	uint64_t low;

	/* Whole words: this is done for every record. */
	if (explicit_nonce != NULL) {
		memcpy(&low, explicit_nonce, 8);
	} else {
		memcpy(&low, iv + 4, 8);
		low ^= htobe64(r->seq[dir]);
	}
	memcpy(nonce, iv, 4);
	memcpy(nonce + 4, &low, 8);
	return (struct aead_op){
		.key_id = r->key_id[dir],
		.key = rec_key(r, dir),
		.key_n = c->key_n,
		.cipher = c->gnutls_id,
		.nonce = nonce,
	};
}

void
rec_aad12(uint64_t seq, uint8_t type, size_t n, uint8_t *aad)
{
	put64(aad, seq);
	aad[8] = type;
	aad[9] = 3;
	aad[10] = 3;
	aad[11] = (uint8_t)(n >> 8);
	aad[12] = (uint8_t)n;
}

int
rec_update(struct tls_record *r, struct stage *st, enum rec_dir dir)
{
	const struct rec_cipher *c = &rec_ciphers[r->cipher];
	int rc = keysched_next(c->prf13, rec_secret(r, dir));

	if (rc == 0)
		rc = keysched_traffic(c->prf13, rec_secret(r, dir),
		    rec_key(r, dir), c->key_n, rec_iv(r, dir));
	if (rc < 0)
		return rc;
	aead_cache_drop(st->aead, r->key_id[dir]);
	r->key_id[dir] = aead_key_id();
	r->seq[dir] = 0;
	return 0;
}

static bool
direction_fits(const struct tls_detach *d, const struct tls_direction *x,
    const struct rec_cipher *c)
{
	bool is_13 = d->version == 0x0304;
	size_t iv_n = !is_13 && c->explicit12 != 0 ? 4 : REC_IV;
	size_t secret_n = is_13 ? c->secret_n : 0;

	return x->key_len == c->key_n && x->iv_len == iv_n &&
	    x->secret_len == secret_n;
}

/* Copies one direction; for 1.3 the keys are derived and compared. */
static int
direction_set(struct tls_record *r, enum rec_dir dir,
    const struct tls_direction *x)
{
	const struct rec_cipher *c = &rec_ciphers[r->cipher];
	int rc;

	r->seq[dir] = x->seq;
	if (!rec_is(r, REC_13)) {
		memcpy(rec_key(r, dir), x->key, x->key_len);
		memcpy(rec_iv(r, dir), x->iv, x->iv_len);
		return 0;
	}
	memcpy(rec_secret(r, dir), x->secret, x->secret_len);
	rc = keysched_traffic(c->prf13, x->secret, rec_key(r, dir), c->key_n,
	    rec_iv(r, dir));
	if (rc < 0)
		return rc;
	if (memcmp(rec_key(r, dir), x->key, c->key_n) != 0 ||
	    memcmp(rec_iv(r, dir), x->iv, REC_IV) != 0)
		return -EBADMSG;
	return 0;
}

static void
rec_free(struct transport **t)
{
	struct tls_record *r;

	if (*t == NULL)
		return;
	CT_ASSERT((*t)->ops == &tls_record_ops);
	r = rec_of(*t);
	pthread_mutex_lock(&pool.lock);
	slab_put(slab_of(r), r);
	pthread_mutex_unlock(&pool.lock);
	*t = NULL;
}

int
tls_record_new(const struct tls_detach *d, struct transport **ret)
{
	int cipher = cipher_index(d->cipher);
	const struct rec_cipher *c = &rec_ciphers[cipher < 0 ? 0 : cipher];
	struct tls_record *r;
	struct transport *t;
	bool is_13 = d->version == 0x0304;
	int rc;

	if (cipher < 0 || (!is_13 && d->version != 0x0303))
		return -EINVAL;
	if (is_13 && (c->prf13 == 0 || d->prf != c->prf13))
		return -EINVAL;
	if (d->limit < TLS_RECORD_LIMIT_MIN || d->limit > TLS_RECORD_PLAIN_MAX)
		return -EINVAL;
	if (d->take < TLS_RECORD_LIMIT_MIN || d->take > TLS_RECORD_PLAIN_MAX)
		return -EINVAL;
	if (!direction_fits(d, &d->rd, c) || !direction_fits(d, &d->wr, c))
		return -EINVAL;
	r = rec_alloc((is_13 ? REC_13 : 0u) |
	    (d->is_client ? REC_CLIENT : 0u), (unsigned)cipher);
	if (r == NULL)
		return -ENOMEM;
	t = &r->t;
	r->limit = d->limit;
	r->take = d->take;
	rc = direction_set(r, RD, &d->rd);
	if (rc == 0)
		rc = direction_set(r, WR, &d->wr);
	if (rc < 0) {
		rec_free(&t);
		return rc;
	}
	*ret = t;
	return 0;
}

static int
rec_eof(const struct transport *t)
{
	const struct tls_record *r = (const void *)t;

	return rec_is(r, REC_READ_CLOSED) ? -EPIPE : -ECONNRESET;
}

static void
rec_retire(struct transport *t, struct stage *st)
{
	const struct tls_record *r = rec_of(t);

	aead_cache_drop(st->aead, r->key_id[RD]);
	aead_cache_drop(st->aead, r->key_id[WR]);
}

size_t
tls_record_test_count(void)
{
	size_t n = 0;

	pthread_mutex_lock(&pool.lock);
	for (int i = 0; i < REC_CIPHERS; i++)
		n += pool.slab[0][i].used + pool.slab[1][i].used;
	pthread_mutex_unlock(&pool.lock);
	return n;
}

const struct transport_ops tls_record_ops = {
	.name = "tls",
	.tag = 'T',
	.read = rec_read,
	.write = rec_write,
	.shutdown = rec_shutdown,
	.eof = rec_eof,
	.reason = rec_reason_text,
	.export = rec_export,
	.import = rec_import,
	.retire = rec_retire,
	.free = rec_free,
};
