/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything between accept() and the WebSocket upgrade: listeners, admission
 * limits, PROXY header, TLS handshake, the short HTTP life inside
 * libmicrohttpd.  What comes out is a stream with the facts of its peer; the
 * layer above takes it by a callback and owns it from then on.
 *
 * `struct net` is shared: listeners (one descriptor per address, decision
 * 0003), limits, counters.  `struct net_worker` is one worker's half and is
 * touched on its thread only.
 */
#ifndef CT_NET_H
#define CT_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "event/event.h"
#include "net/stream.h"
#include "tls/handshake.h"
#include "wire/ws_handshake.h"

struct net;
struct net_worker;
struct tls_snapshot;
struct worker;

struct net_limits {
	uint32_t handshakes;		/* not upgraded yet, whole daemon */
	uint32_t connections;		/* whole daemon, channels included */
	uint32_t connections_per_address;
	uint32_t handshake_ms, http_ms;	/* TCP + PROXY + TLS;
					 * first byte to 101 */
	uint32_t http_header;		/* bytes */
	uint32_t accept_quota;		/* accepts per wake-up */
	/* Accepted, but no handshake has room; 0: they wait in the kernel. */
	uint32_t waiting;
	/* A second, and at once; rate 0: no limit. */
	uint32_t listener_rate, listener_burst;
	uint32_t address_rate, address_burst;
	uint32_t backlog_bytes;		/* unsent bytes per connection */
};

struct net_listener_opts {
	const char *name;
	const char *address;		/* addr_parse() or "systemd:NAME" */
	bool tls;
	bool proxy;			/* a PROXY header is required */
	const struct addr_range *trusted;	/* who may send one */
	size_t trusted_n;
	const char *const *origins;	/* allowed Origin values; NULL ends */
	const char *default_protocol;	/* instance name or NULL */
	int backlog;
	/* Not opened but taken from a former process (decision 0015): net_new()
	 * duplicates passed_fd, checks that it listens on `address`, and leaves
	 * its file alone until net_lend(false). */
	bool passed;
	int passed_fd;
};

/* Facts about an upgrade request.  Valid during the callback only. */
struct net_request {
	const struct net_listener_opts *listener;
	unsigned listener_index;
	struct sockaddr_storage peer;	/* announced by PROXY if
					 * there was one */
	struct addr peer_addr;
	bool tls;
	bool trusted;			/* loopback, unix,
					 * or behind a trusted proxy */
	const struct tls_peer *tls_peer;	/* NULL without TLS */
	const char *target;		/* request target as sent */
	/* Its path, never decoded: "/a" of "/a?b" and of "http://h/a"; "" for
	 * targets without one ("ws", "", "*", "?x"),
	 * which some clients send. */
	const char *path;
	const char *user_agent;		/* "" if none; peer text */
	const char *const *subprotocols;	/* offered, client's order;
						 * NULL ends */
};

/* What the layer above chose. */
struct net_route {
	void *protocol;			/* handed back in net_upgrade */
	const char *subprotocol;	/* to answer; NULL: none */
	bool compression;		/* negotiate
					 * permessage-deflate if offered */
};

struct net_upgrade {
	const struct net_request *request;
	struct net_route route;
	struct ws_deflate_params deflate;	/* .enabled false: none */
	struct stream *stream;		/* take it with stream_move() */
	const uint8_t *early;		/* plaintext behind the request */
	size_t early_n;
	struct addr admitted;		/* give back with net_release() */
};

struct net_hooks {
	void *ctx;
	/* Chooses a protocol: 0, or an HTTP status (400, 403, 404,
	 * 503) with one line in *ret_why.  Worker's thread. */
	int (*route)(void *ctx, struct net_worker *, const struct net_request *,
	    struct net_route *ret, const char **ret_why);
	/* Takes the stream over (its 101 is out or in the backlog).  Negative:
	 * the connection is closed and its place given back by net.  Worker's
	 * thread, never inside a libmicrohttpd callback. */
	int (*upgraded)(void *ctx, struct net_worker *, struct net_upgrade *);
	/* GET /readyz: true = 200.  Any thread. */
	bool (*ready)(void *ctx);
};

struct net_counters {			/* all only ever rise */
	_Atomic uint64_t accepted, accept_failed, gated;
	_Atomic uint64_t refused_limit, refused_address, refused_proxy;
	_Atomic uint64_t handshakes, handshakes_failed, handshake_timeouts;
	_Atomic uint64_t resumed, http_requests, http_failed, http_timeouts;
	_Atomic uint64_t upgrades, upgrade_refused;
	_Atomic uint64_t connections;	/* now, not rising */
	_Atomic uint64_t handshakes_now, waiting;	/* now, too */
	_Atomic uint64_t waited, shed;	/* had to wait; of them closed */
	_Atomic uint64_t paced, refused_rate;	/* by listener, by address */
};

/* Binds and listens; systemd descriptors are taken by name.  why[256] on
 * failure names address and cause.  The options are copied.  Main thread. */
int net_new(const struct net_limits *, const struct net_listener_opts *,
    size_t listeners_n, const struct net_hooks *, char *why,
    struct net **ret);
/* After all workers are gone.  Unlinks unix sockets that it made and has not
 * lent. */
void net_free(struct net **);
struct net_counters *net_counters(struct net *);
/* The address a listener is bound to (port 0 resolved), for logs and tests. */
const char *net_listener_address(const struct net *, unsigned index, char *to);
/* How many listeners there are, and each one's options (name and address as
 * configured) and listening descriptor, which stays net's: to pass it on.  What
 * waits in the kernel's queue is for whoever accepts: a process that begins
 * after the other has stopped (net_worker_accept()) misses nothing.  Main
 * thread. */
size_t net_listeners(const struct net *);
const struct net_listener_opts *net_listener_opts(const struct net *,
    unsigned index);
int net_listener_fd(const struct net *, unsigned index);
/* true: another process has the sockets too and answers for their files;
 * net_free() closes and unlinks nothing.  false: they are ours.
 * Main thread. */
void net_lend(struct net *, bool lent);
/* The listener's own copy of that name (n bytes), or NULL.  Any thread. */
const char *net_listener_name(const struct net *, const char *name, size_t n);
void net_set_limits(struct net *, const struct net_limits *);	/* any thread */

/* One for each worker, on its thread or before it starts.  `user` is the upper
 * layer's per-worker object.  Accepting starts with net_worker_accept(true). */
int net_worker_new(struct net *, struct worker *, void *user,
    struct net_worker **ret);
/* Ends every connection that has no upgrade yet.  On its thread. */
void net_worker_end(struct net_worker *);
/* Handshakes that still wait for an external signature, given up or not.  The
 * loop goes on turning until this is 0 before net_worker_free(). */
size_t net_worker_suspended(const struct net_worker *);
/* Ends what net_worker_end() would.  Upgraded streams must be gone. */
void net_worker_free(struct net_worker **);
void *net_worker_user(struct net_worker *);
struct stage *net_worker_stage(struct net_worker *);
/* A second set of areas, for sends outside of a stream's own wake-up. */
struct stage *net_worker_side_stage(struct net_worker *);
/* An error is logged, and tried again until it works or is switched off. */
int net_worker_accept(struct net_worker *, bool on);
/* New handshakes use it from now on; the worker keeps a reference. */
void net_worker_set_snapshot(struct net_worker *, struct tls_snapshot *);

/* Answers for /.well-known/acme-challenge/TOKEN, immutable, shared. */
struct net_answers;
struct net_answer_spec {
	const char *token, *body;
};
int net_answers_new(const struct net_answer_spec *, size_t n,
    struct net_answers **ret);
struct net_answers *net_answers_ref(struct net_answers *);
void net_answers_unref(struct net_answers **);
void net_worker_set_answers(struct net_worker *, struct net_answers *);

/* A channel that came from an upgrade has ended: its place under the limits is
 * free again.  Any thread. */
void net_release(struct net *, const struct addr *admitted);
/* A channel of the former process is counted here from now on.  Any thread.
 * -ENOMEM. */
int net_receive(struct net *, const struct addr *admitted);

#endif
