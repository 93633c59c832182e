/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are accepted and wait, before their first byte is read: for
 * one of the handshakes in flight, or for a token of their listener.  The
 * newest goes first, because its peer is the likeliest to be there still; when
 * there are too many, or one has waited too long, the oldest is closed.  In a
 * storm whoever is served is served in time, instead of everybody too late.
 */
#include "net/net_priv.h"

#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/admission.h"
#include "net/conn.h"

/* While somebody waits for another worker's or the listener's sake. */
#define LOOK_MS 50

struct waiter {
	struct list link;		/* of its gate;
					 * the newest is the last */
	uint64_t since_ms;		/* of the loop */
	struct conn_origin from;
};

static struct waiter *
at(struct list *l)
{
	return CT_CONTAINER(l, struct waiter, link);
}

static void
leave(struct net_worker *w, struct waiter *e)
{
	list_remove(&e->link);
	w->acceptor.waiting--;
	atomic_fetch_sub(&w->net->counters.waiting, 1);
	mem_free(e);
}

static void
shed(struct net_worker *w, struct waiter *e)
{
	(void)close(e->from.fd);
	net_leave(w->net, NULL);
	atomic_fetch_add(&w->net->counters.shed, 1);
	leave(w, e);
}

static struct waiter *
oldest(struct net_worker *w)
{
	struct waiter *best = NULL;

	for (size_t i = 0; i < w->net->sites_n; i++) {
		struct list *l = &w->acceptor.gates[i].waiting;

		if (!list_empty(l) && (best == NULL ||
		    at(l->next)->since_ms < best->since_ms))
			best = at(l->next);
	}
	return best;
}

/* Of those whose listener has a token, which it takes. */
static struct waiter *
newest(struct net_worker *w)
{
	uint64_t now = loop_now_ms(w->loop);
	struct net_gate *best;

	for (size_t i = 0; i < w->net->sites_n; i++)
		w->acceptor.gates[i].dry = false;
	for (;;) {
		best = NULL;
		for (size_t i = 0; i < w->net->sites_n; i++) {
			struct net_gate *g = &w->acceptor.gates[i];

			if (!g->dry && !list_empty(&g->waiting) &&
			    (best == NULL || at(g->waiting.prev)->since_ms >
			    at(best->waiting.prev)->since_ms))
				best = g;
		}
		if (best == NULL)
			return NULL;
		if (acceptor_token(w, best->index, now))
			return at(best->waiting.prev);
		best->dry = true;
	}
}

static void
serve(struct net_worker *w)
{
	struct conn_origin from;
	struct waiter *e;

	while (w->acceptor.waiting > 0 && acceptor_room(w) &&
	    (e = newest(w)) != NULL) {
		from = e->from;
		leave(w, e);
		conn_new(w, &from);
	}
}

static void
on_look(struct timer *t)
{
	struct net_worker *w = CT_CONTAINER(t, struct net_worker,
	    acceptor.look);
	uint64_t now = loop_now_ms(w->loop);
	uint32_t patience = atomic_load(&w->net->limits.handshake_ms);
	struct waiter *e;

	serve(w);
	while ((e = oldest(w)) != NULL && now - e->since_ms >= patience)
		shed(w, e);
	if (w->acceptor.waiting > 0)
		loop_timer_set(w->loop, t, LOOK_MS);
}

void
waiting_yield(struct net_worker *w)
{
	struct waiter *e = oldest(w);

	if (e != NULL)
		shed(w, e);
}

void
waiting_soon(struct net_worker *w)
{
	if (w->acceptor.waiting > 0)
		loop_timer_set(w->loop, &w->acceptor.look, 0);
}

void
waiting_add(struct net_worker *w, const struct conn_origin *from)
{
	struct net_counters *count = &w->net->counters;
	unsigned most = acceptor_share(w, &w->net->limits.waiting);
	struct waiter *e = NULL;

	if (admission_enter(w->net->admission) != 0) {
		atomic_fetch_add(&count->refused_limit, 1);
		(void)close(from->fd);	/* nothing was promised */
		return;
	}
	atomic_fetch_add(&count->connections, 1);
	if (most > 0)
		e = mem_calloc(1, sizeof(*e));
	if (e == NULL) {
		(void)close(from->fd);
		net_leave(w->net, NULL);
		atomic_fetch_add(&count->shed, 1);
		return;
	}
	while (w->acceptor.waiting >= most)
		shed(w, oldest(w));
	e->from = *from;
	e->from.entered = true;
	e->since_ms = loop_now_ms(w->loop);
	list_append(&w->acceptor.gates[from->site].waiting, &e->link);
	w->acceptor.waiting++;
	atomic_fetch_add(&count->waiting, 1);
	atomic_fetch_add(&count->waited, 1);
	if (!timer_running(&w->acceptor.look))
		loop_timer_set(w->loop, &w->acceptor.look, LOOK_MS);
}

void
waiting_init(struct net_worker *w)
{
	timer_init(&w->acceptor.look, on_look);
}

void
waiting_end(struct net_worker *w)
{
	struct waiter *e;

	while (w->acceptor.waiting > 0 && (e = oldest(w)) != NULL)
		shed(w, e);
	if (w->acceptor.gates != NULL)
		loop_timer_stop(w->loop, &w->acceptor.look);
}
