/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening records: header rules, lengths, decryption, padding and content type
 * (RFC 8446 5.1, 5.2, 5.4; RFC 5246 6.2.1, 6.2.3.3).  Never looks at a partial
 * record's body and keeps no byte of the wire: that is the stream's.
 */
#include "tls/record_priv.h"

#include <errno.h>

#include "base/check.h"

/* RFC 8446 5.2: the most that a TLS 1.3 record may grow.  One with a tag and
 * nothing else can be opened, and has no type (5.4). */
#define GROWTH_13 256

static size_t
body_n(const uint8_t *head)
{
	return (size_t)head[3] << 8 | head[4];
}

/*
 * TLS 1.3: the version is ignored, as RFC 8446 5.1 wants it, and a plaintext
 * alert or CCS after the handshake is out of place.  TLS 1.2: an AEAD adds a
 * known number of bytes, so what is longer than that over what we take could
 * only decrypt to an overflow (RFC 5246 7.2.2, RFC 6066 4).
 */
static int
check_header(struct tls_record *r, struct stage *st, const uint8_t *head)
{
	size_t n = body_n(head), grow;

	if (rec_is(r, REC_13)) {
		if (head[0] != REC_DATA)
			return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE,
			    WHY_TYPE);
		if (n > (size_t)r->take + GROWTH_13)
			return rec_fail(r, st, ALERT_RECORD_OVERFLOW,
			    WHY_TOO_LONG);
		if (n < AEAD_TAG_SIZE)
			return rec_fail(r, st, ALERT_BAD_RECORD_MAC,
			    WHY_TOO_SHORT);
		return 0;
	}
	if (head[0] < REC_ALERT || head[0] > REC_DATA)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_TYPE);
	if (head[1] != 3 || head[2] != 3)
		return rec_fail(r, st, ALERT_PROTOCOL_VERSION, WHY_VERSION);
	grow = rec_explicit(r) + AEAD_TAG_SIZE;
	if (n > r->take + grow)
		return rec_fail(r, st, ALERT_RECORD_OVERFLOW, WHY_TOO_LONG);
	if (n < grow)
		return rec_fail(r, st, ALERT_BAD_RECORD_MAC, WHY_TOO_SHORT);
	return 0;
}

/* Decrypts the record at `rec` to `to`; for 1.3 the padding and the type are
 * still in there. */
static int
decrypt(struct tls_record *r, struct stage *st, const uint8_t *rec, uint8_t *to,
    size_t *ret_n)
{
	size_t n = body_n(rec), skip = rec_explicit(r);
	size_t plain = n - skip - AEAD_TAG_SIZE;
	const uint8_t *body = rec + REC_HEADER;
	uint8_t nonce[AEAD_NONCE_SIZE], aad[13];
	struct aead_op op = rec_op(r, RD, skip != 0 ? body : NULL, nonce);
	int rc;

	if (r->seq[RD] == UINT64_MAX)
		return rec_fail(r, st, ALERT_INTERNAL_ERROR, WHY_SEQUENCE);
	if (rec_is(r, REC_13)) {
		op.aad = rec;
		op.aad_n = REC_HEADER;
	} else {
		rec_aad12(r->seq[RD], rec[0], plain, aad);
		op.aad = aad;
		op.aad_n = sizeof(aad);
	}
	rc = aead_open(st->aead, &op, body + skip, n - skip, to);
	if (rc == -ENOMEM)
		return rec_no_memory(r, st);
	if (rc < 0)
		return rec_fail(r, st, ALERT_BAD_RECORD_MAC, WHY_BAD_MAC);
	r->seq[RD]++;
	*ret_n = plain;
	return 0;
}

/* Takes padding and type off a TLSInnerPlaintext (RFC 8446 5.4). */
static int
unpad(struct tls_record *r, struct stage *st, const uint8_t *p, size_t *n,
    uint8_t *ret_type)
{
	size_t k = *n;

	if (k > r->take + 1u)
		return rec_fail(r, st, ALERT_RECORD_OVERFLOW, WHY_TOO_LONG);
	while (k > 0 && p[k - 1] == 0)
		k--;
	if (k == 0)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_NO_TYPE);
	*ret_type = p[k - 1];
	*n = k - 1;
	return 0;
}

static int
take_data(struct tls_record *r, struct stage *st, size_t n)
{
	if (n == 0) {
		if (++r->empties > TLS_RECORD_EMPTY_MAX)
			return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE,
			    WHY_EMPTIES);
		return 0;
	}
	st->rx.n += n;
	r->empties = 0;
	r->warnings = 0;
	r->tickets = 0;
	if (r->update_credit <
	    TLS_RECORD_KEYUPDATE_BURST * TLS_RECORD_KEYUPDATE_EVERY)
		r->update_credit++;
	return 0;
}

static int
take_record(struct tls_record *r, struct stage *st, const uint8_t *rec)
{
	uint8_t *p = st->rx.p + st->rx.n, type = rec[0];
	size_t n = 0;
	int rc = decrypt(r, st, rec, p, &n);

	if (rc == 0 && rec_is(r, REC_13))
		rc = unpad(r, st, p, &n, &type);
	if (rc < 0)
		return rc;
	/* RFC 8446 5.1; TLS 1.2 has no such rule. */
	if (rec_is(r, REC_13) && type != REC_HANDSHAKE &&
	    (r->hs_n > 0 || r->hs_skip > 0))
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE,
		    WHY_INTERLEAVED);
	switch (type) {
	case REC_DATA:
		return take_data(r, st, n);
	case REC_ALERT:
		return rec_take_alert(r, st, p, n);
	case REC_HANDSHAKE:
		return rec_take_handshake(r, st, p, n);
	default:
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_TYPE);
	}
}

ssize_t
rec_read(struct transport *t, struct stage *st, const uint8_t *in, size_t n)
{
	struct tls_record *r = rec_of(t);
	size_t used = 0;
	int rc;

	CT_ASSERT(st->aead != NULL);
	if (rec_is(r, REC_READ_CLOSED))
		return -EPIPE;
	if (rec_is(r, REC_FAILED))
		return -EPROTO;
	while (n - used >= REC_HEADER) {
		rc = check_header(r, st, in + used);
		if (rc < 0)
			return rc;
		if (n - used - REC_HEADER < body_n(in + used))
			break;
		if (outbuf_room(&st->rx) < body_n(in + used))
			break;
		rc = take_record(r, st, in + used);
		if (rc < 0)
			return rc;
		used += REC_HEADER + body_n(in + used);
	}
	rc = rec_put_update(r, st);
	if (rc == -EPROTO || rc == -ENOMEM)
		return rc;
	return (ssize_t)used;
}
