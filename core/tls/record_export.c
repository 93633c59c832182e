/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as bytes and back, for another worker or another process.  For
 * TLS 1.3 the secrets move only: keys are derived anew and cannot disagree.
 * Import trusts nothing: what no export can have written is refused.
 *
 * Version 2, big endian: tag, version, length of it all (2), flags, cipher,
 * limit (2), take (2), handshake header (4) and its filled bytes (1), empties,
 * warnings,
 * tickets, renegotiations, credit, bytes to skip (4), read and write sequence
 * (8, 8); then for read and write: the secret (1.3), or key and IV (1.2).
 */
#include "tls/record_priv.h"

#include <errno.h>
#include <string.h>

#include "tls/keysched.h"

#define VERSION 2
#define FIXED 40

static size_t
direction_n(const struct tls_record *r)
{
	return rec_is(r, REC_13) ? rec_secret_n(r) :
	    (size_t)rec_ciphers[r->cipher].key_n + REC_IV;
}

static uint8_t *
put(uint8_t *to, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, v >>= 8)
		to[i] = (uint8_t)v;
	return to + bytes;
}

static uint64_t
get(const uint8_t **p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v = v << 8 | *(*p)++;
	return v;
}

int
rec_export(const struct transport *t, struct outbuf *out)
{
	const struct tls_record *r = (const void *)t;
	size_t each = direction_n(r), n = FIXED + 2 * each;
	/* 1.3: the secret; 1.2: key and IV.  Both are at the start. */
	const uint8_t *rd = r->keys;
	const uint8_t *wr = r->keys + rec_direction_n(r);
	uint8_t *w = out->p + out->n;

	if (rec_is(r, REC_FAILED | REC_READ_CLOSED))
		return -EINVAL;
	if (outbuf_room(out) < n)
		return -ENOBUFS;
	w = put(w, tls_record_ops.tag, 1);
	w = put(w, VERSION, 1);
	w = put(w, n, 2);
	w = put(w, r->flags, 1);
	w = put(w, r->cipher, 1);
	w = put(w, r->limit, 2);
	w = put(w, r->take, 2);
	memcpy(w, r->hs, sizeof(r->hs));
	w += sizeof(r->hs);
	w = put(w, r->hs_n, 1);
	w = put(w, r->empties, 1);
	w = put(w, r->warnings, 1);
	w = put(w, r->tickets, 1);
	w = put(w, r->renegotiations, 1);
	w = put(w, r->update_credit, 1);
	w = put(w, r->hs_skip, 4);
	w = put(w, r->seq[RD], 8);
	w = put(w, r->seq[WR], 8);
	memcpy(w, rd, each);
	memcpy(w + each, wr, each);
	out->n += n;
	return 0;
}

static void
get_fields(struct tls_record *r, const uint8_t *p)
{
	r->limit = (uint16_t)get(&p, 2);
	r->take = (uint16_t)get(&p, 2);
	memcpy(r->hs, p, sizeof(r->hs));
	p += sizeof(r->hs);
	r->hs_n = (uint8_t)get(&p, 1);
	r->empties = (uint8_t)get(&p, 1);
	r->warnings = (uint8_t)get(&p, 1);
	r->tickets = (uint8_t)get(&p, 1);
	r->renegotiations = (uint8_t)get(&p, 1);
	r->update_credit = (uint8_t)get(&p, 1);
	r->hs_skip = (uint32_t)get(&p, 4);
	r->seq[RD] = get(&p, 8);
	r->seq[WR] = get(&p, 8);
}

/* A handshake message under way must be one that rec_take_handshake began. */
static bool
message_valid(const struct tls_record *r)
{
	static const uint8_t update[REC_HS_HEADER] = { 24, 0, 0, 1 };

	if (r->hs_n > REC_HS_HEADER)
		return false;
	for (size_t i = r->hs_n; i < REC_HS_HEADER; i++)
		if (r->hs[i] != 0)
			return false;
	if (r->hs_n > 0 && !rec_may_come(r, r->hs[0]))
		return false;
	if (r->hs_n == REC_HS_HEADER && (!rec_is(r, REC_13) ||
	    memcmp(r->hs, update, sizeof(update)) != 0))
		return false;
	if (r->hs_skip == 0)
		return true;
	/* Tickets for a client of 1.3, ClientHello for a server of 1.2. */
	return r->hs_n == 0 && r->hs_skip <= REC_SKIP_MAX &&
	    rec_is(r, REC_13) == rec_is(r, REC_CLIENT);
}

static bool
fields_valid(const struct tls_record *r)
{
	if (rec_is(r, REC_FAILED | REC_READ_CLOSED))
		return false;
	if (!rec_is(r, REC_13) &&
	    rec_is(r, REC_OWE_UPDATE | REC_REKEY | REC_REKEY_ASK))
		return false;
	if (rec_is(r, REC_REKEY_ASK) && !rec_is(r, REC_REKEY))
		return false;
	if (r->limit < TLS_RECORD_LIMIT_MIN || r->limit > TLS_RECORD_PLAIN_MAX)
		return false;
	if (r->take < TLS_RECORD_LIMIT_MIN || r->take > TLS_RECORD_PLAIN_MAX)
		return false;
	return message_valid(r) &&
	    r->empties <= TLS_RECORD_EMPTY_MAX &&
	    r->warnings <= TLS_RECORD_WARNING_MAX &&
	    r->tickets <= TLS_RECORD_TICKET_MAX &&
	    r->renegotiations < TLS_RECORD_RENEGOTIATE_MAX &&
	    r->update_credit <=
	    TLS_RECORD_KEYUPDATE_BURST * TLS_RECORD_KEYUPDATE_EVERY;
}

static int
get_direction(struct tls_record *r, enum rec_dir dir, const uint8_t *p)
{
	const struct rec_cipher *c = &rec_ciphers[r->cipher];

	memcpy(rec_secret(r, dir), p, direction_n(r));
	if (!rec_is(r, REC_13))
		return 0;
	return keysched_traffic(c->prf13, rec_secret(r, dir), rec_key(r, dir),
	    c->key_n, rec_iv(r, dir));
}

/* TLS 1.2 with an explicit nonce uses 4 bytes of IV; the others are zero. */
static bool
iv_valid(struct tls_record *r, enum rec_dir dir)
{
	if (rec_explicit(r) != 0)
		for (int i = 4; i < REC_IV; i++)
			if (rec_iv(r, dir)[i] != 0)
				return false;
	return true;
}

int
rec_import(const uint8_t *p, size_t n, struct transport **ret)
{
	struct tls_record *r;
	struct transport *t;
	size_t each;
	int rc;

	if (n < FIXED || p[0] != tls_record_ops.tag || p[1] != VERSION ||
	    ((size_t)p[2] << 8 | p[3]) != n || p[5] >= REC_CIPHERS)
		return -EINVAL;
	if ((p[4] & REC_13) != 0 && rec_ciphers[p[5]].prf13 == 0)
		return -EINVAL;
	r = rec_alloc(p[4], p[5]);
	if (r == NULL)
		return -ENOMEM;
	t = &r->t;
	each = direction_n(r);
	rc = n == FIXED + 2 * each ? 0 : -EINVAL;
	if (rc == 0) {
		get_fields(r, p + 6);
		rc = fields_valid(r) ? 0 : -EINVAL;
	}
	if (rc == 0)
		rc = get_direction(r, RD, p + FIXED);
	if (rc == 0)
		rc = get_direction(r, WR, p + FIXED + each);
	if (rc == 0 && (!iv_valid(r, RD) || !iv_valid(r, WR)))
		rc = -EINVAL;
	if (rc < 0) {
		tls_record_ops.free(&t);
		return rc;
	}
	*ret = t;
	return 0;
}
