/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Close codes and close payloads.  RFC 6455 7.4.1: 1004, 1005, 1006 and 1015
 * are never in a frame; 1016-2999 are reserved for the protocol itself.
 */
#include "wire/ws_close.h"

#include <errno.h>
#include <string.h>

#include "wire/utf8.h"

bool
ws_close_code_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) ||
	    (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

int
ws_close_parse(const uint8_t *p, size_t n, struct ws_close *ret)
{
	unsigned code;

	if (n == 0) {
		*ret = (struct ws_close){ .code = WS_CLOSE_NONE, .reason = "" };
		return 0;
	}
	if (n == 1 || n > WS_CLOSE_MAX)
		return -EPROTO;
	code = (unsigned)p[0] << 8 | p[1];
	if (!ws_close_code_valid(code))
		return -EPROTO;
	if (!utf8_valid(p + 2, n - 2))
		return -EILSEQ;
	ret->code = (uint16_t)code;
	ret->reason = (const char *)p + 2;
	ret->reason_n = (uint8_t)(n - 2);
	return 0;
}

uint16_t
ws_close_code_for(int err)
{
	return err == -EILSEQ ? WS_CLOSE_BAD_DATA : WS_CLOSE_PROTOCOL;
}

/* The length of the longest valid text at the start of p[0..n). */
static size_t
valid_prefix(const uint8_t *p, size_t n)
{
	struct utf8 u = { 0 };
	size_t i, whole = 0;

	for (i = 0; i < n && utf8_feed(&u, p + i, 1) == 1; i++) {
		if (utf8_complete(&u))
			whole = i + 1;
	}
	return whole;
}

size_t
ws_close_encode(uint8_t *to, unsigned code, const char *reason)
{
	size_t n = 0;

	if (code == WS_CLOSE_NONE)
		return 0;
	if (!ws_close_code_valid(code))
		code = WS_CLOSE_INTERNAL;
	to[0] = (uint8_t)(code >> 8);
	to[1] = (uint8_t)code;
	if (reason != NULL) {
		n = strnlen(reason, WS_CLOSE_REASON_MAX);
		n = valid_prefix((const uint8_t *)reason, n);
		memcpy(to + 2, reason, n);
	}
	return 2 + n;
}
