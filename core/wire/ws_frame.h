/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket framing, RFC 6455 section 5, for both roles: bytes in, pieces of
 * messages out, and frame headers for what is sent.  No I/O, no clock, no
 * allocation.  Feeding byte by byte gives the same pieces, put together, and
 * the same failure at the same byte as feeding everything at once.
 * Thread: any, one at a time per parser.
 */
#ifndef CT_WS_FRAME_H
#define CT_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/utf8.h"

enum ws_opcode {
	WS_OP_CONTINUATION = 0,
	WS_OP_TEXT = 1,
	WS_OP_BINARY = 2,
	WS_OP_CLOSE = 8,
	WS_OP_PING = 9,
	WS_OP_PONG = 10
};

#define WS_FIN 0x80u			/* bits of a frame's first byte */
#define WS_RSV1 0x40u
#define WS_MASKED 0x80u			/* bit of its second byte */

#define WS_HEADER_MAX 14		/* 2 + 8 length + 4 mask */
#define WS_CONTROL_MAX 125		/* payload of a control frame */
#define WS_LENGTH_MAX INT64_MAX		/* RFC 6455 5.2: 63 bits */

/*
 * One direction of one channel.  All zero is the start of a stream.  There are
 * no pointers in it: to move a channel, copy the struct as bytes, and after
 * importing one call ws_parser_sane().
 */
struct ws_parser {
	uint64_t left;			/* payload of this frame to come */
	uint64_t total;			/* of this message, by its headers */
	uint8_t head[WS_HEADER_MAX];	/* a header that is not whole yet */
	uint8_t mask[4];
	uint8_t head_n;
	uint8_t phase;			/* mask byte of the next one, 0..3 */
	uint8_t first_byte;		/* of this frame */
	uint8_t message;		/* opcode of the open message, or 0 */
	uint8_t flags;			/* private to ws_frame.c */
	uint8_t error;			/* enum ws_error once it failed */
	struct utf8 utf8;		/* of the open text message */
};

/* What a stream is held to.  May change between calls. */
struct ws_rules {
	/* Bytes of a message; a compressed one may have an eighth and 64 bytes
	 * more on the wire, as deflate may expand what it cannot compress. */
	uint64_t max_message;
	bool from_client;	/* frames must be masked; else must not be */
	bool deflate;		/* permessage-deflate was negotiated */
};

/* The bytes to parse; ws_parse() moves it forward. */
struct ws_input {
	uint8_t *p;
	size_t n;
};

/* A part of one frame's payload, already unmasked. */
struct ws_piece {
	uint8_t *data;			/* inside the input */
	size_t len;
	uint64_t left;			/* of this frame, behind this piece */
	uint8_t opcode;			/* of the message: never 0 */
	bool control;			/* close, ping, pong */
	bool compressed;		/* the message had RSV1 */
	bool first;			/* of the message (or control frame) */
	bool frame_end;			/* this frame's last */
	bool last;			/* of the message (or control frame) */
	/* Only with WS_FAIL, when nothing above is set: */
	uint16_t close_code;		/* 1002, 1007 or 1009 */
	const char *reason;		/* static text */
};

enum ws_result {
	WS_MORE,			/* the input is used up */
	WS_PIECE,			/* *ret is a piece: call again */
	WS_FAIL				/* the stream is broken for good */
};

/*
 * Takes bytes from `in` up to the end of the next piece and unmasks them in
 * place.  A frame that is whole in the input is exactly one piece; an empty
 * frame is a piece of length 0.  WS_FAIL comes after every piece that was valid
 * before the failure, text up to the first byte that is not UTF-8 included; it
 * is repeated by every later call.  Control frames may come in several pieces
 * (at most WS_CONTROL_MAX together) and between the frames of a message; a
 * close frame's payload is for ws_close_parse().  The text of compressed
 * messages is not looked at.  RFC 6455 5, 8.1; RFC 7692 6.
 */
enum ws_result ws_parse(struct ws_parser *, const struct ws_rules *,
    struct ws_input *in, struct ws_piece *ret);

/* Whether a struct that came from elsewhere is one that ws_parse() could have
 * left behind, as far as its safety and ours depend on it. */
bool ws_parser_sane(const struct ws_parser *);

/*
 * Writes the header of a frame of `len` payload bytes (<= WS_LENGTH_MAX) into
 * to[WS_HEADER_MAX]; returns its size.  first_byte is the opcode, WS_FIN and
 * WS_RSV1.  mask: 4 bytes for a client, NULL for a server.
 */
size_t ws_encode_header(uint8_t *to, unsigned first_byte, uint64_t len,
    const uint8_t *mask);

/* Masks or unmasks p[0..n), which starts `offset` bytes into its frame.
 * RFC 6455 5.3.  A client needs a fresh unpredictable mask for every frame. */
void ws_mask(uint8_t *p, size_t n, const uint8_t *mask, uint64_t offset);

#endif
