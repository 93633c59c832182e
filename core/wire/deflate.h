/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permessage-deflate's two transforms (RFC 7692 section 7.2) without context
 * takeover: every message starts afresh, so one deflater and one inflater serve
 * all channels of a worker.  The only file that includes zlib.h; zlib's memory
 * comes from base/mem.h.  Belongs to one worker's thread.
 */
#ifndef CT_DEFLATE_H
#define CT_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct deflater;
struct inflater;

struct deflate_input {
	const uint8_t *p;
	size_t n;
	unsigned window_bits;		/* 9..15, the largest agreed upon */
};

/* Up to 260 KiB once a message of 32 KiB has been deflated; 10 KiB for a worker
 * with small messages only.  -ENOMEM. */
int deflater_new(struct deflater **ret);
void deflater_free(struct deflater **);

/*
 * Appends the compressed payload of one message to `out`, without the four
 * bytes 00 00 ff ff that end it (RFC 7692 7.2.1); an empty message becomes one
 * byte.  -ENOBUFS: out has too little room, which must include those four and
 * one more: giving it the message's own size asks for "only if it gets
 * smaller"; -ENOMEM.  On failure out->n is as before.
 */
int deflate_message(struct deflater *, const struct deflate_input *,
    struct outbuf *out);

/* Takes what comes out of inflate_message(). */
struct inflate_sink {
	/* 0, or negative errno, which ends the message and is returned.  p may
	 * be changed, and is gone after the call.  Called for each
	 * INFLATE_CHUNK bytes and for the rest, so that a message up to that
	 * size comes in one call; an empty message comes in none. */
	int (*put)(struct inflate_sink *, uint8_t *p, size_t n);
	uint64_t limit;			/* bytes of the message */
};

#define INFLATE_CHUNK 65536

/* 75 KiB, and 32 KiB more from the first message on that needs a window.
 * -ENOMEM. */
int inflater_new(struct inflater **ret);
void inflater_free(struct inflater **);

/*
 * Expands the payload of one whole message (all its frames; RFC 7692 7.2.2),
 * whatever window its sender used.  Blocks with BFINAL are understood
 * (7.2.3.4), also at the very end; a payload of no bytes is an empty message.
 *   -EMSGSIZE  it is bigger than the limit: fail with 1009; the sink has got
 *              no byte beyond the limit
 *   -EPROTO    not deflate, cut short, or with garbage behind its end: fail
 *              with 1002, as the rules of the extension were broken; 1007 is
 *              for what was expanded and then is not UTF-8
 *   -ENOMEM, or what the sink returned
 */
int inflate_message(struct inflater *, const uint8_t *p, size_t n,
    struct inflate_sink *);

#endif
