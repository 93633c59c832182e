/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames to the peer.  In the channel's own wake-up they gather in the worker's
 * staging area and leave in one record; from outside they go out at once
 * through the side area.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

/* Smaller messages do not get smaller by enough. */
#define DEFLATE_FROM 64

struct stage *
channel_stage(struct channel *c)
{
	struct net_worker *net = c->owner->net;
	struct stage *st;

	if (c->owner->current == c)
		return net_worker_stage(net);
	st = net_worker_side_stage(net);
	/* What a failed send left behind belongs to nobody. */
	st->plain.n = st->tx.n = 0;
	return st;
}

/* Sealing may add half: records of 64 bytes, 22 more for each (RFC 8449). */
size_t
channel_backlog_limit(const struct channel *c)
{
	size_t max = c->protocol->max_message;

	return max + max / 2 + 3 * (size_t)c->owner->limits.send_queue;
}

void
channel_tell_traffic(struct channel_worker *cw)
{
	if (cw->traffic.messages_in > 0)
		COUNT(cw, messages_in, cw->traffic.messages_in);
	if (cw->traffic.messages_out > 0)
		COUNT(cw, messages_out, cw->traffic.messages_out);
	if (cw->traffic.bytes_out > 0)
		COUNT(cw, bytes_out, cw->traffic.bytes_out);
	cw->traffic.messages_in = cw->traffic.messages_out = 0;
	cw->traffic.bytes_out = 0;
}

/* Header and payload into the staging area, sending when that is full. */
static int
put_frame(struct channel *c, struct stage *st, unsigned first_byte,
    const void *p, size_t n)
{
	struct outbuf *to = &st->plain;
	uint8_t head[WS_HEADER_MAX];
	size_t head_n, limit;
	int r;

	if (outbuf_room(to) >= n && outbuf_room(to) - n >= WS_HEADER_MAX) {
		head_n = ws_encode_header(to->p + to->n, first_byte, n, NULL);
		if (n > 0)
			memcpy(to->p + to->n + head_n, p, n);
		to->n += head_n + n;
	} else {
		limit = channel_backlog_limit(c);
		head_n = ws_encode_header(head, first_byte, n, NULL);
		r = stream_write(&c->stream, st, head, head_n, limit);
		if (r == 0)
			r = stream_write(&c->stream, st, p, n, limit);
		if (r != 0)
			return r;
	}
	c->owner->traffic.bytes_out += head_n + n;
	return 0;
}

/* Writes one frame.  Errors of the socket end the channel later in the turn. */
int
channel_frame(struct channel *c, unsigned first_byte, const void *p, size_t n)
{
	struct channel_worker *cw = c->owner;
	bool own = cw->current == c;
	struct stage *st = channel_stage(c);
	int r;

	if (c->phase >= PHASE_LINGER)
		return -EPIPE;
	r = put_frame(c, st, first_byte, p, n);
	if (r == 0 && !own)
		r = stream_flush(&c->stream, st, channel_backlog_limit(c));
	if (r == 0 && !own)
		r = stream_update(&c->stream, cw->loop,
		    channel_wants_input(c));
	if (r != 0) {
		channel_io_error(c, r);
		return -EPIPE;
	}
	if (!own)
		channel_tell_traffic(cw);
	return 0;
}

static int
send_deflated(struct channel *c, const void *p, size_t n, unsigned opcode)
{
	struct channel_worker *cw = c->owner;
	struct deflate_input in = {
		.p = p, .n = n, .window_bits = c->deflate_bits
	};
	struct outbuf out = { .cap = n };
	int r = 0;

	if (cw->deflater == NULL)
		r = deflater_new(&cw->deflater);
	if (r == 0 && (out.p = mem_alloc(n)) == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = deflate_message(cw->deflater, &in, &out);
	if (r == 0)
		r = channel_frame(c, opcode | WS_FIN | WS_RSV1, out.p, out.n);
	else if (r == -ENOBUFS)		/* it does not get smaller */
		r = channel_frame(c, opcode | WS_FIN, p, n);
	mem_free(out.p);
	return r;
}

int
channel_send(struct channel *c, const void *p, size_t n, bool text)
{
	unsigned opcode = text ? WS_OP_TEXT : WS_OP_BINARY;
	int r;

	if (c->phase != PHASE_OPEN)
		return -EPIPE;
	/* An answer may be as big as the biggest question. */
	if (n > c->protocol->max_message &&
	    n > c->owner->limits.send_queue)
		return -EMSGSIZE;
	if (channel_blocked(c)) {
		c->want_drained = true;
		return -EAGAIN;
	}
	if (c->deflate_bits != 0 && n >= DEFLATE_FROM)
		r = send_deflated(c, p, n, opcode);
	else
		r = channel_frame(c, opcode | WS_FIN, p, n);
	if (r == 0)
		c->owner->traffic.messages_out++;
	if (c->owner->current != c)
		channel_tell_traffic(c->owner);
	return r;
}

static void
send_close(struct channel *c, uint16_t code, const char *why)
{
	uint8_t payload[WS_CLOSE_MAX];
	size_t n = ws_close_encode(payload, code, why);

	(void)channel_frame(c, WS_OP_CLOSE | WS_FIN, payload, n);
}

void
channel_fail(struct channel *c, uint16_t code, const char *why)
{
	if (c->phase >= PHASE_LINGER)
		return;
	COUNT(c->owner, protocol_errors, 1);
	if (c->phase == PHASE_OPEN)
		send_close(c, code, why);
	channel_end(c, code, code == WS_CLOSE_TOO_BIG ? REASON_LIMIT :
	    REASON_PROTOCOL_ERROR);
	channel_settle(c);
	if (c->phase != PHASE_DEAD)
		channel_linger(c);
}

static enum presence_reason
reason_of(uint16_t code)
{
	switch (code) {
	case WS_CLOSE_GOING_AWAY:
		return REASON_STOPPING;
	case WS_CLOSE_RESTART:
		return REASON_DRAIN;
	case CLOSE_SUPERSEDED:
		return REASON_REPLACED;
	case CLOSE_REVOKED:
		return REASON_REVOKED;
	case CLOSE_PROTOCOL_ERROR:
		return REASON_PROTOCOL_ERROR;
	case WS_CLOSE_NORMAL:
		return REASON_PEER_CLOSE;
	default:
		return REASON_KICKED;
	}
}

void
channel_close(struct channel *c, uint16_t code, const char *why)
{
	if (c->phase != PHASE_OPEN)
		return;
	/* From now on it is read again, if it was not, for the
	 * peer's answer. */
	c->phase = PHASE_CLOSING;
	send_close(c, code, why);
	if (c->phase == PHASE_DEAD)
		return;
	channel_end(c, code, reason_of(code));
	c->want_drained = false;
	if (c->held != NULL)
		channel_todo_add(c, TODO_DRAINED);
	loop_timer_set(c->owner->loop, &c->timer, CLOSE_WAIT_MS);
}
