/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel's wake-up: one read, frames out of it, messages to the protocol,
 * one flush.  While more than the send queue waits for the peer, its input
 * is held and its socket not read: who does not read our answers gets no
 * more of them.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>


void
channel_io_error(struct channel *c, int err)
{
	switch (err) {
	case -EPIPE:			/* ended without a close frame */
		channel_kill(c, WS_CLOSE_ABNORMAL, REASON_PEER_CLOSE);
		break;
	case -EPROTO:
	case -ECONNABORTED:
		COUNT(c->owner, protocol_errors, 1);
		channel_kill(c, WS_CLOSE_ABNORMAL, REASON_PROTOCOL_ERROR);
		break;
	case -ETIMEDOUT:
		COUNT(c->owner, timeouts, 1);
		channel_kill(c, WS_CLOSE_ABNORMAL, REASON_TIMEOUT);
		break;
	case -ENOBUFS:
		COUNT(c->owner, queue_overflows, 1);
		channel_kill(c, WS_CLOSE_ABNORMAL, REASON_LIMIT);
		break;
	case -ENOMEM:
	case -EOVERFLOW:
		channel_kill(c, WS_CLOSE_ABNORMAL, REASON_LIMIT);
		break;
	default:
		channel_kill(c, WS_CLOSE_ABNORMAL, REASON_RESET);
		break;
	}
}

struct ws_rules
channel_rules(const struct channel *c)
{
	struct ws_rules rules = {
		.max_message = c->protocol->max_message,
		.from_client = true,
		.deflate = c->deflate_bits != 0
	};

	if (c->pre != NULL && !c->protocol->anonymous &&
	    rules.max_message > c->owner->limits.auth_bytes)
		rules.max_message = c->owner->limits.auth_bytes;
	return rules;
}

/* What a stranger may send is bounded; true when it was too much. */
static bool
stranger_too_loud(struct channel *c, size_t n)
{
	if (c->pre == NULL || c->protocol->anonymous ||
	    c->phase != PHASE_OPEN)
		return false;
	c->pre->bytes += (uint32_t)n;
	if (c->pre->bytes <= c->owner->limits.auth_bytes)
		return false;
	COUNT(c->owner, too_big, 1);
	channel_fail(c, 4006, "too much before authentication");
	return true;
}

static void
hold(struct channel *c, const struct ws_input *in)
{
	if (in->n > 0 && buf_append(&c->held, in->p, in->n, SIZE_MAX) != 0)
		channel_io_error(c, -ENOMEM);
}

void
channel_messages_end(struct channel *c)
{
	if (c->protocol->messages_end != NULL)
		c->protocol->messages_end(c);
}

static void
take_frames(struct channel *c, struct ws_input in)
{
	struct ws_rules rules;
	struct ws_piece piece;

	while (c->phase < PHASE_LINGER) {
		if (channel_blocked(c)) {
			hold(c, &in);
			return;
		}
		if (c->owner->inflated >= INFLATE_AT_ONCE) {
			hold(c, &in);
			if (in.n > 0)
				channel_todo_add(c, TODO_DRAINED);
			return;
		}
		rules = channel_rules(c);
		switch (ws_parse(&c->parser, &rules, &in, &piece)) {
		case WS_MORE:
			return;
		case WS_FAIL:
			channel_fail(c, piece.close_code, piece.reason);
			return;
		case WS_PIECE:
			if (piece.control)
				channel_control(c, &piece);
			else
				channel_data(c, &piece);
			break;
		}
	}
}

static void
parse(struct channel *c, struct ws_input in)
{
	take_frames(c, in);
	channel_messages_end(c);
}

/* Who nobody knows yet has to wait, while this process knows not
 * everybody.  Who is to go to the next one, but for what is under way,
 * begins nothing new. */
static bool
must_wait(const struct channel *c)
{
	return c->phase == PHASE_OPEN && (c->leaving || (c->owner->holding &&
	    c->pre != NULL && !c->protocol->anonymous));
}

void
channel_feed(struct channel *c, uint8_t *p, size_t n)
{
	struct ws_input in = { .p = p, .n = n };

	if (stranger_too_loud(c, n))
		return;
	/* Nothing overtakes what came before it. */
	if (c->held != NULL || must_wait(c))
		hold(c, &in);
	else
		parse(c, in);
}

/* A wake-up begins, or ends (NULL): the worker's staging areas are its own, and
 * nothing of it is in them when somebody else's turn comes. */
static void
set_current(struct channel_worker *cw, struct channel *c)
{
	struct stage *st = net_worker_stage(cw->net);

	cw->current = c;
	cw->inflated = 0;
	st->in.n = st->plain.n = st->tx.n = 0;
}

void
channel_feed_held(struct channel *c)
{
	struct channel_worker *cw = c->owner;
	struct buf *held = c->held;

	if (held == NULL || c->phase >= PHASE_LINGER || channel_blocked(c) ||
	    must_wait(c))
		return;
	/* Its own wake-up, so that answers share records. */
	c->held = NULL;
	set_current(cw, c);
	parse(c, (struct ws_input){ .p = held->data + held->start,
	    .n = held->end - held->start });
	buf_free(&held);
	channel_settle(c);
	set_current(cw, NULL);
}

/* Reads and drops until the peer closes: our last bytes must reach it. */
static void
linger_read(struct channel *c)
{
	struct stage *st = net_worker_stage(c->owner->net);
	ssize_t n = recv(c->stream.watch.fd, st->in.p, st->in.cap, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		channel_kill(c, c->close_code, REASON_PEER_CLOSE);
}

static int
read_once(struct channel *c)
{
	struct stage *st = net_worker_stage(c->owner->net);
	int r = stream_read(&c->stream, st);

	if (st->rx.n > 0) {
		COUNT(c->owner, bytes_in, st->rx.n);
		channel_heard(c);
		channel_feed(c, st->rx.p, st->rx.n);
	}
	if (r != 0)
		c->eof = true;
	return r;
}

bool
channel_wants_input(const struct channel *c)
{
	return c->phase == PHASE_LINGER ||
	    (c->held == NULL && !channel_blocked(c) && !must_wait(c));
}

void
channel_settle(struct channel *c)
{
	struct channel_worker *cw = c->owner;
	int r;

	channel_tell_traffic(cw);
	if (c->phase == PHASE_DEAD)
		return;
	r = stream_flush(&c->stream, channel_stage(c),
	    channel_backlog_limit(c));
	if (r == 0)
		r = stream_update(&c->stream, cw->loop,
		    channel_wants_input(c));
	if (r != 0)
		channel_io_error(c, r);
}

/* Room again: at half the queue, so that it is not for one message only. */
void
channel_check_drained(struct channel *c)
{
	if (stream_backlog(&c->stream) <= c->owner->limits.send_queue / 2 &&
	    (c->want_drained || c->held != NULL))
		channel_todo_add(c, TODO_DRAINED);
}

/* A peer that is not read, because it is slow to read us, shows by taking bytes
 * that it is there. */
static int
drain(struct channel *c)
{
	size_t before = stream_backlog(&c->stream);
	int r = stream_drain(&c->stream);

	if (r != 0)
		return r;
	if (!c->stream.reading && stream_backlog(&c->stream) < before)
		channel_heard(c);
	channel_check_drained(c);
	return 0;
}

void
channel_wake(struct watch *w, uint32_t events)
{
	struct channel *c = CT_CONTAINER(w, struct channel, stream.watch);
	struct channel_worker *cw = c->owner;
	int r = 0;

	CT_CHECK_MAGIC(c, CHANNEL_MAGIC);
	if (c->phase == PHASE_DEAD)
		return;
	if ((events & EPOLLOUT) != 0)
		r = drain(c);
	if (c->phase == PHASE_LINGER) {
		if (r != 0)
			channel_io_error(c, r);
		else if ((events & ~(uint32_t)EPOLLOUT) != 0)
			linger_read(c);
		if (c->phase == PHASE_LINGER &&
		    stream_update(&c->stream, cw->loop, true) != 0)
			channel_io_error(c, -EIO);
		return;
	}
	set_current(cw, c);
	if (r == 0 && !c->stream.reading && STREAM_GONE(events))
		r = -ECONNRESET;
	else if (r == 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		r = read_once(c);
	/* Answers to what came before an end still go out. */
	channel_settle(c);
	set_current(cw, NULL);
	if (r != 0 && c->phase != PHASE_DEAD) {
		/* RFC 8446 6.1: a close_notify of ours as well. */
		if (r == -EPIPE)
			(void)stream_shutdown(&c->stream, channel_stage(c));
		if (c->phase == PHASE_LINGER)
			channel_kill(c, c->close_code, REASON_PEER_CLOSE);
		else
			channel_io_error(c, r);
	}
}
