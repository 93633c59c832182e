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
#include <sys/types.h>

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
	bool failed;			/* the transport's last call failed */
};

/* An open descriptor (watch.fd) outside of any loop: it owns both from now on.
 * The transport may be NULL while a handshake uses the descriptor: then bytes
 * go in and out as they are, by stream_fill() and st->tx. */
void stream_init(struct stream *, int fd, struct transport *);

/* Joins the loop.  `want_read`: EPOLLIN at once.  -errno of epoll. */
int stream_start(struct stream *, struct loop *, bool want_read,
    void (*fn)(struct watch *, uint32_t));
/* Leaves the loop with the descriptor open; harmless when it is in none. */
void stream_leave(struct stream *, struct loop *);

/*
 * Carry and then one recv, as they come from the wire, into st->in (emptied
 * first).  Returns how many bytes were received, 0 when there were none just
 * now; -EPIPE end of file; -ECONNRESET.  On failure the carry is in st->in too.
 */
ssize_t stream_fill(struct stream *, struct stage *st);
/* Puts st->in behind its first `used` bytes back into the carry.  -ENOMEM. */
int stream_keep(struct stream *, struct stage *st, size_t used);

/*
 * One recv behind the carry (none if st->in is not empty: stream_fill() was
 * called before), then opens what is whole into st->rx (emptied first) and
 * empties st->in.  0: go on (rx may be empty).  Negative: the stream is over
 * once rx has been used: -EPIPE clean end, -ECONNRESET truncated or reset,
 * -EPROTO, -ECONNABORTED, -ENOMEM.  Answers of the transport are in st->tx:
 * call stream_flush().
 */
int stream_read(struct stream *, struct stage *st);

/* Adds plaintext to st->plain, sealing and sending as it fills.  0 or as
 * stream_flush(). */
int stream_write(struct stream *, struct stage *st, const void *p, size_t n,
    size_t backlog_limit);

/*
 * Seals st->plain, sends st->tx behind the backlog with one send, keeps what
 * the socket does not take.  -ENOBUFS: the backlog would exceed the limit
 * (bytes); -EPIPE, -ECONNRESET: the socket is gone; -EOVERFLOW: keys used up.
 */
int stream_flush(struct stream *, struct stage *st, size_t backlog_limit);

/* Sends backlog (on EPOLLOUT).  0, or as stream_flush(). */
int stream_drain(struct stream *);
/* Bytes sealed, not sent yet. */
static inline size_t
stream_backlog(const struct stream *s)
{
	return buf_len(s->backlog);
}

/* Puts close_notify out (best effort) and shuts the socket's sending side once
 * the backlog is empty. */
int stream_shutdown(struct stream *, struct stage *st);

/* Sets the epoll interest from reading/writing wishes; call after changes. */
int stream_update(struct stream *, struct loop *, bool want_read);

/* Is the peer gone for a stream that does not read?  With no interest in input
 * these two come alone, and come again: close it. */
#define STREAM_GONE(events) (((events) & (EPOLLHUP | EPOLLERR)) != 0)

/* Moves everything to `to` (another owner on the same loop) with a new handler;
 * `from` is empty then.  Events of this turn for `from` are dropped (level
 * triggered: they come again). */
int stream_move(struct stream *to, struct stream *from, struct loop *,
    void (*fn)(struct watch *, uint32_t));

/* Before stream_close() or stream_forget() on a worker that goes on: its cache
 * forgets the stream's keys. */
void stream_retire(struct stream *, struct stage *st);

/* Leaves the loop, closes, wipes and frees.  Harmless when empty.  `loop` may
 * be NULL when it is in none. */
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
