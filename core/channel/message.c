/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces become messages.  A message that lies whole in the input goes to the
 * protocol where it lies; only what comes in parts is copied, into an assembly
 * that doubles, so that 65,536 fragments cost what one costs.  RFC 6455
 * 5.4, 5.5.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "wire/utf8.h"

#define ASSEMBLY_FIRST 512

int
assembly_add(struct assembly **pa, const void *p, size_t n, size_t limit)
{
	struct assembly *a = *pa;
	size_t have = a == NULL ? 0 : a->n;
	size_t cap = a == NULL ? 0 : a->cap;

	if (n > limit || have > limit - n)
		return -EMSGSIZE;
	/* Also for nothing at all: a message of empty fragments is one. */
	if (a == NULL || have + n > cap) {
		cap = cap * 2 > have + n ? cap * 2 : have + n;
		if (cap < ASSEMBLY_FIRST)
			cap = ASSEMBLY_FIRST;
		a = mem_realloc(a, sizeof(*a) + cap);
		if (a == NULL)
			return -ENOMEM;
		a->cap = cap;
		a->n = have;
		*pa = a;
	}
	if (n > 0)
		memcpy(a->data + have, p, n);
	a->n = have + n;
	return 0;
}

static void
assembly_free(struct assembly **pa)
{
	mem_free(*pa);
	*pa = NULL;
}

static void
deliver(struct channel *c, uint8_t *p, size_t n, bool text)
{
	c->owner->traffic.messages_in++;
	c->protocol->message(c, p, n, text);
}

struct inflate_to {
	struct inflate_sink sink;
	struct assembly *whole;
};

static int
inflated(struct inflate_sink *sink, uint8_t *p, size_t n)
{
	struct inflate_to *to = CT_CONTAINER(sink, struct inflate_to, sink);

	return assembly_add(&to->whole, p, n, (size_t)sink->limit);
}

static void
deliver_compressed(struct channel *c, const uint8_t *p, size_t n, bool text)
{
	struct channel_worker *cw = c->owner;
	struct inflate_to to = {
		.sink = { .put = inflated,
		    .limit = channel_rules(c).max_message }
	};
	uint8_t nothing;
	uint8_t *data;
	size_t whole;
	int r = 0;

	channel_messages_end(c);
	if (cw->inflater == NULL)
		r = inflater_new(&cw->inflater);
	if (r == 0)
		r = inflate_message(cw->inflater, p, n, &to.sink);
	data = to.whole == NULL ? &nothing : to.whole->data;
	whole = to.whole == NULL ? 0 : to.whole->n;
	cw->inflated += whole;
	if (r == -EMSGSIZE) {
		COUNT(cw, too_big, 1);
		channel_fail(c, WS_CLOSE_TOO_BIG, "message too big");
	} else if (r == -EPROTO) {
		channel_fail(c, WS_CLOSE_PROTOCOL, "not a deflated message");
	} else if (r != 0) {
		channel_fail(c, WS_CLOSE_INTERNAL, "out of memory");
	} else if (text && !utf8_valid(data, whole)) {
		channel_fail(c, WS_CLOSE_BAD_DATA, "text is not UTF-8");
	} else {
		deliver(c, data, whole, text);
	}
	mem_free(to.whole);
}

static void
whole_message(struct channel *c, const struct ws_piece *piece, uint8_t *p,
    size_t n)
{
	bool text = piece->opcode == WS_OP_TEXT;

	if (piece->compressed)
		deliver_compressed(c, p, n, text);
	else
		deliver(c, p, n, text);
}

void
channel_data(struct channel *c, const struct ws_piece *piece)
{
	struct assembly *a;

	if (c->phase != PHASE_OPEN)	/* behind our close: not looked at */
		return;
	if (piece->first && piece->last) {
		whole_message(c, piece, piece->data, piece->len);
		return;
	}
	/* The parser holds messages to their limit; this bound is its sum. */
	if (assembly_add(&c->message, piece->data, piece->len, SIZE_MAX) != 0) {
		channel_fail(c, WS_CLOSE_INTERNAL, "out of memory");
		return;
	}
	if (!piece->last)
		return;
	a = c->message;
	c->message = NULL;
	whole_message(c, piece, a->data, a->n);
	assembly_free(&a);
}

static void
peer_closes(struct channel *c, const uint8_t *p, size_t n)
{
	uint8_t payload[WS_CLOSE_MAX];
	struct ws_close close;
	int r = ws_close_parse(p, n, &close);

	if (r != 0) {
		channel_fail(c, ws_close_code_for(r), "bad close frame");
		return;
	}
	if (c->phase == PHASE_OPEN) {
		n = ws_close_encode(payload, close.code, NULL);
		(void)channel_frame(c, WS_OP_CLOSE | WS_FIN, payload, n);
		channel_end(c, close.code, REASON_PEER_CLOSE);
	}
	channel_settle(c);
	if (c->phase != PHASE_DEAD)
		channel_linger(c);
}

static void
whole_control(struct channel *c, unsigned opcode, const uint8_t *p, size_t n)
{
	if (opcode == WS_OP_CLOSE)
		peer_closes(c, p, n);
	else if (c->phase == PHASE_OPEN && opcode == WS_OP_PING)
		(void)channel_frame(c, WS_OP_PONG | WS_FIN, p, n);
	else if (opcode == WS_OP_PONG)
		channel_pong(c, p, n);
}

void
channel_control(struct channel *c, const struct ws_piece *piece)
{
	struct assembly *a;

	if (piece->first && piece->last) {
		whole_control(c, piece->opcode, piece->data, piece->len);
		return;
	}
	if (assembly_add(&c->control, piece->data, piece->len,
	    WS_CONTROL_MAX) != 0) {
		channel_fail(c, WS_CLOSE_INTERNAL, "out of memory");
		return;
	}
	if (!piece->last)
		return;
	a = c->control;
	c->control = NULL;
	whole_control(c, piece->opcode, a->data, a->n);
	assembly_free(&a);
}
