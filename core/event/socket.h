/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two nng sockets of the bus: PUB, and REP.  The only file pair that calls
 * nng.  Publisher thread, or the one that makes the bus, unless stated.
 */
#ifndef CT_EVENT_SOCKET_H
#define CT_EVENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nng/nng.h>

enum bus_socket_kind { BUS_PUB, BUS_REP };

#define BUS_QUEUE_MAX 8192		/* nng's own limit */
#define BUS_REQUEST_MAX (64 * 1024)	/* a peer that sends more is cut off */
#define BUS_PIPES_MAX 256		/* peers of a socket;
					 * more are refused */

struct bus_socket {
	enum bus_socket_kind kind;
	bool open, listening;
	const char *url, *path;		/* the owner's; path is inside url */
	nng_socket s;
	nng_listener l;
	int recv_fd, send_fd;		/* REP */
	nng_msg *held;			/* REP: its peer's answer
					 * before it is */
	uint64_t held_ms;		/* still under way; since when */
	/* Written on nng's threads. */
	_Atomic uint32_t added;		/* pipes ever got */
	_Atomic int32_t pipes;		/* now */
	void (*changed)(void *ctx);	/* nng's threads: a pipe was added */
	void *changed_ctx;
};

/* kind, url, path, changed and changed_ctx are set, the rest is zero.  `queue`:
 * nng's send buffer per peer, for PUB.  why[256] gets a line on failure.
 * -EADDRINUSE, -EINVAL, -ENOMEM, -errno. */
int bus_socket_open(struct bus_socket *, uint32_t queue, char *why);
void bus_socket_close(struct bus_socket *);
/* Ends the listener and listens again; peers of before come back by
 * themselves.  When it fails, calling it again is what helps. */
int bus_socket_relisten(struct bus_socket *);

/* Puts p[0..n) into the queue of every subscriber; never waits. */
int bus_socket_publish(struct bus_socket *, const void *p, size_t n);

/* What is readable when a request waits that can be answered. */
int bus_socket_fd(const struct bus_socket *);
/* Until then bus_socket_request() wants to be called; -1 at any time. */
int bus_socket_wait(const struct bus_socket *, uint64_t now_ms);
/* Takes one request; -EAGAIN when there is none, or its peer has yet to read an
 * answer: for 200 ms, then it is cut off. */
int bus_socket_request(struct bus_socket *, uint64_t now_ms, nng_msg **ret);
/* Answers it with p[0..n) and frees it. */
int bus_socket_reply(struct bus_socket *, nng_msg *, const void *p, size_t n);

#endif
