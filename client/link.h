/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the server: names, TCP, a proxy, TLS and bytes, without ever
 * waiting.  One attempt is one link; addresses are tried in order.  All on the
 * thread that runs the client.
 */
#ifndef CT_CLIENT_LINK_H
#define CT_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "url.h"

#define LINK_WHY_SIZE 768
/* For TCP to be there, shared by all addresses of a server, and what one gets
 * at most while there is another.  The last one may take what time there is. */
#define LINK_CONNECT_MS 15000
#define LINK_ADDRESS_MS 5000

struct ares_addrinfo_node;
struct proxy;
struct resolve;
struct tls_client;
struct tls_client_policy;
struct tls_review;

enum link_step {
	LINK_RESOLVE, LINK_CONNECT, LINK_ASK_PROXY, LINK_HEAR_PROXY, LINK_TLS,
	LINK_UP
};

struct link {
	const struct url *url;		/* the server */
	struct proxy *proxy;		/* NULL: straight to it */
	struct tls_client_policy *policy;	/* NULL: no TLS */
	struct resolve *names;
	const struct ares_addrinfo_node *next;	/* not tried yet */
	uint64_t next_ms;		/* when it is tried;
					 * monotonic, as is: */
	uint64_t until_ms;		/* when all of them have been */
	struct tls_client *tls;
	enum link_step step;
	int fd;				/* -1: none */
	char *head;			/* of the proxy, as far as it came */
	size_t head_n, sent_n;
	char why[LINK_WHY_SIZE];	/* of the last error */
	/* For diagnosis, set after link_open(): tls_client_review(). */
	struct tls_review *review;
	bool go_on;
};

/* Starts; url, proxy and policy must stay.  0 or negative errno with why. */
int link_open(struct link *, const struct url *, struct proxy *,
    struct tls_client_policy *);
/* Goes on: 0 bytes may flow, -EAGAIN, else failed. */
int link_go_on(struct link *);
/* The same, but one step at most: 0 it was done. */
int link_step(struct link *);
int link_fd(const struct link *);	/* to be watched; -1 none */
short link_poll_events(const struct link *, bool has_output);
int link_timeout_ms(const struct link *);	/* -1: no such need */
/* Bytes; -EAGAIN; -EPIPE the peer ended; else failed, with why. */
ssize_t link_read(struct link *, void *p, size_t n);
ssize_t link_write(struct link *, const void *p, size_t n);
/* Sends what link_write() took but could not send.  0 or failed. */
int link_flush(struct link *);
/* Says goodbye to TLS if it can, and closes.  Harmless when closed. */
void link_close(struct link *);

#endif
