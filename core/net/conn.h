/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection before its upgrade: PROXY header, TLS handshake, HTTP, and a
 * short lingering end so that the last answer is not destroyed by a reset.
 * Belongs to one worker; frees itself.  After the upgrade the stream belongs to
 * the layer above and nothing of the connection is left.
 */
#ifndef CT_NET_CONN_H
#define CT_NET_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/list.h"
#include "base/timer.h"
#include "net/stream.h"

struct http_hop;
struct net_site;
struct net_worker;
struct tls_handshake;
struct tls_peer;

enum conn_state {
	CONN_PROXY, CONN_TLS, CONN_HTTP, CONN_ENDING
};

struct conn {
	uint32_t magic;
	enum conn_state state;
	struct list link;		/* in net_worker.conns */
	struct net_worker *worker;
	struct net_site *site;
	unsigned site_index;
	uint32_t discarded;		/* bytes, while ending */
	struct stream stream;
	struct timer deadline;
	struct sockaddr_storage peer;	/* announced, if by PROXY */
	struct addr peer_addr;
	bool claimed;			/* peer_addr counts under its limit */
	bool suspended;			/* TLS waits for a signer */
	struct tls_handshake *handshake;
	struct tls_peer *tls_peer;	/* NULL without TLS */
	struct http_hop *hop;		/* NULL before the first HTTP byte */
};

struct conn_origin {
	int fd;
	unsigned site;			/* listener index */
	bool entered;			/* has its place under the limits */
	struct sockaddr_storage peer;
};

#define CONN_MAGIC 0xc0441e57u

/* Takes the descriptor over, whatever becomes of it. */
void conn_new(struct net_worker *, const struct conn_origin *);
/* Ends it without a word. */
void conn_free(struct conn *);

/* The HTTP side has something: bytes to send, an end, or an upgrade.  May free
 * the connection.  Not inside a libmicrohttpd callback. */
void conn_http_event(struct conn *);
/* A request has been answered: the next one gets the whole time again. */
void conn_http_answered(struct conn *);

/* ---- between conn.c and conn_http.c ------------------------------------- */

/* HTTP from here on, with what is in the stage's `in`.  May free. */
void conn_enter_http(struct conn *);
/* The descriptor is readable.  May free. */
void conn_http_input(struct conn *);
/* Sends what this wake-up made and waits for more.  false: c is gone. */
bool conn_settle(struct conn *, bool want_read);
/* Logs, says goodbye and lingers; what is in the stage's `tx` goes out. */
void conn_end(struct conn *, const char *cause);
/* Logs and closes at once. */
void conn_drop(struct conn *, const char *cause);
/* Off the worker's books without its place: the stream must be gone. */
void conn_forget(struct conn *);

#endif
