/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection from accept to its upgrade or end:
 *
 *	PROXY -> TLS -> HTTP -> (handed over | ENDING) -> gone
 *
 * One deadline covers PROXY and TLS, one each HTTP request; both run from a
 * fixed point, so that single bytes now and then gain nothing.  Every
 * wake-up does one recv, goes through as many states as the bytes are good
 * for, and one send.
 */
#include "net/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/admission.h"
#include "net/net_priv.h"
#include "tls/snapshot.h"
#include "wire/proxy.h"

/* How long and how much is read and thrown away after our last byte, so that
 * unread input does not turn the close into a reset that destroys it. */
#define LINGER_MS 1000
#define LINGER_BYTES (1024 * 1024)

/* A TLS record with its header, and some more, must move the handshake on. */
#define TLS_STUCK_BYTES (20 * 1024)

static size_t
backlog_limit(const struct conn *c)
{
	return atomic_load(&c->worker->net->limits.backlog_bytes);
}

static void
log_end(const struct conn *c, const char *cause)
{
	char peer[ADDR_TEXT_SIZE];

	log_info("connection ended: peer=%s listener=%s cause=\"%s\"",
	    addr_text((const struct sockaddr *)&c->peer, peer),
	    c->site->opts.name, cause);
}

/* Off the worker's books; the stream must be gone. */
void
conn_forget(struct conn *c)
{
	struct net_worker *w = c->worker;

	list_remove(&c->link);
	loop_timer_stop(w->loop, &c->deadline);
	if (c->handshake != NULL)
		tls_handshake_free(&c->handshake);
	http_hop_drop(&c->hop);
	if (c->tls_peer != NULL)
		mem_free_wiped(c->tls_peer, sizeof(*c->tls_peer));
	c->magic = 0;
	mem_free(c);
	w->in_flight--;
	atomic_fetch_sub(&w->net->counters.handshakes_now, 1);
	waiting_soon(w);
	if (w->acceptor.on && !w->acceptor.open)
		(void)acceptor_check(w);	/* it tries again by itself */
}

void
conn_free(struct conn *c)
{
	struct net *net = c->worker->net;
	struct stage *st = &c->worker->stage;
	struct addr claimed = c->peer_addr;
	bool is_claimed = c->claimed;

	CT_CHECK_MAGIC(c, CONN_MAGIC);
	/* What it leaves behind would be taken for the next one's bytes. */
	st->in.n = st->rx.n = st->plain.n = st->tx.n = 0;
	stream_retire(&c->stream, &c->worker->stage);
	stream_close(&c->stream, c->worker->loop);
	net_leave(net, is_claimed ? &claimed : NULL);
	conn_forget(c);
}

/* Says goodbye (close_notify, or what is in tx) and lingers.  Frees later. */
static void
end(struct conn *c)
{
	http_hop_drop(&c->hop);
	if (c->handshake != NULL)
		tls_handshake_free(&c->handshake);
	c->state = CONN_ENDING;
	c->worker->stage.in.n = 0;
	buf_free(&c->stream.carry);
	if (stream_shutdown(&c->stream, &c->worker->stage) != 0 ||
	    stream_update(&c->stream, c->worker->loop, true) != 0) {
		conn_free(c);
		return;
	}
	loop_timer_set(c->worker->loop, &c->deadline, LINGER_MS);
}

void
conn_end(struct conn *c, const char *cause)
{
	log_end(c, cause);
	end(c);
}

void
conn_drop(struct conn *c, const char *cause)
{
	log_end(c, cause);
	conn_free(c);
}

/* Sends what this wake-up made and waits for more.  false: c is gone. */
bool
conn_settle(struct conn *c, bool want_read)
{
	int error = stream_flush(&c->stream, &c->worker->stage,
	    backlog_limit(c));

	if (error == 0)
		error = stream_update(&c->stream, c->worker->loop, want_read);
	if (error == 0)
		return true;
	conn_drop(c, error == -ENOBUFS ? "peer does not read" :
	    strerror(-error));
	return false;
}

/* ---- ENDING ------------------------------------------------------------- */

static void
linger(struct conn *c)
{
	struct stage *st = &c->worker->stage;
	ssize_t n;

	n = recv(c->stream.watch.fd, st->in.p, st->in.cap, MSG_DONTWAIT);
	if (n > 0) {
		c->discarded += (uint32_t)n;
		if (c->discarded > LINGER_BYTES)
			conn_free(c);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Their end: nothing to wait for but our own unsent bytes. */
	if (n < 0 || stream_backlog(&c->stream) == 0 ||
	    stream_update(&c->stream, c->worker->loop, false) != 0)
		conn_free(c);
}

/* ---- TLS ---------------------------------------------------------------- */

static void tls_input(struct conn *);

static void
on_resumed(void *ctx)
{
	struct conn *c = ctx;
	struct stage *st = &c->worker->stage;

	CT_CHECK_MAGIC(c, CONN_MAGIC);
	c->suspended = false;
	st->in.n = buf_len(c->stream.carry);
	if (st->in.n > 0)
		memcpy(st->in.p, buf_data(c->stream.carry), st->in.n);
	buf_free(&c->stream.carry);
	tls_input(c);
}

static void
tls_failed(struct conn *c, int error)
{
	char cause[160];

	atomic_fetch_add(&c->worker->net->counters.handshakes_failed, 1);
	(void)snprintf(cause, sizeof(cause), "TLS: %s (%s)",
	    tls_handshake_reason(c->handshake), strerror(-error));
	conn_end(c, cause);
}

/* Takes the keys out and goes on with what follows Finished at once. */
static void
tls_done(struct conn *c)
{
	struct net_counters *count = &c->worker->net->counters;
	struct transport *t;
	int error;

	c->tls_peer = mem_calloc(1, sizeof(*c->tls_peer));
	error = c->tls_peer == NULL ? -ENOMEM : tls_handshake_finish(
	    c->handshake, &c->worker->stage, &t, c->tls_peer);
	if (error != 0) {
		tls_failed(c, error);
		return;
	}
	c->stream.transport = t;
	tls_handshake_free(&c->handshake);
	atomic_fetch_add(&count->handshakes, 1);
	if (c->tls_peer->resumed)
		atomic_fetch_add(&count->resumed, 1);
	conn_enter_http(c);
}

/* Drops the first n bytes of st->in. */
static void
consume(struct stage *st, size_t n)
{
	st->in.n -= n;
	memmove(st->in.p, st->in.p + n, st->in.n);
}

/* st->in holds the carry and what came. */
static void
tls_input(struct conn *c)
{
	struct stage *st = &c->worker->stage;
	size_t used = 0;
	int r = tls_handshake_step(c->handshake, st, st->in.p, st->in.n,
	    &used);

	consume(st, used);
	if (r == TLS_HS_DONE) {
		tls_done(c);
		return;
	}
	if (r == TLS_HS_CHALLENGE) {
		st->in.n = 0;
		conn_end(c, "acme-tls/1 challenge answered");
		return;
	}
	if (r == TLS_HS_MORE && st->in.n > TLS_STUCK_BYTES)
		r = -EMSGSIZE;
	if (r < 0) {
		st->in.n = 0;
		tls_failed(c, r);
		return;
	}
	if (stream_keep(&c->stream, st, 0) != 0) {
		conn_drop(c, "out of memory");
		return;
	}
	/* No interest while suspended: unread bytes would only spin. */
	c->suspended = r == TLS_HS_WAIT;
	(void)conn_settle(c, !c->suspended);
}

static void
enter_tls(struct conn *c)
{
	struct net_worker *w = c->worker;

	c->state = CONN_TLS;
	if (w->snapshot == NULL || tls_handshake_new(w->tls, w->snapshot,
	    c->site_index, on_resumed, c, &c->handshake) != 0) {
		atomic_fetch_add(&w->net->counters.handshakes_failed, 1);
		conn_drop(c, w->snapshot == NULL ? "no credentials yet" :
		    "out of memory");
		return;
	}
	if (w->stage.in.n > 0)
		tls_input(c);
	else
		(void)conn_settle(c, true);
}

/* ---- PROXY -------------------------------------------------------------- */

/* Counts the address that limits are for.  false: c is gone. */
static bool
claim(struct conn *c)
{
	struct net *net = c->worker->net;
	int error;

	if (c->site->opts.proxy && !admission_pass(net->admission,
	    &c->peer_addr, loop_now_ms(c->worker->loop))) {
		atomic_fetch_add(&net->counters.refused_rate, 1);
		conn_drop(c, "connections of this address come too fast");
		return false;
	}
	error = admission_claim(net->admission, &c->peer_addr);
	if (error == 0) {
		c->claimed = true;
		return true;
	}
	if (error == -EDQUOT)
		atomic_fetch_add(&net->counters.refused_address, 1);
	conn_drop(c, error == -EDQUOT ?
	    "too many connections of this address" : strerror(-error));
	return false;
}

/* Plain or TLS, with what is in st->in already. */
static void
enter_first(struct conn *c)
{
	if (!claim(c))
		return;
	if (c->site->opts.tls)
		enter_tls(c);
	else
		conn_enter_http(c);
}

static void
proxy_input(struct conn *c)
{
	struct net_worker *w = c->worker;
	struct stage *st = &w->stage;
	struct proxy_header h;
	const char *why = "";
	int error = proxy_parse(st->in.p, st->in.n, &h, &why);
	char cause[160];

	if (error == -EAGAIN) {
		if (stream_keep(&c->stream, st, 0) != 0)
			conn_drop(c, "out of memory");
		return;
	}
	if (error != 0) {
		st->in.n = 0;
		atomic_fetch_add(&w->net->counters.refused_proxy, 1);
		(void)snprintf(cause, sizeof(cause), "PROXY header: %s", why);
		conn_drop(c, cause);
		return;
	}
	consume(st, h.used);
	if (h.known) {
		c->peer = h.source;
		addr_of((const struct sockaddr *)&c->peer, &c->peer_addr);
	}
	enter_first(c);
}

/* ---- events ------------------------------------------------------------- */

static void
on_input(struct conn *c)
{
	struct stage *st = &c->worker->stage;
	ssize_t got;

	if (c->state == CONN_ENDING) {
		linger(c);
		return;
	}
	if (c->state == CONN_HTTP) {
		/* Upgraded while another connection was being served. */
		if (c->hop != NULL && c->hop->upgraded)
			conn_http_event(c);
		else
			conn_http_input(c);
		return;
	}
	got = stream_fill(&c->stream, st);
	if (got <= 0) {
		if (got == 0 && stream_keep(&c->stream, st, 0) == 0)
			return;
		st->in.n = 0;
		if (c->state == CONN_TLS)
			atomic_fetch_add(
			    &c->worker->net->counters.handshakes_failed, 1);
		conn_drop(c, got == -EPIPE ? "closed by peer" :
		    strerror(got == 0 ? ENOMEM : (int)-got));
	} else if (c->state == CONN_PROXY) {
		proxy_input(c);
	} else {
		tls_input(c);
	}
}

static void
on_event(struct watch *watch, uint32_t events)
{
	struct conn *c = CT_CONTAINER(watch, struct conn, stream.watch);

	CT_CHECK_MAGIC(c, CONN_MAGIC);
	if ((events & EPOLLOUT) != 0) {
		if (stream_drain(&c->stream) != 0) {
			conn_drop(c, "reset by peer");
			return;
		}
		if (stream_update(&c->stream, c->worker->loop,
		    c->stream.reading) != 0) {
			conn_drop(c, "epoll");
			return;
		}
		if (c->state == CONN_ENDING && !c->stream.reading &&
		    stream_backlog(&c->stream) == 0) {
			conn_free(c);
			return;
		}
	}
	if (!c->stream.reading && STREAM_GONE(events)) {
		conn_drop(c, "reset by peer");
		return;
	}
	if (c->stream.reading && (events & ~(uint32_t)EPOLLOUT) != 0)
		on_input(c);
}

static void
on_deadline(struct timer *t)
{
	struct conn *c = CT_CONTAINER(t, struct conn, deadline);
	struct net_counters *count = &c->worker->net->counters;

	CT_CHECK_MAGIC(c, CONN_MAGIC);
	switch (c->state) {
	case CONN_PROXY:
	case CONN_TLS:
		atomic_fetch_add(&count->handshake_timeouts, 1);
		conn_drop(c, c->state == CONN_TLS ?
		    "TLS took too long" : "PROXY header took too long");
		break;
	case CONN_HTTP:
		atomic_fetch_add(&count->http_timeouts, 1);
		conn_end(c, "HTTP took too long");
		break;
	case CONN_ENDING:
		conn_free(c);
		break;
	}
}

static bool
is_trusted(const struct net_listener_opts *o, const struct addr *a)
{
	for (size_t i = 0; i < o->trusted_n; i++) {
		if (addr_range_has(&o->trusted[i], a))
			return true;
	}
	return false;
}

/* An admitted connection in its first state, watched by nobody yet. */
static struct conn *
make(struct net_worker *w, const struct conn_origin *from)
{
	struct conn *c = mem_calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->magic = CONN_MAGIC;
	c->state = CONN_PROXY;
	c->worker = w;
	c->site = &w->net->sites[from->site];
	c->site_index = from->site;
	c->peer = from->peer;
	addr_of((const struct sockaddr *)&c->peer, &c->peer_addr);
	timer_init(&c->deadline, on_deadline);
	stream_init(&c->stream, from->fd, NULL);
	list_append(&w->conns, &c->link);
	w->in_flight++;
	atomic_fetch_add(&w->net->counters.handshakes_now, 1);
	return c;
}

void
conn_new(struct net_worker *w, const struct conn_origin *from)
{
	struct net *net = w->net;
	struct conn *c;

	if (!from->entered) {
		if (admission_enter(net->admission) != 0) {
			atomic_fetch_add(&net->counters.refused_limit, 1);
			(void)close(from->fd);	/* nothing was promised */
			return;
		}
		atomic_fetch_add(&net->counters.connections, 1);
	}
	c = make(w, from);
	if (c == NULL) {
		net_leave(net, NULL);
		(void)close(from->fd);
		log_warning("connection refused: cause=\"out of memory\"");
		return;
	}
	if (c->site->opts.proxy && !is_trusted(&c->site->opts,
	    &c->peer_addr)) {
		atomic_fetch_add(&net->counters.refused_proxy, 1);
		conn_drop(c, "not a trusted proxy");
		return;
	}
	if (stream_start(&c->stream, w->loop, true, on_event) != 0) {
		conn_drop(c, "epoll");
		return;
	}
	loop_timer_set(w->loop, &c->deadline,
	    atomic_load(&net->limits.handshake_ms));
	w->stage.in.n = 0;
	if (!c->site->opts.proxy)
		enter_first(c);
}
