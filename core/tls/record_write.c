/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing records (RFC 8446 5.2, RFC 5246 6.2.3.3, RFC 5288 3), and the
 * KeyUpdates that must go out before the next data: the answer to the peer's,
 * and our own before a key has sealed too much (RFC 8446 4.6.3, 5.5).
 */
#include "tls/record_priv.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

#define HS_KEY_UPDATE 24

static uint64_t rekey_after = TLS_RECORD_REKEY_AFTER;
static uint64_t test_max12;

void
tls_record_test_bounds(uint64_t after, uint64_t max12)
{
	rekey_after = after != 0 ? after : TLS_RECORD_REKEY_AFTER;
	test_max12 = max12;
}

int
rec_seal(struct tls_record *r, struct stage *st, uint8_t type,
    const uint8_t *p, size_t n)
{
	size_t skip = rec_explicit(r);
	size_t body_n = rec_overhead(r) + n - REC_HEADER;
	uint8_t *w = st->tx.p + st->tx.n, *body = w + REC_HEADER + skip;
	uint8_t nonce[AEAD_NONCE_SIZE], aad[13];
	struct aead_op op;
	int rc;

	if (outbuf_room(&st->tx) < REC_HEADER + body_n)
		return -ENOBUFS;
	if (r->seq[WR] == UINT64_MAX)
		return -EOVERFLOW;
	w[0] = rec_is(r, REC_13) ? REC_DATA : type;
	w[1] = 3;
	w[2] = 3;
	w[3] = (uint8_t)(body_n >> 8);
	w[4] = (uint8_t)body_n;
	rec_aad12(r->seq[WR], type, n, aad);
	if (skip != 0)			/* the sequence number, RFC 5288 3 */
		memcpy(w + REC_HEADER, aad, skip);
	op = rec_op(r, WR, skip != 0 ? w + REC_HEADER : NULL, nonce);
	op.aad = rec_is(r, REC_13) ? w : aad;
	op.aad_n = rec_is(r, REC_13) ? REC_HEADER : sizeof(aad);
	if (rec_is(r, REC_13)) {
		memcpy(body, p, n);
		body[n++] = type;
		p = body;
	}
	rc = aead_seal(st->aead, &op, p, n, body);
	if (rc < 0)
		return rc;
	r->seq[WR]++;
	st->tx.n += REC_HEADER + body_n;
	return 0;
}

int
rec_put_update(struct tls_record *r, struct stage *st)
{
	uint8_t p[REC_KEYUPDATE] = { HS_KEY_UPDATE, 0, 0, 1, 0 };
	int rc;

	if (!rec_is(r, REC_OWE_UPDATE | REC_REKEY) ||
	    rec_is(r, REC_WRITE_CLOSED))
		return 0;
	/* An answer asks for nothing, and serves for our own wish as well. */
	if (!rec_is(r, REC_OWE_UPDATE) && rec_is(r, REC_REKEY_ASK))
		p[4] = 1;
	rc = rec_seal(r, st, REC_HANDSHAKE, p, sizeof(p));
	if (rc == -ENOBUFS)
		return rc;
	if (rc == -EOVERFLOW)
		return rec_fail(r, st, ALERT_INTERNAL_ERROR, WHY_SEQUENCE);
	if (rc == 0)
		rc = rec_update(r, st, WR);
	if (rc < 0) {
		/* The peer expects new keys that we do not have. */
		rec_end(r, st, REC_FAILED | REC_WRITE_CLOSED, WHY_MEMORY);
		return rc;
	}
	r->flags &= (uint8_t)~(REC_OWE_UPDATE | REC_REKEY | REC_REKEY_ASK);
	return 0;
}

int
tls_record_rekey(struct transport *t, bool ask_peer)
{
	struct tls_record *r = rec_of(t);

	CT_ASSERT(t->ops == &tls_record_ops);
	if (!rec_is(r, REC_13))
		return -ENOTSUP;
	if (r->seq[WR] == 0)
		return -EAGAIN;
	r->flags |= REC_REKEY;
	if (ask_peer)
		r->flags |= REC_REKEY_ASK;
	return 0;
}

/* Whether the present key may seal one more record of data. */
static bool
used_up(const struct tls_record *r)
{
	uint64_t max = rec_ciphers[r->cipher].max12;

	if (rec_is(r, REC_13))
		return r->seq[WR] == UINT64_MAX;
	if (test_max12 != 0)
		max = test_max12;
	return r->seq[WR] >= max;
}

/* How much of n bytes goes into the next record; 0: none. */
static size_t
record_plain(const struct tls_record *r, const struct outbuf *tx, size_t n)
{
	size_t room = outbuf_room(tx), over = rec_overhead(r);

	if (n > r->limit)
		n = r->limit;
	if (room >= n + over)
		return n;
	/* Waiting would not help where nothing waits to be sent. */
	return tx->n == 0 && room > over ? room - over : 0;
}

ssize_t
rec_write(struct transport *t, struct stage *st, const uint8_t *p, size_t n)
{
	struct tls_record *r = rec_of(t);
	size_t done = 0, k;
	int rc;

	CT_ASSERT(st->aead != NULL);
	if (rec_is(r, REC_WRITE_CLOSED | REC_FAILED))
		return -EPIPE;
	do {
		if (rec_is(r, REC_13) && r->seq[WR] >= rekey_after)
			r->flags |= REC_REKEY;
		rc = rec_put_update(r, st);
		if (rc < 0 || done == n)
			break;
		if (used_up(r)) {
			r->reason = WHY_USED_UP;
			rc = -EOVERFLOW;
			break;
		}
		k = record_plain(r, &st->tx, n - done);
		if (k == 0)
			break;
		rc = rec_seal(r, st, REC_DATA, p + done, k);
		if (rc < 0)
			break;
		done += k;
	} while (done < n);
	if (rc == -EPROTO)		/* from rec_put_update */
		rc = -EOVERFLOW;
	if (rc < 0 && rc != -ENOBUFS && done == 0)
		return rc;
	return (ssize_t)done;
}

size_t
rec_sealed_size(const struct transport *t, size_t n)
{
	const struct tls_record *r = (const void *)t;
	size_t update = rec_is(r, REC_13) ?
	    rec_overhead(r) + REC_KEYUPDATE : 0;

	if (n > r->limit)
		n = r->limit;
	if (n < 2)
		n = 2;			/* an alert */
	return update + rec_overhead(r) + n;
}
