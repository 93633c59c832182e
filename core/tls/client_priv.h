/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client's session share.  A policy is any thread's, a
 * session that of who runs it. */
#ifndef CT_TLS_CLIENT_PRIV_H
#define CT_TLS_CLIENT_PRIV_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls/client.h"
#include "tls/snapshot.h"
#include "tls/trust_priv.h"

struct tls_client_policy {
	gnutls_priority_t priority;
	gnutls_certificate_credentials_t xcred;
	struct tls_trust *trust;
	gnutls_datum_t ticket;		/* the last one; data NULL: none */
	char *ticket_host;
};

struct tls_client {
	struct tls_client_policy *policy;
	gnutls_session_t session;
	struct tls_client_io io;
	char *host;
	bool done;			/* the handshake */
	bool flushing;			/* GnuTLS has a record to send */
	bool blocked_write;		/* the last -EAGAIN was the wire's */
	int io_error;			/* -errno of io, 0: none */
	unsigned warnings;
	struct tls_review *review;	/* the caller's, or NULL */
	bool go_on;			/* with a server that is refused */
	char distrust[640];		/* why verification failed, or "" */
	char reason[640];
};

/* For gnutls_certificate_set_verify_function(); leaves the words in
 * `distrust`. */
int tls_client_verify(gnutls_session_t);
/* GnuTLS's hook before each message; refuses a Certificate with `distrust`. */
int tls_client_look(gnutls_session_t, unsigned type, unsigned when,
    unsigned incoming, const gnutls_datum_t *msg);
/* The same for a session that was resumed, where the library asks nobody.  0,
 * -EACCES with `distrust`, -ENOMEM. */
int tls_client_judge(struct tls_client *);

#endif
