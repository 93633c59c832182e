/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incremental UTF-8 validation (RFC 3629): text may arrive in any pieces, and
 * the first byte that no valid text could have there is found at once, not at
 * the end of the character or the message (RFC 6455 8.1, fail-fast).
 * No allocation, no I/O.  Thread: any, one text at a time per state.
 */
#ifndef CT_UTF8_H
#define CT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is the start of a text.  May be copied. */
struct utf8 {
	uint8_t need;		/* continuation bytes still to come */
	uint8_t lo, hi;		/* what the next one may be, if need > 0 */
};

/*
 * Takes p[0..n).  Returns how many bytes were taken: n, or the index of the
 * first impossible byte (surrogates, overlong forms, above U+10FFFF, stray
 * bytes); the state is then not to be used any further.
 */
size_t utf8_feed(struct utf8 *, const uint8_t *p, size_t n);

/* Whether the text may end here. */
static inline bool
utf8_complete(const struct utf8 *u)
{
	return u->need == 0;
}

/* A whole text in one call. */
bool utf8_valid(const uint8_t *p, size_t n);

#endif
