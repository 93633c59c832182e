/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of net/ share: the bodies of struct net (any thread: constant
 * after net_new() but for atomics) and struct net_worker (its own thread only).
 */
#ifndef CT_NET_PRIV_H
#define CT_NET_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/loop.h"
#include "net/http.h"
#include "net/listener.h"
#include "net/net.h"
#include "net/rate.h"

struct admission;
struct conn_origin;
struct tls_worker;

/* A listener and its options, copied. */
struct net_site {
	struct listener listener;
	struct net_listener_opts opts;
	struct rate rate;
};

struct net_live_limits {
	_Atomic uint32_t handshakes, handshake_ms, http_ms, http_header;
	_Atomic uint32_t accept_quota, backlog_bytes, waiting;
	_Atomic uint32_t listener_rate, listener_burst;
};

struct net {
	struct net_site *sites;
	size_t sites_n;
	struct net_hooks hooks;
	struct net_live_limits limits;
	struct net_counters counters;
	struct admission *admission;
	_Atomic unsigned workers_n;
	size_t pool;			/* bytes of an HTTP connection */
};

/* One listener in one worker's epoll. */
struct net_gate {
	struct watch watch;
	struct net_worker *worker;
	unsigned index;
	struct list waiting;		/* waiting.c */
	bool dry;			/* scratch: its listener has no token */
};

/* Accepting on one worker: open while it is wanted (`on`), not `starved` of
 * descriptors, and there is room. */
struct net_acceptor {
	struct net_gate *gates;		/* one a listener */
	bool on, open, starved;
	uint32_t backoff_ms;
	struct timer retry;
	unsigned waiting;		/* how many, at all gates */
	struct timer look;
};

struct net_worker {
	struct net *net;
	struct worker *worker;
	struct loop *loop;
	void *user;
	struct stage stage, side;
	struct tls_worker *tls;
	struct tls_snapshot *snapshot;
	struct net_answers *answers;
	struct net_acceptor acceptor;
	struct http http;
	struct list conns;		/* before their upgrade */
	unsigned in_flight;		/* how many those are */
};

/* acceptor.c */
int acceptor_init(struct net_worker *);
void acceptor_fini(struct net_worker *);
/* Opens or shuts the gates as the load asks for; call when it has changed. */
int acceptor_check(struct net_worker *);
/* This worker's part of a limit of the whole daemon. */
unsigned acceptor_share(const struct net_worker *, const _Atomic uint32_t *);
/* Whether one more handshake may begin. */
bool acceptor_room(const struct net_worker *);
/* Takes a token of a listener. */
bool acceptor_token(struct net_worker *, unsigned site, uint64_t now_ms);

/* waiting.c: takes an accepted connection over. */
void waiting_init(struct net_worker *);
void waiting_add(struct net_worker *, const struct conn_origin *);
/* There may be room: some are served as soon as this wake-up is over. */
void waiting_soon(struct net_worker *);
/* The oldest gives its place under the limit of connections to a new one. */
void waiting_yield(struct net_worker *);
void waiting_end(struct net_worker *);

/* answers.c: the body for a token, or NULL. */
const char *answers_find(const struct net_answers *, const char *token);

/* Gives the place of a connection back; `claimed` NULL: no address was. */
void net_leave(struct net *, const struct addr *claimed);

#endif
