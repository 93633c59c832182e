/* SPDX-License-Identifier: Apache-2.0 */
/* Headers for tests out of "Name: value\n..." text. */
#ifndef CT_HEADER_TEXT_H
#define CT_HEADER_TEXT_H

#include "wire/ws_token.h"

#define HEADER_TEXT_MAX 32

/* Points into itself: never copied. */
struct header_text {
	struct ws_headers headers;
	size_t n;
	char *name[HEADER_TEXT_MAX], *value[HEADER_TEXT_MAX];
	char text[2048];
};

/* What does not fit is left out; a line without a colon is skipped.  One
 * space behind the colon is not part of the value. */
void header_text_set(struct header_text *, const char *text);

#endif
