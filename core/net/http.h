/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP hop (decision 0002): one libmicrohttpd daemon a worker that never
 * sees a network socket, only one end of a short-lived socketpair for each
 * connection.  The worker's loop runs it (mhd.h).  All on the worker's thread.
 */
#ifndef CT_NET_HTTP_H
#define CT_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "net/mhd.h"

struct buf;
struct conn;
struct http_hop;
struct net_worker;
struct outbuf;
struct upgrade;

/* A socketpair: our end and the other, of which libmicrohttpd gets a duplicate
 * that it closes when it is done. */
struct http_pair {
	int ours, other;		/* -1: closed */
};

#define HTTP_PAIRS_KEPT 2

struct http {
	struct mhd mhd;
	struct net_worker *worker;
	struct http_hop *adding;	/* inside MHD_add_connection() */
	struct http_pair kept[HTTP_PAIRS_KEPT];	/* empty, for the next ones */
	unsigned kept_n;
};

/* `pool`: bytes that one connection may use inside libmicrohttpd. */
int http_init(struct http *, struct net_worker *, size_t pool);
/* After every hop was dropped. */
void http_fini(struct http *);

#define HTTP_EMPTY_TARGET "GET  HTTP/1."

/* One connection's pair.  Owned by its conn until http_hop_drop(), then freed
 * as soon as libmicrohttpd is done with its end. */
struct http_hop {
	struct watch watch;		/* our end */
	bool watched;
	uint32_t events;		/* asked of epoll */
	bool known;			/* libmicrohttpd has its end */
	bool upgraded;			/* the 101 is in the pair */
	bool lost;			/* no memory for what was behind it */
	struct http_pair pair;		/* other: until the first
					 * bytes are fed */
	bool answered;			/* a request got an answer of ours */
	bool begun;			/* a request's handler was called */
	bool decided;			/* first_n bytes were looked at */
	bool empty_target;
	struct http *http;
	struct conn *conn;		/* NULL after the drop */
	struct buf *pending;		/* for the pair, which was full */
	struct buf *early;		/* behind an upgrade request */
	char *target;			/* of the request, as sent */
	struct upgrade *upgrade;	/* accepted, see upgrade.h */
	uint8_t first_n;		/* bytes of HTTP_EMPTY_TARGET seen */
};

/* -ENOMEM, -EMFILE; -EAGAIN: libmicrohttpd did not take it. */
int http_hop_new(struct http *, struct conn *, struct http_hop **ret);
void http_hop_drop(struct http_hop **);

/*
 * Plaintext from the peer.  What the pair does not take is kept (no more should
 * be read then: http_hop_full()).  Runs libmicrohttpd.  -ENOMEM.
 *
 * "GET  HTTP/1.1", the empty target that some clients send, is passed on as
 * "GET / HTTP/1.1" because libmicrohttpd answers it with 400; the request is
 * still known to have an empty target.
 */
int http_feed(struct http_hop *, const uint8_t *p, size_t n);
bool http_hop_full(const struct http_hop *);
/* Tries again with what was kept. -ENOMEM. */
int http_retry(struct http_hop *);
/* Takes what libmicrohttpd wrote, appending to `to`.  Bytes, -EAGAIN none now,
 * -EPIPE it has ended the connection. */
ssize_t http_take(struct http_hop *, struct outbuf *to);
/* Watches the pair for as long as HTTP lasts.  -errno of epoll. */
int http_hop_watch(struct http_hop *);

#endif
