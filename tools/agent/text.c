/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that somebody wrote to text. */
#include "text.h"

#include <stdbool.h>
#include <stdint.h>

#include "wire/utf8.h"

#define CHARACTER_MAX 4			/* bytes, RFC 3629 */

/* How many bytes the character at p has; 0: it is none.  *ret_cut: it would be
 * one if the text went on. */
static size_t
character(const char *p, size_t n, bool *ret_cut)
{
	struct utf8 u = { 0 };
	size_t k = 0;

	*ret_cut = false;
	while (k < n && k < CHARACTER_MAX) {
		if (utf8_feed(&u, (const uint8_t *)p + k, 1) != 1)
			return 0;
		k++;
		if (utf8_complete(&u))
			return k;
	}
	*ret_cut = true;
	return 0;
}

size_t
text_clean(char *p, size_t n)
{
	size_t at = 0;
	bool cut;

	while (at < n) {
		size_t k = character(p + at, n - at, &cut);

		if (cut)
			return at;
		if (k == 0 || p[at] == '\0') {
			p[at] = '?';
			k = 1;
		}
		at += k;
	}
	return n;
}
