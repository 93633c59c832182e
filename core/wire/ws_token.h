/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP header values as the WebSocket handshake needs them: tokens, quoted
 * strings and comma-separated lists (RFC 7230 3.2.6 and 7), which may be spread
 * over several headers of the same name.  Nothing is copied.  Thread: any.
 */
#ifndef CT_WS_TOKEN_H
#define CT_WS_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * How a request's or response's headers are looked up: the value of the nth
 * header (from 0) called `name` (any case), or NULL when there are fewer.
 * Embedded in whatever knows them; values must stay while they are used.
 */
struct ws_headers {
	const char *(*get)(const struct ws_headers *, const char *name,
	    unsigned nth);
};

/* A part of a header's value; not terminated. */
struct ws_text {
	const char *p;
	size_t n;
};

bool ws_text_equal(struct ws_text, const char *s);
/* Letters of ASCII in either case. */
bool ws_text_equal_nocase(struct ws_text, const char *s);
bool ws_text_same_nocase(struct ws_text, struct ws_text);

/* Without spaces and tabs at both ends. */
struct ws_text ws_trim(const char *s);

bool ws_is_token(struct ws_text);	/* one or more tchar */
void ws_skip_space(const char **at);
/* 1 and the token at *at, which moves behind it; 0: no token there. */
int ws_take_token(const char **at, struct ws_text *ret);

/* The only value of a header.  0; -ENOENT there is none, -EEXIST several. */
int ws_single_header(const struct ws_headers *, const char *name,
    struct ws_text *ret);

/*
 * Goes through all tokens of all headers called `name`; start with an all-zero
 * state.  1: *ret is the next one; 0: the end; -EINVAL: not a list of tokens.
 * Empty elements are skipped (RFC 7230 7).
 */
struct ws_list {
	const char *at;
	unsigned nth;
};
int ws_list_next(const struct ws_headers *, const char *name,
    struct ws_list *state, struct ws_text *ret);

/* Whether such a list is well-formed and has `word` in any case. */
bool ws_list_has(const struct ws_headers *, const char *name,
    const char *word);

#endif
