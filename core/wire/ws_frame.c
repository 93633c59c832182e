/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame parser.  A header is checked as far as it has arrived, in the order
 * of its bytes, so that a failure never depends on how the stream was cut; a
 * header that is whole in the input is read where it lies.  RFC 6455 5.2-5.5.
 */
#include "wire/ws_frame.h"

#include <endian.h>
#include <string.h>

#include "wire/ws_close.h"

#define OPCODE_BITS 0x0fu
#define RSV23_BITS 0x30u
#define CONTROL_BIT 0x08u
#define LENGTH_BITS 0x7fu
#define LENGTH_16 126u
#define LENGTH_64 127u

enum {
	FLAG_PAYLOAD = 1,		/* the header is done with */
	FLAG_FIRST = 2,			/* no piece of the message given yet */
	FLAG_COMPRESSED = 4,		/* the open message */
	FLAG_CONTROL_GIVEN = 8,		/* a piece of this control frame was */
	FLAG_ALL = 15
};

enum ws_error {
	ERR_NONE,
	ERR_RSV,
	ERR_OPCODE,
	ERR_CONTROL_FRAGMENT,
	ERR_CONTROL_LENGTH,
	ERR_NOTHING_TO_CONTINUE,
	ERR_MESSAGE_OPEN,
	ERR_NOT_MASKED,
	ERR_MASKED,
	ERR_LENGTH_FORM,
	ERR_LENGTH_SIGN,
	ERR_TOO_BIG,
	ERR_UTF8,
	ERR_COUNT
};

static const struct {
	uint16_t code;
	const char *reason;
} errors[ERR_COUNT] = {
	[ERR_RSV] = { WS_CLOSE_PROTOCOL, "reserved bit set" },
	[ERR_OPCODE] = { WS_CLOSE_PROTOCOL, "reserved opcode" },
	[ERR_CONTROL_FRAGMENT] = { WS_CLOSE_PROTOCOL,
	    "fragmented control frame" },
	[ERR_CONTROL_LENGTH] = { WS_CLOSE_PROTOCOL,
	    "control frame over 125 bytes" },
	[ERR_NOTHING_TO_CONTINUE] = { WS_CLOSE_PROTOCOL,
	    "continuation without a message" },
	[ERR_MESSAGE_OPEN] = { WS_CLOSE_PROTOCOL,
	    "new message inside a fragmented one" },
	[ERR_NOT_MASKED] = { WS_CLOSE_PROTOCOL, "frame not masked" },
	[ERR_MASKED] = { WS_CLOSE_PROTOCOL, "frame masked" },
	[ERR_LENGTH_FORM] = { WS_CLOSE_PROTOCOL,
	    "length not in its shortest form" },
	[ERR_LENGTH_SIGN] = { WS_CLOSE_PROTOCOL, "length over 63 bits" },
	[ERR_TOO_BIG] = { WS_CLOSE_TOO_BIG, "message too big" },
	[ERR_UTF8] = { WS_CLOSE_BAD_DATA, "text is not UTF-8" },
};

/* A header as far as it has been read. */
struct head {
	size_t size;			/* 0: not whole */
	uint64_t len;
	const uint8_t *mask;		/* NULL: none */
};

static enum ws_result
fail(struct ws_parser *w, enum ws_error e, struct ws_piece *ret)
{
	w->error = (uint8_t)e;
	memset(ret, 0, sizeof *ret);
	ret->close_code = errors[e].code;
	ret->reason = errors[e].reason;
	return WS_FAIL;
}

static bool
is_control(unsigned first_byte)
{
	return (first_byte & CONTROL_BIT) != 0;
}

static enum ws_error
check_first_byte(const struct ws_parser *w, const struct ws_rules *rules,
    unsigned b)
{
	unsigned op = b & OPCODE_BITS;

	if (b & RSV23_BITS)
		return ERR_RSV;
	if (op > WS_OP_PONG || (op > WS_OP_BINARY && op < WS_OP_CLOSE))
		return ERR_OPCODE;
	/* RFC 7692 6.1: only the first frame of a message is marked. */
	if ((b & WS_RSV1) && (!rules->deflate || is_control(b) ||
	    op == WS_OP_CONTINUATION))
		return ERR_RSV;
	if (is_control(b))
		return b & WS_FIN ? ERR_NONE : ERR_CONTROL_FRAGMENT;
	if (op == WS_OP_CONTINUATION)
		return w->message ? ERR_NONE : ERR_NOTHING_TO_CONTINUE;
	return w->message ? ERR_MESSAGE_OPEN : ERR_NONE;
}

static enum ws_error
check_second_byte(const struct ws_rules *rules, unsigned first_byte,
    unsigned b)
{
	if (rules->from_client && !(b & WS_MASKED))
		return ERR_NOT_MASKED;
	if (!rules->from_client && (b & WS_MASKED))
		return ERR_MASKED;
	if (is_control(first_byte) && (b & LENGTH_BITS) > WS_CONTROL_MAX)
		return ERR_CONTROL_LENGTH;
	return ERR_NONE;
}

static enum ws_error
check_message_length(const struct ws_parser *w, const struct ws_rules *rules,
    unsigned first_byte, uint64_t len)
{
	uint64_t limit = rules->max_message;
	bool compressed;

	if (is_control(first_byte))
		return ERR_NONE;
	compressed = w->message ? (w->flags & FLAG_COMPRESSED) != 0 :
	    (first_byte & WS_RSV1) != 0;
	if (limit > WS_LENGTH_MAX)
		limit = WS_LENGTH_MAX;
	if (compressed)
		limit += limit / 8 + 64;
	if (w->total > limit || len > limit - w->total)
		return ERR_TOO_BIG;
	return ERR_NONE;
}

/* Reads what is there of h[0..n). */
static enum ws_error
scan_header(const struct ws_parser *w, const struct ws_rules *rules,
    const struct ws_input *h, struct head *ret)
{
	size_t at = 2, ext = 0;
	uint64_t len;
	enum ws_error e;

	ret->size = 0;
	if (h->n < 1)
		return ERR_NONE;
	if ((e = check_first_byte(w, rules, h->p[0])) != ERR_NONE || h->n < 2)
		return e;
	if ((e = check_second_byte(rules, h->p[0], h->p[1])) != ERR_NONE)
		return e;
	len = h->p[1] & LENGTH_BITS;
	if (len >= LENGTH_16) {
		ext = len == LENGTH_16 ? 2 : 8;
		if (ext == 8 && h->n > at && (h->p[at] & 0x80))
			return ERR_LENGTH_SIGN;
		if (h->n < at + ext)
			return ERR_NONE;
		for (len = 0; at < 2 + ext; at++)
			len = len << 8 | h->p[at];
		if (len < LENGTH_16 || (ext == 8 && len <= UINT16_MAX))
			return ERR_LENGTH_FORM;
	}
	if ((e = check_message_length(w, rules, h->p[0], len)) != ERR_NONE)
		return e;
	ret->len = len;
	ret->mask = NULL;
	if (h->p[1] & WS_MASKED) {
		if (h->n < at + 4)
			return ERR_NONE;
		ret->mask = h->p + at;
		at += 4;
	}
	ret->size = at;
	return ERR_NONE;
}

static void
begin_frame(struct ws_parser *w, unsigned first_byte, const struct head *h)
{
	w->first_byte = (uint8_t)first_byte;
	w->left = h->len;
	w->phase = 0;
	memset(w->mask, 0, sizeof w->mask);
	if (h->mask != NULL)
		memcpy(w->mask, h->mask, sizeof w->mask);
	w->flags = (uint8_t)((w->flags | FLAG_PAYLOAD) & ~FLAG_CONTROL_GIVEN);
	w->head_n = 0;
	if (is_control(first_byte))
		return;
	w->total += h->len;
	if (w->message)
		return;
	w->message = (uint8_t)(first_byte & OPCODE_BITS);
	w->flags |= FLAG_FIRST;
	if (first_byte & WS_RSV1)
		w->flags |= FLAG_COMPRESSED;
}

/* Sets FLAG_PAYLOAD when a header is whole; else all input has been kept. */
static enum ws_error
take_header(struct ws_parser *w, const struct ws_rules *rules,
    struct ws_input *in)
{
	struct ws_input h = *in;
	struct head head;
	size_t had = w->head_n, take;
	enum ws_error e;

	if (had > 0) {
		take = WS_HEADER_MAX - had;
		if (take > in->n)
			take = in->n;
		memcpy(w->head + had, in->p, take);
		h.p = w->head;
		h.n = had + take;
	}
	e = scan_header(w, rules, &h, &head);
	if (e != ERR_NONE)
		return e;
	if (head.size == 0) {
		if (had == 0)
			memcpy(w->head, h.p, h.n);
		w->head_n = (uint8_t)h.n;
		in->p += in->n;
		in->n = 0;
		return ERR_NONE;
	}
	begin_frame(w, h.p[0], &head);
	in->p += head.size - had;
	in->n -= head.size - had;
	return ERR_NONE;
}

/* How many of p[0..n) are good as text; fewer than n sets w->error. */
static size_t
check_text(struct ws_parser *w, const uint8_t *p, size_t n)
{
	size_t ok = utf8_feed(&w->utf8, p, n);

	if (ok < n) {
		w->error = ERR_UTF8;
	} else if ((w->first_byte & WS_FIN) && n == w->left &&
	    !utf8_complete(&w->utf8)) {
		/* The last byte ends the text where it must not end. */
		w->error = ERR_UTF8;
		ok = n > 0 ? n - 1 : 0;
	}
	return ok;
}

static void
end_frame(struct ws_parser *w)
{
	w->flags &= (uint8_t)~(FLAG_PAYLOAD | FLAG_CONTROL_GIVEN);
	if (is_control(w->first_byte) || !(w->first_byte & WS_FIN))
		return;
	w->message = 0;
	w->total = 0;
	w->flags = 0;
	memset(&w->utf8, 0, sizeof w->utf8);
}

static enum ws_result
take_payload(struct ws_parser *w, struct ws_input *in, struct ws_piece *ret)
{
	bool control = is_control(w->first_byte);
	size_t n = in->n < w->left ? in->n : (size_t)w->left;

	ws_mask(in->p, n, w->mask, w->phase);
	if (!control && w->message == WS_OP_TEXT &&
	    !(w->flags & FLAG_COMPRESSED)) {
		n = check_text(w, in->p, n);
		if (n == 0 && w->error != ERR_NONE)
			return fail(w, w->error, ret);
	}
	ret->data = in->p;
	ret->len = n;
	ret->left = w->left - n;
	ret->opcode = control ? w->first_byte & OPCODE_BITS : w->message;
	ret->control = control;
	ret->compressed = !control && (w->flags & FLAG_COMPRESSED);
	ret->first = control ? !(w->flags & FLAG_CONTROL_GIVEN) :
	    (w->flags & FLAG_FIRST) != 0;
	ret->frame_end = ret->left == 0;
	ret->last = ret->frame_end && (w->first_byte & WS_FIN);
	ret->close_code = 0;
	ret->reason = NULL;

	in->p += n;
	in->n -= n;
	w->left -= n;
	w->phase = (w->phase + n) & 3;
	if (control)
		w->flags |= FLAG_CONTROL_GIVEN;
	else
		w->flags &= (uint8_t)~FLAG_FIRST;
	if (ret->frame_end)
		end_frame(w);
	return WS_PIECE;
}

enum ws_result
ws_parse(struct ws_parser *w, const struct ws_rules *rules,
    struct ws_input *in, struct ws_piece *ret)
{
	enum ws_error e = w->error;

	if (e == ERR_NONE && in->n == 0)
		return WS_MORE;
	if (e == ERR_NONE && !(w->flags & FLAG_PAYLOAD))
		e = take_header(w, rules, in);
	if (e != ERR_NONE)
		return fail(w, e, ret);
	if (!(w->flags & FLAG_PAYLOAD) || (in->n == 0 && w->left > 0))
		return WS_MORE;
	return take_payload(w, in, ret);
}

bool
ws_parser_sane(const struct ws_parser *w)
{
	bool payload = (w->flags & FLAG_PAYLOAD) != 0;

	return w->left <= WS_LENGTH_MAX && w->head_n < WS_HEADER_MAX &&
	    w->phase < 4 && w->error < ERR_COUNT && w->flags <= FLAG_ALL &&
	    w->message <= WS_OP_BINARY && w->utf8.need <= 3 &&
	    (!payload || w->head_n == 0) && (payload || w->left == 0 ||
	    w->error != ERR_NONE) &&
	    (!payload || is_control(w->first_byte) || w->message != 0);
}

size_t
ws_encode_header(uint8_t *to, unsigned first_byte, uint64_t len,
    const uint8_t *mask)
{
	unsigned ext = len < LENGTH_16 ? 0 : len <= UINT16_MAX ? 2 : 8;
	size_t at = 2;

	to[0] = (uint8_t)first_byte;
	to[1] = (uint8_t)(ext == 0 ? len : ext == 2 ? LENGTH_16 : LENGTH_64);
	while (ext > 0)
		to[at++] = (uint8_t)(len >> 8 * --ext);
	if (mask != NULL) {
		to[1] |= WS_MASKED;
		memcpy(to + at, mask, 4);
		at += 4;
	}
	return at;
}

static void
xor64(uint8_t *p, uint64_t m)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	v ^= m;
	memcpy(p, &v, sizeof v);
}

void
ws_mask(uint8_t *p, size_t n, const uint8_t *mask, uint64_t offset)
{
	unsigned turn = 8 * (unsigned)(offset & 3);
	uint8_t turned[8];
	uint64_t m;
	uint32_t once;
	size_t i;

	/* In words: bytes put together cost as much as masking a frame. */
	memcpy(&once, mask, sizeof once);
	once = le32toh(once);
	if (once == 0)
		return;
	if (turn != 0)
		once = once >> turn | once << (32 - turn);
	m = htole64((uint64_t)once << 32 | once);
	memcpy(turned, &m, sizeof m);
	for (; n >= 32; p += 32, n -= 32) {
		xor64(p, m);
		xor64(p + 8, m);
		xor64(p + 16, m);
		xor64(p + 24, m);
	}
	for (; n >= 8; p += 8, n -= 8)
		xor64(p, m);
	for (i = 0; i < n; i++)
		p[i] ^= turned[i];
}
