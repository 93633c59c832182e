/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 validation by the table of well-formed sequences in RFC 3629 section 4:
 * only the second byte of a sequence ever has a range other than 80..BF, so
 * the state is a count and the range of the next byte.
 */
#include "wire/utf8.h"

#include <string.h>

#define HIGH_BITS 0x8080808080808080u

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* Length of the run of ASCII at p, possibly cut short to whole words. */
static size_t
ascii_run(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (n - i >= 32) {
		if ((load64(p + i) | load64(p + i + 8) | load64(p + i + 16) |
		    load64(p + i + 24)) & HIGH_BITS)
			break;
		i += 32;
	}
	while (n - i >= 8 && (load64(p + i) & HIGH_BITS) == 0)
		i += 8;
	while (i < n && p[i] < 0x80)
		i++;
	return i;
}

/* What must follow the lead byte c (>= 0x80); false if c cannot lead. */
static bool
lead(uint8_t c, struct utf8 *ret)
{
	struct utf8 u = { .need = 1, .lo = 0x80, .hi = 0xbf };

	if (c < 0xc2 || c > 0xf4)
		return false;
	if (c >= 0xf0) {
		u.need = 3;
		if (c == 0xf0)
			u.lo = 0x90;
		else if (c == 0xf4)
			u.hi = 0x8f;
	} else if (c >= 0xe0) {
		u.need = 2;
		if (c == 0xe0)
			u.lo = 0xa0;
		else if (c == 0xed)
			u.hi = 0x9f;
	}
	*ret = u;
	return true;
}

/* Length of the whole character at p if it is one of the common ones of two or
 * three bytes without a range of its own; 0: look closer. */
static size_t
common_character(const uint8_t *p, size_t n)
{
	if (n >= 2 && p[0] >= 0xc2 && p[0] <= 0xdf && p[1] >> 6 == 2)
		return 2;
	if (n >= 3 && p[0] >= 0xe1 && p[0] <= 0xec && p[1] >> 6 == 2 &&
	    p[2] >> 6 == 2)
		return 3;
	return 0;
}

size_t
utf8_feed(struct utf8 *state, const uint8_t *p, size_t n)
{
	struct utf8 u = *state;
	size_t i = 0, len;

	while (i < n) {
		if (u.need == 0) {
			len = p[i] < 0x80 ? ascii_run(p + i, n - i) :
			    common_character(p + i, n - i);
			if (len > 0) {
				i += len;
				continue;
			}
			if (!lead(p[i], &u))
				break;
		} else {
			if (p[i] < u.lo || p[i] > u.hi)
				break;
			u.need--;
			u.lo = 0x80;
			u.hi = 0xbf;
		}
		i++;
	}
	*state = u;
	return i;
}

bool
utf8_valid(const uint8_t *p, size_t n)
{
	struct utf8 u = { 0 };

	return utf8_feed(&u, p, n) == n && utf8_complete(&u);
}
