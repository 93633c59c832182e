/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alerts both ways (RFC 8446 6, RFC 5246 7.2) and the few handshake messages
 * that may come after the handshake: KeyUpdate (RFC 8446 4.6.3), tickets for a
 * client, and attempts to renegotiate TLS 1.2, which are declined (RFC 5246
 * 7.4.1.1).  Never stores a message: bodies that are ignored are counted off.
 */
#include "tls/record_priv.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define HS_HELLO_REQUEST 0
#define HS_CLIENT_HELLO 1
#define HS_NEW_SESSION_TICKET 4
#define HS_KEY_UPDATE 24

#define LEVEL_WARNING 1
#define LEVEL_FATAL 2

static int
send_alert(struct tls_record *r, struct stage *st, uint8_t level,
    enum rec_alert alert)
{
	const uint8_t p[2] = { level, (uint8_t)alert };

	return rec_seal(r, st, REC_ALERT, p, sizeof(p));
}

void
rec_end(struct tls_record *r, struct stage *st, unsigned flags,
    enum rec_reason why)
{
	r->flags |= (uint8_t)flags;
	r->reason = (uint8_t)why;
	aead_cache_drop(st->aead, r->key_id[RD]);
	if ((flags & REC_WRITE_CLOSED) != 0)
		aead_cache_drop(st->aead, r->key_id[WR]);
	if ((flags & REC_FAILED) != 0)
		mem_wipe(r->keys, 2 * rec_direction_n(r));
}

int
rec_fail(struct tls_record *r, struct stage *st, enum rec_alert alert,
    enum rec_reason why)
{
	/* The connection ends whether or not the alert finds room. */
	if (!rec_is(r, REC_WRITE_CLOSED))
		(void)send_alert(r, st, LEVEL_FATAL, alert);
	rec_end(r, st, REC_FAILED | REC_WRITE_CLOSED, why);
	return -EPROTO;
}

int
rec_no_memory(struct tls_record *r, struct stage *st)
{
	(void)rec_fail(r, st, ALERT_INTERNAL_ERROR, WHY_MEMORY);
	return -ENOMEM;
}

int
rec_shutdown(struct transport *t, struct stage *st)
{
	struct tls_record *r = rec_of(t);
	int rc;

	CT_ASSERT(st->aead != NULL);
	if (rec_is(r, REC_WRITE_CLOSED))
		return 0;
	rc = send_alert(r, st, LEVEL_WARNING, ALERT_CLOSE_NOTIFY);
	if (rc == -ENOBUFS)
		return rc;
	r->flags |= REC_WRITE_CLOSED;
	aead_cache_drop(st->aead, r->key_id[WR]);
	return rc;
}

static int
take_warning(struct tls_record *r, struct stage *st)
{
	if (++r->warnings > TLS_RECORD_WARNING_MAX)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_WARNINGS);
	return 0;
}

static int
take_alert(struct tls_record *r, struct stage *st, uint8_t level, uint8_t alert)
{
	if (alert == ALERT_CLOSE_NOTIFY) {
		rec_end(r, st, REC_READ_CLOSED, WHY_CLOSED);
		return -EPIPE;
	}
	/* The level means nothing in 1.3, unknown alerts are errors. */
	if (rec_is(r, REC_13) ? alert == ALERT_USER_CANCELED :
	    level == LEVEL_WARNING)
		return take_warning(r, st);
	if (!rec_is(r, REC_13) && level != LEVEL_FATAL)
		return rec_fail(r, st, ALERT_ILLEGAL_PARAMETER, WHY_ALERT_FORM);
	r->peer_alert = alert;
	rec_end(r, st, REC_FAILED | REC_WRITE_CLOSED, WHY_PEER_ALERT);
	return -ECONNABORTED;
}

/* TLS 1.3 has exactly one alert in a record (RFC 8446 5.1); in 1.2 several may
 * share one. */
int
rec_take_alert(struct tls_record *r, struct stage *st, const uint8_t *p,
    size_t n)
{
	int rc = 0;

	if (n == 0)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_EMPTY);
	if (n % 2 != 0 || (n != 2 && rec_is(r, REC_13)))
		return rec_fail(r, st, ALERT_DECODE_ERROR, WHY_ALERT_FORM);
	for (size_t i = 0; i < n && rc == 0; i += 2)
		rc = take_alert(r, st, p[i], p[i + 1]);
	return rc;
}

/* `last`: nothing follows in this record, as it must be when keys change. */
static int
take_update(struct tls_record *r, struct stage *st, uint8_t value, bool last)
{
	if (value > 1)
		return rec_fail(r, st, ALERT_ILLEGAL_PARAMETER,
		    WHY_UPDATE_VALUE);
	if (!last)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE,
		    WHY_UPDATE_LAST);
	if (r->update_credit < TLS_RECORD_KEYUPDATE_EVERY)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_UPDATES);
	r->update_credit -= TLS_RECORD_KEYUPDATE_EVERY;
	if (rec_update(r, st, RD) < 0)
		return rec_no_memory(r, st);
	if (value == 1)
		r->flags |= REC_OWE_UPDATE;
	return 0;
}

static int
decline_renegotiation(struct tls_record *r, struct stage *st)
{
	int rc;

	if (++r->renegotiations >= TLS_RECORD_RENEGOTIATE_MAX)
		return rec_fail(r, st, ALERT_HANDSHAKE_FAILURE,
		    WHY_RENEGOTIATE);
	if (rec_is(r, REC_WRITE_CLOSED))
		return 0;
	rc = send_alert(r, st, LEVEL_WARNING, ALERT_NO_RENEGOTIATION);
	if (rc == -ENOMEM)
		return rec_no_memory(r, st);
	if (rc == -EOVERFLOW)
		return rec_fail(r, st, ALERT_INTERNAL_ERROR, WHY_SEQUENCE);
	return 0;		/* -ENOBUFS: the peer has to do without */
}

bool
rec_may_come(const struct tls_record *r, uint8_t message)
{
	if (rec_is(r, REC_13))
		return message == HS_KEY_UPDATE ||
		    (message == HS_NEW_SESSION_TICKET && rec_is(r, REC_CLIENT));
	return message ==
	    (rec_is(r, REC_CLIENT) ? HS_HELLO_REQUEST : HS_CLIENT_HELLO);
}

/* r->hs holds a whole header whose type may come. */
static int
take_header(struct tls_record *r, struct stage *st)
{
	uint8_t type = r->hs[0];
	uint32_t n = (uint32_t)r->hs[1] << 16 | (uint32_t)r->hs[2] << 8 |
	    r->hs[3];

	if (type == HS_KEY_UPDATE)
		return n == REC_KEYUPDATE - REC_HS_HEADER ? 0 :
		    rec_fail(r, st, ALERT_DECODE_ERROR, WHY_UPDATE_FORM);
	if (n > REC_SKIP_MAX || (type == HS_HELLO_REQUEST && n != 0))
		return rec_fail(r, st, ALERT_DECODE_ERROR, WHY_MESSAGE_LONG);
	memset(r->hs, 0, sizeof(r->hs));
	r->hs_n = 0;
	r->hs_skip = n;
	if (!rec_is(r, REC_13))
		return decline_renegotiation(r, st);
	if (++r->tickets > TLS_RECORD_TICKET_MAX)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_TICKETS);
	return 0;
}

/* One byte of a header, or the value of a KeyUpdate. */
static int
take_byte(struct tls_record *r, struct stage *st, uint8_t b, bool last)
{
	if (r->hs_n == REC_HS_HEADER) {
		memset(r->hs, 0, sizeof(r->hs));
		r->hs_n = 0;
		return take_update(r, st, b, last);
	}
	r->hs[r->hs_n++] = b;
	if (r->hs_n == 1 && !rec_may_come(r, b))
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_MESSAGE);
	return r->hs_n == REC_HS_HEADER ? take_header(r, st) : 0;
}

int
rec_take_handshake(struct tls_record *r, struct stage *st, const uint8_t *p,
    size_t n)
{
	size_t i = 0, k;
	int rc = 0;

	if (n == 0)
		return rec_fail(r, st, ALERT_UNEXPECTED_MESSAGE, WHY_EMPTY);
	while (i < n && rc == 0) {
		if (r->hs_skip > 0) {
			k = n - i < r->hs_skip ? n - i : r->hs_skip;
			r->hs_skip -= (uint32_t)k;
			i += k;
		} else {
			rc = take_byte(r, st, p[i], i + 1 == n);
			i++;
		}
	}
	return rc;
}
