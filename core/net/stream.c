/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves bytes between one descriptor and its transport: one recv and one send a
 * wake-up.  What the socket does not take is kept sealed (never sealed again),
 * what is not a whole record yet is kept as received.
 */
#include "net/stream.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

void
stream_init(struct stream *s, int fd, struct transport *t)
{
	*s = (struct stream){ .watch = { .fd = fd }, .transport = t };
}

int
stream_start(struct stream *s, struct loop *loop, bool want_read,
    void (*fn)(struct watch *, uint32_t))
{
	bool want_write = buf_len(s->backlog) > 0;
	int error;

	CT_ASSERT(s->watch.fn == NULL);
	s->watch.fn = fn;
	error = loop_add(loop, &s->watch, (want_read ? EPOLLIN : 0) |
	    (want_write ? EPOLLOUT : 0));
	if (error != 0) {
		s->watch.fn = NULL;
		return error;
	}
	s->reading = want_read;
	s->writing = want_write;
	return 0;
}

void
stream_leave(struct stream *s, struct loop *loop)
{
	if (s->watch.fn == NULL)
		return;
	loop_del(loop, &s->watch);
	s->watch.fn = NULL;
	s->reading = s->writing = false;
}

int
stream_update(struct stream *s, struct loop *loop, bool want_read)
{
	bool want_write = buf_len(s->backlog) > 0;
	int error;

	if (want_read == s->reading && want_write == s->writing)
		return 0;
	error = loop_mod(loop, &s->watch, (want_read ? EPOLLIN : 0) |
	    (want_write ? EPOLLOUT : 0));
	if (error != 0)
		return error;
	s->reading = want_read;
	s->writing = want_write;
	return 0;
}

static void
outbuf_put(struct outbuf *o, const void *p, size_t n)
{
	CT_ASSERT(n <= outbuf_room(o));
	if (n > 0)
		memcpy(o->p + o->n, p, n);
	o->n += n;
}

ssize_t
stream_fill(struct stream *s, struct stage *st)
{
	ssize_t got;

	st->in.n = 0;
	outbuf_put(&st->in, buf_data(s->carry), buf_len(s->carry));
	buf_free(&s->carry);
	if (outbuf_room(&st->in) == 0)
		return 0;
	do
		got = recv(s->watch.fd, st->in.p + st->in.n,
		    outbuf_room(&st->in), MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return -EPIPE;
	if (got < 0)
		return errno == EAGAIN ? 0 : -ECONNRESET;
	st->in.n += (size_t)got;
	return got;
}

int
stream_keep(struct stream *s, struct stage *st, size_t used)
{
	size_t left = st->in.n - used;
	int error = 0;

	CT_ASSERT(used <= st->in.n && s->carry == NULL);
	if (left > 0)
		error = buf_append(&s->carry, st->in.p + used, left,
		    st->in.cap);
	st->in.n = 0;
	return error;
}

/* Opens what is whole in st->in; the rest becomes the carry. */
static int
stream_open(struct stream *s, struct stage *st)
{
	size_t used = 0;
	ssize_t n = 1;

	while (used < st->in.n && n > 0) {
		n = s->transport->ops->read(s->transport, st,
		    st->in.p + used, st->in.n - used);
		if (n > 0)
			used += (size_t)n;
	}
	if (n < 0) {
		/* Their end is not ours: RFC 8446 6.1. */
		s->failed = n != -EPIPE;
		st->in.n = 0;
		return (int)n;
	}
	return stream_keep(s, st, used);
}

int
stream_read(struct stream *s, struct stage *st)
{
	ssize_t got = 0;
	int error;

	st->rx.n = 0;
	if (st->in.n == 0)
		got = stream_fill(s, st);
	/* With an end behind it the carry can hold no whole record: it was
	 * looked at when it became the carry, unless rx had no room. */
	error = stream_open(s, st);
	if (error != 0)
		return error;
	if (got == -EPIPE)
		return s->transport->ops->eof(s->transport);
	return got < 0 ? (int)got : 0;
}

/* Sends st->tx behind the backlog. */
static int
stream_send(struct stream *s, struct stage *st, size_t limit)
{
	ssize_t sent = 0;
	int error;

	if (st->tx.n == 0)
		return 0;
	if (s->backlog == NULL) {
		do
			sent = send(s->watch.fd, st->tx.p, st->tx.n,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		while (sent < 0 && errno == EINTR);
		if (sent < 0 && errno != EAGAIN) {
			st->tx.n = 0;
			return errno == EPIPE ? -EPIPE : -ECONNRESET;
		}
		if (sent < 0)
			sent = 0;
	}
	error = 0;
	if ((size_t)sent < st->tx.n)
		error = buf_append(&s->backlog, st->tx.p + sent,
		    st->tx.n - (size_t)sent, limit);
	st->tx.n = 0;
	return error;
}

/* Seals st->plain, sending each time tx is full. */
static int
stream_seal(struct stream *s, struct stage *st, size_t limit)
{
	const struct transport_ops *ops = s->transport->ops;
	size_t done = 0;
	bool sent = false;
	ssize_t n;
	int error;

	do {
		n = ops->write(s->transport, st, st->plain.p + done,
		    st->plain.n - done);
		if (n < 0) {
			s->failed = true;
			return (int)n;
		}
		done += (size_t)n;
		if (done == st->plain.n)
			return 0;
		/* An empty tx that takes nothing would be our own bug. */
		CT_ASSERT(n > 0 || !sent);
		error = stream_send(s, st, limit);
		if (error != 0)
			return error;
		sent = n == 0;
	} while (true);
}

int
stream_flush(struct stream *s, struct stage *st, size_t limit)
{
	int error = 0;

	if (s->transport != NULL && !s->failed)
		error = stream_seal(s, st, limit);
	st->plain.n = 0;
	if (error == 0)
		return stream_send(s, st, limit);
	st->tx.n = 0;
	return error;
}

int
stream_write(struct stream *s, struct stage *st, const void *p, size_t n,
    size_t limit)
{
	const uint8_t *from = p;
	size_t part;
	int error;

	while (n > 0) {
		part = outbuf_room(&st->plain);
		if (part == 0) {
			error = stream_flush(s, st, limit);
			if (error != 0)
				return error;
			part = st->plain.cap;
		}
		if (part > n)
			part = n;
		outbuf_put(&st->plain, from, part);
		from += part;
		n -= part;
	}
	return 0;
}

int
stream_drain(struct stream *s)
{
	ssize_t sent;

	if (s->backlog == NULL)
		return 0;
	do
		sent = send(s->watch.fd, buf_data(s->backlog),
		    buf_len(s->backlog), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0) {
		if (errno == EAGAIN)
			return 0;
		return errno == EPIPE ? -EPIPE : -ECONNRESET;
	}
	buf_consume(&s->backlog, (size_t)sent);
	if (s->backlog == NULL && s->shut)
		(void)shutdown(s->watch.fd, SHUT_WR);	/* may be gone */
	return 0;
}

int
stream_shutdown(struct stream *s, struct stage *st)
{
	int error;

	if (s->shut)
		return 0;
	error = stream_flush(s, st, SIZE_MAX);
	if (error == 0 && s->transport != NULL) {
		error = s->transport->ops->shutdown(s->transport, st);
		/* From here on nothing may be sealed any more. */
		s->failed = true;
		if (error == 0)
			error = stream_send(s, st, SIZE_MAX);
	}
	st->tx.n = 0;
	s->shut = true;
	if (s->backlog == NULL)
		(void)shutdown(s->watch.fd, SHUT_WR);	/* may be gone */
	return error;
}

int
stream_move(struct stream *to, struct stream *from, struct loop *loop,
    void (*fn)(struct watch *, uint32_t))
{
	int error;

	*to = *from;
	to->watch.fn = fn;
	if (from->watch.fn != NULL) {
		error = loop_move(loop, &to->watch, &from->watch,
		    (from->reading ? EPOLLIN : 0) |
		    (from->writing ? EPOLLOUT : 0));
		if (error != 0) {
			*to = (struct stream){ .watch = { .fd = -1 } };
			return error;
		}
	} else {
		to->watch.fn = NULL;
	}
	*from = (struct stream){ .watch = { .fd = -1 } };
	return 0;
}

void
stream_retire(struct stream *s, struct stage *st)
{
	if (s->transport != NULL && s->transport->ops->retire != NULL)
		s->transport->ops->retire(s->transport, st);
}

void
stream_forget(struct stream *s)
{
	if (s->transport != NULL)
		s->transport->ops->free(&s->transport);
	buf_free(&s->carry);
	buf_free(&s->backlog);
	*s = (struct stream){ .watch = { .fd = -1 } };
}

void
stream_close(struct stream *s, struct loop *loop)
{
	int fd = s->watch.fd;

	stream_leave(s, loop);
	stream_forget(s);
	if (fd >= 0)
		(void)close(fd);	/* nothing can be done about it */
}
