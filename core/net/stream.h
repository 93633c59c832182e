/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream: one descriptor, its transport, what was received but is not a whole
 * record yet, and what is sealed but not sent yet.  One recv and one send a
 * wake-up through the worker's staging areas.  Belongs to one worker; embedded
 * in a connection (net/conn) and, after the upgrade, in a channel.
 */
#ifndef CT_NET_STREAM_H
#define CT_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/transport.h"

struct stream {
	struct watch watch;		/* the descriptor */
	struct transport *transport;
	struct buf *carry;		/* received, no whole record yet */
	struct buf *backlog;		/* sealed, not sent yet */
	bool reading;			/* EPOLLIN wanted */
	bool writing;			/* EPOLLOUT wanted */
	bool shut;			/* our end of stream is out */
};

/*
 * One recv (none if `received` bytes are already in st->in behind the carry), then
 * opens what is whole into st->rx (emptied first).  0: go on (rx may be empty).
 * Negative: the stream is over once rx has been used: -EPIPE clean end,
 * -ECONNRESET truncated or reset, -EPROTO, -ECONNABORTED, -ENOMEM.  Answers
 * of the transport are in st->tx: call stream_flush().
 */
int stream_read(struct stream *, struct stage *st);

/* Adds plaintext to st->plain, sealing and sending as it fills.  0 or as
 * stream_flush(). */
int stream_write(struct stream *, struct stage *st, const void *p, size_t n,
    size_t backlog_limit);

/*
 * Seals st->plain, sends st->tx behind the backlog with one send, keeps what the
 * socket does not take.  -ENOBUFS: the backlog would exceed the limit (bytes);
 * -EPIPE, -ECONNRESET: the socket is gone; -EOVERFLOW: keys used up.
 */
int stream_flush(struct stream *, struct stage *st, size_t backlog_limit);

/* Sends backlog (on EPOLLOUT).  0, or as stream_flush(). */
int stream_drain(struct stream *);
size_t stream_backlog(const struct stream *);

/* Puts close_notify out (best effort) and shuts the socket's sending side once
 * the backlog is empty. */
int stream_shutdown(struct stream *, struct stage *st);

/* Sets the epoll interest from reading/writing wishes; call after changes. */
int stream_update(struct stream *, struct loop *, bool want_read);

/* Moves everything to `to` (another owner on the same loop) with a new handler;
 * `from` is empty then.  Events of this turn for `from` are dropped (level
 * triggered: they come again). */
int stream_move(struct stream *to, struct stream *from, struct loop *,
    void (*fn)(struct watch *, uint32_t));

/* Leaves the loop, closes, wipes and frees.  Harmless when empty. */
void stream_close(struct stream *, struct loop *);

/*
 * The whole stream but its descriptor as bytes (versioned, length-checked):
 * transport, carry, backlog.  The stream must have left its loop; the exporter
 * forgets it with stream_close() after passing on a dup, or stream_forget().
 */
int stream_export(const struct stream *, struct outbuf *out);	/* -ENOBUFS */
int stream_import(struct stream *, int fd, const uint8_t *p, size_t n);
void stream_forget(struct stream *);	/* frees all but the descriptor */

#endif
