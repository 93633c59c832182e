/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the server: names, TCP, TLS and bytes, without ever waiting but for
 * the resolver.  One attempt is one link; addresses are tried in order.
 */
#ifndef CT_CLIENT_LINK_H
#define CT_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "url.h"

#define LINK_WHY_SIZE 768

struct addrinfo;
struct tls_client;
struct tls_client_policy;

struct link {
	const struct url *url;
	struct tls_client_policy *policy;
	struct addrinfo *addresses, *next;	/* next: not tried yet */
	struct tls_client *tls;
	int fd;				/* -1: none */
	bool up;			/* TCP, and TLS if there is any */
	bool tcp;			/* TCP is up */
	char why[LINK_WHY_SIZE];	/* of the last error */
};

/* Resolves and starts; url and policy must stay.  0 or negative errno with
 * why. */
int link_open(struct link *, const struct url *, struct tls_client_policy *);
/* Goes on with TCP and TLS: 0 bytes may flow, -EAGAIN, else failed. */
int link_step(struct link *);
short link_poll_events(const struct link *, bool has_output);
/* Bytes; -EAGAIN; -EPIPE the peer ended; else failed, with why. */
ssize_t link_read(struct link *, void *p, size_t n);
ssize_t link_write(struct link *, const void *p, size_t n);
/* Sends what link_write() took but could not send.  0 or failed. */
int link_flush(struct link *);
/* Says goodbye to TLS if it can, and closes.  Harmless when closed. */
void link_close(struct link *);

#endif
