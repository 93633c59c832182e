/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server handshake of core/tls and a GnuTLS client in one thread, connected
 * through memory.  Everything is in the struct for the test to look at.
 */
#ifndef CT_TEST_TLS_PAIR_H
#define CT_TEST_TLS_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "base/loop.h"
#include "base/mailbox.h"
#include "base/transport.h"
#include "certs.h"
#include "tls/handshake.h"
#include "tls/snapshot.h"

#define PAIR_TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define PAIR_TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define PAIR_WIRE (512 * 1024)

struct pair_opts {
	const char *priority;		/* the client's; NULL: PAIR_TLS13 */
	const char *sni;
	const char *alpn[3];
	const struct test_cert *cert;	/* the client's */
	const char *chain;		/* its chain, if not cert->pem */
	const gnutls_datum_t *resume;
	unsigned listener;
	size_t chunk;			/* bytes per step; 0: all there are */
	size_t record_limit;		/* record_size_limit of the client */
	const char *early;		/* sent at once after Finished */
	unsigned client_flags;
};

struct pair {
	struct loop *loop;
	struct mailbox mailbox;
	struct tls_worker *worker;
	struct stage stage;

	struct tls_handshake *hs;
	struct transport *transport;
	struct tls_peer peer;
	int server;			/* last tls_handshake_step or _finish */
	unsigned resumed_calls;

	gnutls_session_t client;
	gnutls_certificate_credentials_t xcred;
	int client_rc;
	bool client_done;

	uint8_t *up, *down;		/* wire to the server, to the client */
	size_t up_n, down_n, down_at;
	size_t max_record;		/* longest that the server sent */
};

void pair_init(struct pair *);
void pair_fini(struct pair *);
/* A new client and a new handshake; nothing runs yet. */
void pair_begin(struct pair *, struct tls_snapshot *, const struct pair_opts *);
/* Runs both until nothing moves, including the loop for external signers.  Does
 * tls_handshake_finish(). */
void pair_run(struct pair *, const struct pair_opts *);
/* One server step with what is there; chunk as above. */
int pair_server_step(struct pair *, size_t chunk);
void pair_client_step(struct pair *, const struct pair_opts *);
void pair_end(struct pair *);
/* Plaintext from the client to the server and back. */
void pair_check_echo(struct pair *, size_t n);
/* Opens what is in `up` into stage.rx; the transport's result. */
ssize_t pair_server_read(struct pair *);
void pair_server_write(struct pair *, const void *, size_t);
/* The alert that the client saw; -1: none. */
int pair_alert(const struct pair *);

#endif
