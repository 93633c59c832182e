/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport turns the bytes of the wire into plaintext and back.  It does no
 * I/O and has no clock: net/stream owns the descriptor and calls it with the
 * staging areas that its worker owns, one recv and one send a wake-up.  There
 * are two: plain (base/transport_plain.c) and detached TLS (tls/record.h).
 * A transport belongs to one worker at a time; export and import move it.
 */
#ifndef CT_TRANSPORT_H
#define CT_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct aead_cache;			/* tls/aead.h: handles,
					 * one cache a worker */

/* A worker's staging areas.  Used for one stream at a time. */
struct stage {
	struct outbuf in;		/* received, not opened yet */
	struct outbuf rx;		/* plaintext opened in this wake-up */
	struct outbuf plain;		/* plaintext to send, not sealed yet */
	struct outbuf tx;		/* sealed, not sent yet */
	struct aead_cache *aead;
};

#define STAGE_IN_SIZE (64 * 1024 + 17 * 1024)
#define STAGE_RX_SIZE STAGE_IN_SIZE
#define STAGE_PLAIN_SIZE (64 * 1024)
#define STAGE_TX_SIZE (96 * 1024)

int stage_init(struct stage *);		/* -ENOMEM; aead stays NULL */
void stage_fini(struct stage *);	/* wipes */

struct transport {
	const struct transport_ops *ops;
};

struct transport_ops {
	const char *name;		/* "plain", "tls" */
	uint8_t tag;			/* first byte of an export */

	/*
	 * Opens what is whole in in[0..n): appends plaintext to st->rx and
	 * answers that must not wait (alerts, KeyUpdate) to st->tx.  Stops
	 * early when rx has no room for a whole record.  Returns the bytes
	 * of `in` used (0 = more are needed), or, with what came before
	 * already in rx:
	 *   -EPIPE          the peer ended cleanly (close_notify)
	 *   -ECONNABORTED   the peer sent a fatal alert (see reason())
	 *   -EPROTO         the peer broke the protocol; the alert is in tx
	 *   -ENOMEM
	 * After an error no further call but write-free shutdown, eof, reason
	 * and free is allowed; after -EPIPE, write is as well.
	 */
	ssize_t (*read)(struct transport *, struct stage *st,
	    const uint8_t *in, size_t n);

	/*
	 * Seals p[0..n) into st->tx.  Returns how many bytes were taken: fewer
	 * than n when tx is full (send it and call again).  n == 0 puts out
	 * what is owed (a KeyUpdate answer).  -ENOMEM; -EOVERFLOW: the keys are
	 * used up and cannot be renewed (TLS 1.2): close.
	 */
	ssize_t (*write)(struct transport *, struct stage *st,
	    const uint8_t *p, size_t n);

	/* Puts our end of stream (close_notify) into st->tx; once. */
	int (*shutdown)(struct transport *, struct stage *st);

	/* What an end of file on the descriptor means now: -EPIPE a clean end,
	 * -ECONNRESET a truncation (RFC 8446 6.1). */
	int (*eof)(const struct transport *);

	/* Why the last error happened, for the log; static text. */
	const char *(*reason)(const struct transport *);

	/*
	 * Appends the whole state (tag, version, length, fields) to `out` and
	 * leaves the transport as it is; the caller frees it.  -ENOBUFS.
	 * No partial record is in it: that is the stream's.
	 */
	int (*export)(const struct transport *, struct outbuf *out);

	/* Makes a transport from export()'s bytes, exactly n of them.
	 * -EINVAL wrong tag, version, length or field; -ENOMEM. */
	int (*import)(const uint8_t *p, size_t n, struct transport **ret);

	/* What the worker's caches keep of it (cipher handles) is wiped; the
	 * transport itself stays usable.  NULL: there is nothing to wipe. */
	void (*retire)(struct transport *, struct stage *st);

	/* Wipes and frees; *t becomes NULL. */
	void (*free)(struct transport **t);
};

extern const struct transport_ops transport_plain_ops;
int transport_plain_new(struct transport **ret);	/* -ENOMEM */

#endif
