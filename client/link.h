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

#define LINK_WHY_SIZE 256

struct addrinfo;
struct tls_client;

struct link_trust {
	const char *ca_file;		/* NULL: the system's authorities */
	const char *cert_file, *key_file;
	bool no_verify, no_verify_host;
};

struct link {
	const struct url *url;
	const struct link_trust *trust;
	struct addrinfo *addresses, *next;	/* next: not tried yet */
	struct tls_client *tls;
	int fd;				/* -1: none */
	bool connected;			/* TCP is up */
	bool want_write;
	char why[LINK_WHY_SIZE];	/* of the last error */
};

/* Resolves and starts; url and trust must stay.  0 or negative errno with why. */
int link_open(struct link *, const struct url *, const struct link_trust *);
/* Goes on with TCP and TLS: 0 bytes may flow, -EAGAIN, else failed. */
int link_step(struct link *);
short link_poll_events(const struct link *, bool has_output);
/* Bytes; -EAGAIN; -EPIPE the peer ended; else failed, with why. */
ssize_t link_read(struct link *, void *p, size_t n);
ssize_t link_write(struct link *, const void *p, size_t n);
/* Says goodbye to TLS if it can, and closes.  Harmless when closed. */
void link_close(struct link *);

#endif
