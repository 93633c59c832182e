/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Close frames: which codes may be on the wire, and their payload.
 * RFC 6455 5.5.1, 7.4 and the IANA registry of close codes.  Thread: any.
 */
#ifndef CT_WS_CLOSE_H
#define CT_WS_CLOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_close_code {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_UNSUPPORTED = 1003,
	WS_CLOSE_NONE = 1005,		/* the frame was empty; never sent */
	WS_CLOSE_ABNORMAL = 1006,	/* no close frame came; never sent */
	WS_CLOSE_BAD_DATA = 1007,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
	WS_CLOSE_RESTART = 1012,
	WS_CLOSE_TRY_LATER = 1013
};

#define WS_CLOSE_MAX 125		/* payload */
#define WS_CLOSE_REASON_MAX 123

struct ws_close {
	uint16_t code;			/* WS_CLOSE_NONE: no code was given */
	uint8_t reason_n;
	const char *reason;		/* in the payload, not terminated */
};

/* Whether a close frame may carry the code: 1000-1003, 1007-1014, 3000-4999. */
bool ws_close_code_valid(unsigned code);

/*
 * Reads a close frame's whole payload.  -EPROTO: one byte, over 125, or a code
 * that must not be sent (fail with 1002); -EILSEQ: the reason is not UTF-8
 * (fail with 1007).
 */
int ws_close_parse(const uint8_t *p, size_t n, struct ws_close *ret);

/* The code to fail the connection with for an error of ws_close_parse(). */
uint16_t ws_close_code_for(int err);

/*
 * Writes a payload into to[WS_CLOSE_MAX]; returns its size: 0 for
 * WS_CLOSE_NONE.  reason may be NULL; it is cut to 123 bytes, never inside a
 * character, and ends at its first byte that is not UTF-8.  A code that must
 * not be sent becomes 1011.
 */
size_t ws_close_encode(uint8_t *to, unsigned code, const char *reason);

#endif
