/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes connections off the shared listening descriptors (decision 0003).  Each
 * worker has every listener in its epoll with EPOLLEXCLUSIVE, takes a few a
 * wake-up, and takes the listeners out (DEL, for MOD is not allowed with
 * EPOLLEXCLUSIVE) while the daemon is full, while it has its share of
 * connections before their upgrade and none may wait (waiting.c), and for a
 * while when descriptors have run out.
 */
#include "net/net_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/admission.h"
#include "net/conn.h"

/* Another worker's connections may end without a word to us. */
#define RECHECK_MS 50
#define STARVED_MIN_MS 100
#define STARVED_MAX_MS 1000

unsigned
acceptor_share(const struct net_worker *w, const _Atomic uint32_t *limit)
{
	unsigned n = atomic_load(&w->net->workers_n);
	uint32_t all = atomic_load(limit);

	n = n == 0 ? 1 : n;
	return all / n + (all % n != 0);
}

bool
acceptor_room(const struct net_worker *w)
{
	return w->in_flight < acceptor_share(w, &w->net->limits.handshakes);
}

bool
acceptor_token(struct net_worker *w, unsigned site, uint64_t now_ms)
{
	const struct rate_limit l = {
		.rate = atomic_load(&w->net->limits.listener_rate),
		.burst = atomic_load(&w->net->limits.listener_burst)
	};

	return rate_take(&w->net->sites[site].rate, &l, now_ms);
}

/* The kernel's queue is where connections wait when nobody may wait here. */
static bool
overloaded(const struct net_worker *w)
{
	return (!acceptor_room(w) &&
	    atomic_load(&w->net->limits.waiting) == 0) ||
	    (admission_full(w->net->admission) && w->acceptor.waiting == 0);
}

static void
shut(struct net_worker *w)
{
	if (!w->acceptor.open)
		return;
	for (size_t i = 0; i < w->net->sites_n; i++)
		loop_del(w->loop, &w->acceptor.gates[i].watch);
	w->acceptor.open = false;
}

static int
open_gates(struct net_worker *w)
{
	int error;

	for (size_t i = 0; i < w->net->sites_n; i++) {
		error = loop_add(w->loop, &w->acceptor.gates[i].watch,
		    EPOLLIN | EPOLLEXCLUSIVE);
		if (error != 0) {
			while (i-- > 0)
				loop_del(w->loop,
				    &w->acceptor.gates[i].watch);
			return error;
		}
	}
	w->acceptor.open = true;
	return 0;
}

int
acceptor_check(struct net_worker *w)
{
	struct net_acceptor *a = &w->acceptor;
	int error = 0;

	if (!a->on) {
		shut(w);
		a->starved = false;
		loop_timer_stop(w->loop, &a->retry);
		return 0;
	}
	if (a->starved)
		return 0;
	if (overloaded(w)) {
		if (a->open)
			atomic_fetch_add(&w->net->counters.gated, 1);
		shut(w);
		if (!timer_running(&a->retry))
			loop_timer_set(w->loop, &a->retry, RECHECK_MS);
		return 0;
	}
	if (!a->open) {
		error = open_gates(w);
		if (error != 0)
			loop_timer_set(w->loop, &a->retry, STARVED_MAX_MS);
		else
			loop_timer_stop(w->loop, &a->retry);
	}
	return error;
}

static void
on_retry(struct timer *t)
{
	struct net_worker *w = CT_CONTAINER(t, struct net_worker,
	    acceptor.retry);
	int error;

	w->acceptor.starved = false;
	error = acceptor_check(w);
	if (error != 0)
		log_error("cannot accept again: cause=\"%s\"",
		    strerror(-error));
}

/* Descriptors or memory are short: no spinning on a readable listener. */
static void
starve(struct net_worker *w, int error)
{
	struct net_acceptor *a = &w->acceptor;

	a->backoff_ms = a->backoff_ms == 0 ? STARVED_MIN_MS :
	    a->backoff_ms * 2;
	if (a->backoff_ms > STARVED_MAX_MS)
		a->backoff_ms = STARVED_MAX_MS;
	a->starved = true;
	shut(w);
	loop_timer_set(w->loop, &a->retry, a->backoff_ms);
	log_warning("accepting pauses: cause=\"%s\" ms=%u", strerror(error),
	    (unsigned)a->backoff_ms);
}

/* Begins, waits, or is refused: before anything is read or spent on TLS. */
static void
admit(struct net_worker *w, const struct conn_origin *from)
{
	uint64_t now = loop_now_ms(w->loop);
	struct addr peer;

	addr_of((const struct sockaddr *)&from->peer, &peer);
	/* Behind a proxy the address comes later: conn.c. */
	if (!w->net->sites[from->site].opts.proxy &&
	    !admission_pass(w->net->admission, &peer, now)) {
		atomic_fetch_add(&w->net->counters.refused_rate, 1);
		(void)close(from->fd);
		return;
	}
	/* Only who may stay takes somebody's place. */
	if (admission_full(w->net->admission))
		waiting_yield(w);
	if (!acceptor_room(w)) {
		waiting_add(w, from);
	} else if (!acceptor_token(w, from->site, now)) {
		atomic_fetch_add(&w->net->counters.paced, 1);
		waiting_add(w, from);
	} else {
		conn_new(w, from);
	}
}

/* One accept.  false: enough for this wake-up. */
static bool
take_one(struct net_worker *w, const struct net_gate *g)
{
	struct conn_origin from = { .site = g->index };
	socklen_t len = sizeof(from.peer);

	memset(&from.peer, 0, sizeof(from.peer));
	from.fd = accept4(g->watch.fd, (struct sockaddr *)&from.peer, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (from.fd >= 0) {
		w->acceptor.backoff_ms = 0;
		if (len <= sizeof(from.peer.ss_family))
			from.peer.ss_family = AF_UNIX;
		atomic_fetch_add(&w->net->counters.accepted, 1);
		admit(w, &from);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		atomic_fetch_add(&w->net->counters.accept_failed, 1);
		starve(w, errno);
		return false;
	default:
		/* accept(2): what went wrong with one connection. */
		atomic_fetch_add(&w->net->counters.accept_failed, 1);
		return true;
	}
}

static void
on_acceptable(struct watch *watch, uint32_t events)
{
	struct net_gate *g = CT_CONTAINER(watch, struct net_gate, watch);
	struct net_worker *w = g->worker;
	uint32_t quota = atomic_load(&w->net->limits.accept_quota);

	(void)events;
	if (quota == 0)
		quota = 1;
	while (quota-- > 0 && w->acceptor.open && !overloaded(w)) {
		if (!take_one(w, g))
			break;
	}
	(void)acceptor_check(w);	/* shutting cannot fail */
}

int
acceptor_init(struct net_worker *w)
{
	struct net *net = w->net;

	timer_init(&w->acceptor.retry, on_retry);
	waiting_init(w);
	w->acceptor.gates = mem_calloc(net->sites_n + 1,
	    sizeof(w->acceptor.gates[0]));
	if (w->acceptor.gates == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < net->sites_n; i++) {
		w->acceptor.gates[i] = (struct net_gate){
			.watch = {
				.fn = on_acceptable,
				.fd = net->sites[i].listener.fd
			},
			.worker = w,
			.index = (unsigned)i
		};
		list_init(&w->acceptor.gates[i].waiting);
	}
	return 0;
}

void
acceptor_fini(struct net_worker *w)
{
	if (w->acceptor.gates == NULL)
		return;
	w->acceptor.on = false;
	(void)acceptor_check(w);	/* shutting cannot fail */
	waiting_end(w);
	mem_free(w->acceptor.gates);
	w->acceptor.gates = NULL;
}

int
net_worker_accept(struct net_worker *w, bool on)
{
	int error;

	w->acceptor.on = on;
	error = acceptor_check(w);
	if (error != 0)		/* the timer tries it again */
		log_warning("accepting pauses: cause=\"%s\" ms=%u",
		    strerror(-error), (unsigned)STARVED_MAX_MS);
	return error;
}
