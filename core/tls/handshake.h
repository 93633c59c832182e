/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server handshake, from the first byte to a detached transport (decision
 * 5).  It does no I/O: wire bytes come in by whole records (a partial one would
 * pin 17 KB in GnuTLS), what must be sent is appended to the stage's tx area.
 * With an external key the handshake runs on a pooled stack of its own and may
 * be suspended; a suspended one is never freed, only given up. Belongs to one
 * worker's thread.
 */
#ifndef CT_TLS_HANDSHAKE_H
#define CT_TLS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/transport.h"
#include "tls/trust.h"

struct mailbox;
struct tls_handshake;
struct tls_snapshot;
struct tls_worker;

/* Per worker: pool of handshake stacks.  The mailbox is where answers of
 * external signers arrive.  -ENOMEM. */
int tls_worker_new(struct mailbox *, struct tls_worker **ret);
/* After every handshake has ended. */
void tls_worker_free(struct tls_worker **);
/* Handshakes of this worker that wait for an external signature, given up or
 * not.  The worker's loop goes on until this is 0. */
size_t tls_worker_suspended(const struct tls_worker *);

/* What is known of the peer when the handshake is done.  Kept as long as needed
 * by the channel; no vendor type in it. */
struct tls_peer {
	uint16_t version;		/* 0x0303, 0x0304 */
	char cipher[32];
	char alpn[16];			/* "" none */
	char server_name[256];		/* SNI; "" none */
	bool resumed;
	/* The number of the certificate that was shown (tls_slot_spec); after a
	 * resumption, of one that was in service just then. */
	uint16_t served;
	bool has_exporter;		/* RFC 9266; TLS 1.2 only with EMS */
	uint8_t exporter[32];
	/* A client certificate that proves something: it comes from a CA of the
	 * listener, or its fingerprint or key is listed there. */
	bool has_cert;
	struct tls_proof cert;
	char cert_cn[128];		/* subject CN, UTF-8 */
	char cert_uri[129];		/* first URI of the SANs; "" none */
};

enum tls_handshake_result {
	TLS_HS_MORE,			/* wants more wire bytes */
	TLS_HS_WAIT,			/* suspended until `resumed` */
	TLS_HS_DONE,			/* call tls_handshake_finish */
	TLS_HS_CHALLENGE		/* acme-tls/1 done: send tx, close */
};

/*
 * ALPN: "http/1.1" is offered, and "acme-tls/1" while the snapshot has
 * challenges. A client without ALPN goes on without; one that offers neither
 * (only "h2") is refused with no_application_protocol (RFC 7301 3.2): browsers
 * offer http/1.1 for wss, and whoever insists on h2 would not understand our
 * answer.
 */

/* `resumed(ctx)` runs on the worker's thread when a suspended handshake can go
 * on: call tls_handshake_step again.
 * `listener` counts in the snapshot's spec; -EINVAL: there is none.
 * -ENOMEM. */
int tls_handshake_new(struct tls_worker *, struct tls_snapshot *snapshot,
    unsigned listener, void (*resumed)(void *ctx), void *ctx,
    struct tls_handshake **ret);

/*
 * Takes whole records from in[0..n) as far as the handshake wants them;
 * *ret_used says how many bytes.  What is left after TLS_HS_DONE are
 * application records. Appends to st->tx.  Returns enum tls_handshake_result or
 * a negative errno with the alert in tx: -EPROTO (peer's fault; see reason),
 * -ECONNABORTED (peer's alert), -EACCES (client certificate missing or not
 * trusted), -ENOKEY (no credential for that name, signer failed), -EMSGSIZE
 * (too much for a handshake, or tx is full), -ENOMEM.  While suspended it takes
 * nothing: TLS_HS_WAIT.
 */
int tls_handshake_step(struct tls_handshake *, struct stage *st,
    const uint8_t *in, size_t n, size_t *ret_used);
/* Static or handshake-owned text about the last error, for the log. */
const char *tls_handshake_reason(const struct tls_handshake *);

/* After TLS_HS_DONE, once: sends one ticket (into tx), takes the keys out,
 * frees the GnuTLS session and drops the snapshot, whatever happens.  On
 * success *ret_transport and *ret_peer are filled.  -EACCES, -EPROTO, -EMSGSIZE
 * (tx is full), -EIO, -ENOMEM.  tls_handshake_free() is still the caller's. */
int tls_handshake_finish(struct tls_handshake *, struct stage *st,
    struct transport **ret_transport, struct tls_peer *ret_peer);

/* Frees, or gives up when suspended (the rest happens when the signer answers;
 * `resumed` is not called any more). */
void tls_handshake_free(struct tls_handshake **);

#endif
