/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP part of a connection's life: plaintext into the hop, answers out of
 * it, and the hand-over of an upgraded stream (decision 0002).
 */
#include "net/conn.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "net/net_priv.h"
#include "net/upgrade.h"

void
conn_enter_http(struct conn *c)
{
	struct net_worker *w = c->worker;
	int error;

	c->state = CONN_HTTP;
	if (c->stream.transport == NULL) {
		error = transport_plain_new(&c->stream.transport);
		if (error != 0) {
			w->stage.in.n = 0;
			conn_drop(c, strerror(-error));
			return;
		}
	}
	loop_timer_set(w->loop, &c->deadline,
	    atomic_load(&w->net->limits.http_ms));
	if (w->stage.in.n > 0)
		conn_http_input(c);
	else
		(void)conn_settle(c, true);
}

/* All early bytes in order: what libmicrohttpd had read or was about to read,
 * then what was not written into the pair yet. */
static int
gather_early(struct http_hop *hop, struct buf **ret)
{
	int error = 0;

	if (buf_len(hop->pending) > 0)
		error = buf_append(&hop->early, buf_data(hop->pending),
		    buf_len(hop->pending), SIZE_MAX);
	if (error == 0) {
		*ret = hop->early;
		hop->early = NULL;
	}
	return error;
}

/* The 101 is out: the stream becomes a channel's. */
static void
hand_over(struct conn *c)
{
	struct net_worker *w = c->worker;
	const struct net_hooks *hooks = &w->net->hooks;
	struct upgrade *u = c->hop->upgrade;
	struct buf *early = NULL;
	struct net_upgrade up;
	int error = c->hop->lost ? -ENOMEM : gather_early(c->hop, &early);

	c->hop->upgrade = NULL;
	http_hop_drop(&c->hop);
	if (error == 0)
		error = stream_update(&c->stream, w->loop, true);
	if (error == 0) {
		loop_timer_stop(w->loop, &c->deadline);
		atomic_fetch_add(&w->net->counters.upgrades, 1);
		up = (struct net_upgrade){
			.request = &u->request, .route = u->route,
			.deflate = u->deflate, .stream = &c->stream,
			.early = buf_data(early), .early_n = buf_len(early),
			.admitted = c->peer_addr
		};
		error = hooks->upgraded(hooks->ctx, w, &up);
	}
	buf_free(&early);
	if (error == 0) {
		/* Our own bug if nobody took it. */
		CT_ASSERT(c->stream.watch.fd < 0);
		upgrade_free(&u);
		conn_forget(c);
	} else {
		upgrade_free(&u);
		conn_drop(c, strerror(-error));
	}
}

/* Moves what libmicrohttpd wrote to the peer.  0; -EPIPE it has ended;
 * -ECANCELED: c is gone. */
static int
http_output(struct conn *c)
{
	struct stage *st = &c->worker->stage;
	size_t room;
	ssize_t n;

	do {
		room = outbuf_room(&st->plain);
		n = http_take(c->hop, &st->plain);
		if (outbuf_room(&st->plain) == 0 && !conn_settle(c, true))
			return -ECANCELED;
		/* A stream that gave less than was asked has no more. */
	} while (n > 0 && (size_t)n == room);
	if (!conn_settle(c, !http_hop_full(c->hop)))
		return -ECANCELED;
	return n == -EPIPE ? -EPIPE : 0;
}

static void
http_ended(struct conn *c)
{
	if (c->hop == NULL || !c->hop->answered)
		atomic_fetch_add(&c->worker->net->counters.http_failed, 1);
	conn_end(c, c->hop != NULL && c->hop->answered ?
	    "HTTP done" : "HTTP: no request");
}

void
conn_http_event(struct conn *c)
{
	int r;

	CT_CHECK_MAGIC(c, CONN_MAGIC);
	if (http_retry(c->hop) != 0) {
		conn_drop(c, "out of memory");
		return;
	}
	r = http_output(c);
	if (r == -ECANCELED)
		return;
	if (c->hop->upgraded)
		hand_over(c);
	else if (r == -EPIPE)
		http_ended(c);
	else if (http_hop_watch(c->hop) != 0)
		conn_drop(c, "epoll");
}

/* The peer's end came behind what was fed. */
static void
http_last(struct conn *c, int why)
{
	if (c->hop != NULL && c->hop->upgraded && !c->stream.failed) {
		conn_http_event(c);	/* the channel will see the end */
		return;
	}
	/* A plain stream may end one way and still want its answer. */
	if (c->hop != NULL && http_output(c) == -ECANCELED)
		return;
	if (why == -EPIPE) {
		http_ended(c);
		return;
	}
	atomic_fetch_add(&c->worker->net->counters.http_failed, 1);
	conn_end(c, c->stream.failed ?
	    c->stream.transport->ops->reason(c->stream.transport) :
	    strerror(-why));
}

void
conn_http_input(struct conn *c)
{
	struct net_worker *w = c->worker;
	struct stage *st = &w->stage;
	int last = stream_read(&c->stream, st), error = 0;

	if (st->rx.n > 0 && c->hop == NULL)
		error = http_hop_new(&w->http, c, &c->hop);
	if (error == 0 && st->rx.n > 0)
		error = http_feed(c->hop, st->rx.p, st->rx.n);
	if (error != 0) {
		atomic_fetch_add(&w->net->counters.http_failed, 1);
		st->tx.n = 0;
		conn_drop(c, strerror(-error));
	} else if (last != 0) {
		http_last(c, last);
	} else if (c->hop != NULL) {
		conn_http_event(c);
	} else {
		(void)conn_settle(c, true);
	}
}

void
conn_http_answered(struct conn *c)
{
	loop_timer_set(c->worker->loop, &c->deadline,
	    atomic_load(&c->worker->net->limits.http_ms));
}
