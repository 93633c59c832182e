/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives gnutls_handshake() over whole records in memory (RFC 8446 5.1, RFC
 * 5246 6.2.1) until the keys can be taken out.  Whatever arrives is bounded
 * before GnuTLS sees it (hs_record.c).  GnuTLS reads exactly one record at a
 * time, so that nothing is left in the session when it ends.
 */
#include "tls/handshake.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tls/coro.h"
#include "tls/tls_priv.h"
#include "tls/vendor.h"

#define HS_MAGIC 0x74687368u
#define MESSAGE_MAX (64 * 1024)
#define WARNINGS_MAX 4
#define STACKS_KEPT 8
#define CA_NAMES_MAX 128		/* told to a client */

int
tls_worker_new(struct mailbox *mailbox, struct tls_worker **ret)
{
	struct tls_worker *w = mem_calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	w->mailbox = mailbox;
	if (coro_pool_new(STACKS_KEPT, &w->stacks) < 0) {
		mem_free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

void
tls_worker_free(struct tls_worker **wp)
{
	struct tls_worker *w = *wp;

	if (w == NULL)
		return;
	CT_ASSERT(w->suspended == 0);
	coro_pool_free(&w->stacks);
	mem_free(w);
	*wp = NULL;
}

size_t
tls_worker_suspended(const struct tls_worker *w)
{
	return w->suspended;
}

/* ---- what GnuTLS calls ---- */

static ssize_t
pull(gnutls_transport_ptr_t p, void *to, size_t n)
{
	struct tls_handshake *h = p;
	const uint8_t *from = h->rec;

	if (h->rec_n == 0) {
		gnutls_transport_set_errno(h->session, EAGAIN);
		return -1;
	}
	if (n > h->rec_n)
		n = h->rec_n;
	if (h->head_n > 0) {
		from = h->head + TLS_RECORD_HEADER - h->head_n;
		if (n > h->head_n)
			n = h->head_n;
		h->head_n -= n;
	}
	memcpy(to, from, n);
	h->rec += n;
	h->rec_n -= n;
	return (ssize_t)n;
}

static ssize_t
push(gnutls_transport_ptr_t p, const void *from, size_t n)
{
	struct tls_handshake *h = p;
	struct outbuf *tx = h->st != NULL ? &h->st->tx : NULL;

	if (tx == NULL || n > outbuf_room(tx)) {
		h->tx_full = true;
		gnutls_transport_set_errno(h->session, EIO);
		return -1;
	}
	if (n > 0)
		memcpy(tx->p + tx->n, from, n);
	tx->n += n;
	return (ssize_t)n;
}

/* There is never more to come within a step. */
static int
pull_timeout(gnutls_transport_ptr_t p, unsigned ms)
{
	struct tls_handshake *h = p;

	(void)ms;
	return h->rec_n > 0;
}

/* ---- making one ---- */

static int
set_alpn(struct tls_handshake *h)
{
	gnutls_datum_t list[2] = {
		tls_datum(TLS_ALPN_HTTP, strlen(TLS_ALPN_HTTP)),
		tls_datum(TLS_ALPN_ACME, strlen(TLS_ALPN_ACME)),
	};

	return gnutls_alpn_set_protocols(h->session, list,
	    h->snapshot->challenges_n > 0 ? 2 : 1,
	    GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
}

static int
set_tickets(struct tls_handshake *h)
{
	gnutls_datum_t key = tls_datum(h->listener->ticket_key,
	    sizeof(h->listener->ticket_key));

	if (!h->snapshot->has_tickets)
		return 0;
	gnutls_db_set_cache_expiration(h->session,
	    (int)h->snapshot->ticket_lifetime_s);
	return gnutls_session_ticket_enable_server(h->session, &key);
}

/* Before GnuTLS sees a message; there is one hook for all of them. */
static int
look(gnutls_session_t s, unsigned type, unsigned when, unsigned incoming,
    const gnutls_datum_t *msg)
{
	struct tls_handshake *h = tls_session_handshake(s);

	(void)when;
	if (incoming && type == GNUTLS_HANDSHAKE_CLIENT_HELLO)
		tls_hello_look(&h->hello, msg);
	else if (incoming && type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT)
		return tls_peer_look(h, msg);
	return 0;
}

static int
set_up(struct tls_handshake *h)
{
	static const gnutls_certificate_request_t ask[] = {
		[TLS_CLIENT_OFF] = GNUTLS_CERT_IGNORE,
		[TLS_CLIENT_OPTIONAL] = GNUTLS_CERT_REQUEST,
		[TLS_CLIENT_REQUIRED] = GNUTLS_CERT_REQUIRE,
	};
	gnutls_session_t s = h->session;
	int r;

	gnutls_session_set_ptr(s, h);
	gnutls_transport_set_ptr(s, h);
	gnutls_transport_set_pull_function(s, pull);
	gnutls_transport_set_push_function(s, push);
	gnutls_transport_set_pull_timeout_function(s, pull_timeout);
	gnutls_handshake_set_max_packet_length(s, MESSAGE_MAX);
	gnutls_handshake_set_secret_function(s, tls_detach_secret);
	gnutls_handshake_set_hook_function(s, GNUTLS_HANDSHAKE_ANY,
	    GNUTLS_HOOK_PRE, look);
	gnutls_certificate_server_set_request(s, ask[h->listener->client_auth]);
	/* A client that goes by the names of CAs would keep the rest back; and
	 * hundreds of them do not fit. */
	if (h->listener->trust != NULL && (h->listener->trust->any_chain ||
	    h->listener->trust->self_signed ||
	    h->listener->trust->ca_n > CA_NAMES_MAX))
		gnutls_certificate_send_x509_rdn_sequence(s, 1);
	r = gnutls_priority_set(s, h->listener->priority != NULL ?
	    h->listener->priority : h->snapshot->priority);
	if (r >= 0)
		r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE,
		    h->listener->xcred);
	if (r >= 0)
		r = set_alpn(h);
	if (r >= 0)
		r = set_tickets(h);
	return r < 0 ? tls_vendor_errno(r) : 0;
}

static void answered(struct mail *);

int
tls_handshake_new(struct tls_worker *w, struct tls_snapshot *snapshot,
    unsigned listener, void (*resumed)(void *ctx), void *ctx,
    struct tls_handshake **ret)
{
	unsigned flags = GNUTLS_SERVER | GNUTLS_NONBLOCK |
	    GNUTLS_NO_AUTO_SEND_TICKET;
	struct tls_handshake *h;
	int r;

	if (listener >= snapshot->listeners_n)
		return -EINVAL;
	if (!snapshot->has_tickets)
		flags |= GNUTLS_NO_TICKETS;
	h = mem_calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->magic = HS_MAGIC;
	h->worker = w;
	h->snapshot = tls_snapshot_ref(snapshot);
	h->listener = &snapshot->listeners[listener];
	h->resumed = resumed;
	h->ctx = ctx;
	h->job.mail.fn = answered;
	h->job.mailbox = w->mailbox;
	r = gnutls_init(&h->session, flags);
	if (r < 0) {
		h->session = NULL;
		r = tls_vendor_errno(r);
	} else {
		r = set_up(h);
	}
	if (r < 0)
		tls_handshake_free(&h);
	else
		*ret = h;
	return r;
}

const char *
tls_handshake_reason(const struct tls_handshake *h)
{
	return h->reason;
}

/* ---- one step ---- */

static void
run_on_stack(void *arg)
{
	struct tls_handshake *h = arg;

	h->rc = gnutls_handshake(h->session);
}

/*
 * gnutls_handshake(), on a stack of its own when a key of the snapshot is
 * external (which slot it will be, only the ClientHello tells).
 * 0: h->rc is its result, 1: suspended, -ENOMEM.
 */
static int
run(struct tls_handshake *h)
{
	int r;

	if (!h->snapshot->has_external) {
		h->rc = gnutls_handshake(h->session);
		return 0;
	}
	if (h->coro == NULL) {
		r = coro_new(h->worker->stacks, run_on_stack, h, &h->coro);
		if (r < 0)
			return r;
	}
	if (!coro_resume(h->coro))
		return 1;
	coro_free(&h->coro);
	return 0;
}

void
tls_handshake_suspend(struct tls_handshake *h)
{
	h->state = HS_SUSPENDED;
	h->worker->suspended++;
	coro_yield();
}

/* gnutls_handshake() returned 0. */
static int
complete(struct tls_handshake *h)
{
	gnutls_alert_description_t alert = GNUTLS_A_INTERNAL_ERROR;
	int r;

	if (h->rec_n > 0)
		return tls_fail(h, -EPROTO, "record left behind");
	/* RFC 8446 5.1: keys change here.  It would be lost with the session,
	 * and GnuTLS 3.7.9 does not look. */
	if (gnutls_record_check_pending(h->session) > 0)
		return tls_refuse(h, GNUTLS_A_UNEXPECTED_MESSAGE, -EPROTO,
		    "something stands behind Finished");
	if (h->challenge || tls_select_challenge(h->session)) {
		(void)gnutls_bye(h->session, GNUTLS_SHUT_WR);	/* courtesy */
		h->state = HS_CHALLENGE;
		return TLS_HS_CHALLENGE;
	}
	if (gnutls_session_is_resumed(h->session)) {
		r = tls_peer_recheck(h, &alert);
		if (r < 0) {
			tls_refuse_alert(h, alert);
			h->state = HS_FAILED;
			return r;
		}
	}
	h->state = HS_DONE;
	return TLS_HS_DONE;
}

/* What gnutls_handshake() said: a result, an error, or 0 to go on. */
static int
judge(struct tls_handshake *h)
{
	if (h->rc == 0)
		return complete(h);
	if (h->rc == GNUTLS_E_AGAIN || h->rc == GNUTLS_E_INTERRUPTED)
		return 0;
	if (h->rc == GNUTLS_E_WARNING_ALERT_RECEIVED &&
	    gnutls_alert_get(h->session) == GNUTLS_A_CLOSE_NOTIFY)
		return tls_refuse_peer_alert(h);
	if (gnutls_error_is_fatal(h->rc))
		return tls_refuse_result(h, h->rc);
	if (++h->warnings > WARNINGS_MAX)
		return tls_refuse(h, GNUTLS_A_UNEXPECTED_MESSAGE, -EPROTO,
		    "too many warnings");
	return 0;
}

/* Runs until GnuTLS wants another record.  The result of the step, or
 * -EAGAIN. */
static int
advance(struct tls_handshake *h)
{
	int r;

	do {
		h->state = HS_OPEN;
		r = run(h);
		if (r == 1)
			return TLS_HS_WAIT;
		if (r < 0)
			return tls_fail(h, r, "out of memory");
		r = judge(h);
		if (r != 0)
			return r;
	} while (h->rc != GNUTLS_E_AGAIN);
	return -EAGAIN;
}

static int
feed(struct tls_handshake *h, const uint8_t *in, size_t n, size_t *used)
{
	ssize_t k;
	int r;

	for (;;) {
		k = tls_hs_record(h, in + *used, n - *used);
		if (k <= 0)
			return (int)k;		/* 0 is TLS_HS_MORE */
		h->rec = in + *used;
		h->rec_n = (size_t)k;
		h->head_n = TLS_RECORD_HEADER;
		*used += (size_t)k;
		h->total += (size_t)k;
		r = advance(h);
		if (r != -EAGAIN)
			return r;
		if (h->rec_n > 0)
			return tls_refuse(h, GNUTLS_A_INTERNAL_ERROR, -EPROTO,
			    "record not read to its end");
	}
}

int
tls_handshake_step(struct tls_handshake *h, struct stage *st,
    const uint8_t *in, size_t n, size_t *ret_used)
{
	size_t used = 0;
	int r = -EAGAIN;

	CT_CHECK_MAGIC(h, HS_MAGIC);
	*ret_used = 0;
	if (h->state == HS_SUSPENDED)
		return TLS_HS_WAIT;
	CT_ASSERT(h->state == HS_OPEN || h->state == HS_ANSWERED);
	h->st = st;
	if (h->state == HS_ANSWERED)
		r = advance(h);
	if (r == -EAGAIN)
		r = feed(h, in, n, &used);
	h->st = NULL;
	h->rec = NULL;
	h->rec_n = 0;
	*ret_used = used;
	return r;
}

/* ---- ends ---- */

static void
end_session(struct tls_handshake *h)
{
	if (h->session != NULL)
		gnutls_deinit(h->session);
	h->session = NULL;
	mem_wipe(h->secret_rd, sizeof(h->secret_rd));
	mem_wipe(h->secret_wr, sizeof(h->secret_wr));
	tls_snapshot_unref(&h->snapshot);
	h->listener = NULL;
}

int
tls_handshake_finish(struct tls_handshake *h, struct stage *st,
    struct transport **ret_transport, struct tls_peer *ret_peer)
{
	struct tls_peer peer;
	int r = 0;

	CT_CHECK_MAGIC(h, HS_MAGIC);
	CT_ASSERT(h->state == HS_DONE);
	h->st = st;
	r = tls_peer_fill(h, &peer);
	if (r < 0 && h->reason[0] == '\0')
		(void)tls_fail(h, r, "the peer's facts cannot be read");
	if (r == 0 && peer.version == 0x0304 && h->snapshot->has_tickets &&
	    gnutls_session_ticket_send(h->session, 1, 0) < 0)
		r = tls_fail(h, h->tx_full ? -EMSGSIZE : -EPROTO,
		    "the ticket cannot be sent");
	if (r == 0) {
		r = tls_detach_session(h, ret_transport);
		if (r < 0)
			(void)tls_fail(h, r, "the keys cannot be taken over");
	}
	h->st = NULL;
	h->state = HS_FAILED;		/* nothing more can be done with it */
	end_session(h);
	if (r == 0)
		*ret_peer = peer;
	mem_wipe(&peer, sizeof(peer));
	return r;
}

static void
destroy(struct tls_handshake *h)
{
	end_session(h);
	mem_free_wiped(h, sizeof(*h));
}

/* A stack in the middle of gnutls_handshake() cannot be thrown away: the sign
 * callback returns an error and GnuTLS cleans up after itself. */
static void
unwind(struct tls_handshake *h)
{
	bool over;

	h->given_up = true;
	over = coro_resume(h->coro);
	CT_ASSERT(over);
	coro_free(&h->coro);
	destroy(h);
}

/* The signer's answer, on the worker's thread. */
static void
answered(struct mail *m)
{
	struct tls_sign_job *job = CT_CONTAINER(m, struct tls_sign_job, mail);
	struct tls_handshake *h = CT_CONTAINER(job, struct tls_handshake, job);

	CT_CHECK_MAGIC(h, HS_MAGIC);
	CT_ASSERT(h->state == HS_SUSPENDED);
	h->worker->suspended--;
	h->state = HS_ANSWERED;
	if (h->given_up)
		unwind(h);
	else
		h->resumed(h->ctx);
}

void
tls_handshake_free(struct tls_handshake **hp)
{
	struct tls_handshake *h = *hp;

	if (h == NULL)
		return;
	CT_CHECK_MAGIC(h, HS_MAGIC);
	*hp = NULL;
	if (h->state == HS_SUSPENDED)
		h->given_up = true;
	else if (h->state == HS_ANSWERED)
		unwind(h);
	else
		destroy(h);
}
