/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows, and what a terminal may be shown: peers' text has its
 * control characters, and those that turn the direction of writing, made
 * visible.  Running out of memory is remembered: look at `failed` once at
 * the end.
 * Thread: main only.
 */
#ifndef CT_CTL_TEXT_H
#define CT_CTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

/* All zero is an empty text. */
struct text {
	char *p;			/* ends with NUL; NULL while empty */
	size_t n, cap;
	bool failed;
};

/* Takes the locale of the environment, or C.UTF-8 if that is not UTF-8: the
 * functions below need one.  Once, at the start. */
void text_locale(void);

void text_add(struct text *, const char *s, size_t n);
void text_puts(struct text *, const char *s);
void text_printf(struct text *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Safe for a terminal: \n, \x1b, \u202e, \U000e0001 stand for what
 * they name. */
void text_escaped(struct text *, const char *s, size_t n);
/* The value as one line of JSON that is safe for a terminal. */
void text_json(struct text *, const struct json_t *);
/* As a segment of a path or a value of a query (RFC 3986 2.3). */
void text_url(struct text *, const char *s);
/* Never NULL. */
const char *text_str(const struct text *);
/* Gives the string away, to be freed with mem_free(); NULL if it failed. */
char *text_take(struct text *);
void text_clear(struct text *);
void text_free(struct text *);

/* Columns that text without control characters takes. */
size_t text_width(const char *s);
/* Bytes of the longest beginning that takes at most `columns`. */
size_t text_fit(const char *s, size_t columns);

#endif
