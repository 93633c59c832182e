/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A GnuTLS client and a GnuTLS server over memory, and the record layer with
 * what the server knew when its handshake ended.  The server's session can be
 * kept beside it, as a second opinion on the same bytes.
 */
#ifndef CT_TEST_GNUTLS_BOTH_H
#define CT_TEST_GNUTLS_BOTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gnutls/gnutls.h>

#include "base/transport.h"
#include "tls/record.h"

struct both_pipe {
	uint8_t b[256 * 1024];
	size_t start, end;
	bool eof;			/* an end behind what is there */
};

struct both {
	struct both_pipe up, down;	/* client to server, server to client */
	gnutls_session_t client, server;
	gnutls_datum_t ticket;		/* for the next connection */
	struct stage st;
	struct transport *t;
	struct tls_detach detach;
	uint8_t rd_secret[48], wr_secret[48];
	size_t secret_n;
	uint8_t got[64 * 1024];
	size_t got_n;
};

/* In the order of strict_suites[]; the first ones are TLS 1.3. */
extern const char *const both_suites[];
#define BOTH_SUITES 9
#define BOTH_SUITES_13 4

/* All of it aborts the test on failure. */
void both_init(struct both *);
void both_fini(struct both *);
/* A handshake, and b->t made of the server's keys.  The client sends "at once"
 * right behind its Finished if `early`; the server's session goes unless it is
 * to be kept. */
void both_open(struct both *, const char *priority, bool early, bool keep);
void both_close(struct both *);

ssize_t both_pull(struct both_pipe *, gnutls_session_t, void *to, size_t n);
ssize_t both_push(struct both_pipe *, const void *from, size_t n);

#endif
