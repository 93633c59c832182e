/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens and lists of HTTP headers.  The character classes are those of
 * RFC 7230 3.2.6 and never depend on the locale.
 */
#include "wire/ws_token.h"

#include <errno.h>
#include <string.h>

static bool
is_tchar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
ws_text_equal(struct ws_text t, const char *s)
{
	return strlen(s) == t.n && memcmp(t.p, s, t.n) == 0;
}

bool
ws_text_same_nocase(struct ws_text a, struct ws_text b)
{
	size_t i;

	if (a.n != b.n)
		return false;
	for (i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool
ws_text_equal_nocase(struct ws_text t, const char *s)
{
	struct ws_text other = { .p = s, .n = strlen(s) };

	return ws_text_same_nocase(t, other);
}

void
ws_skip_space(const char **at)
{
	while (**at == ' ' || **at == '\t')
		(*at)++;
}

struct ws_text
ws_trim(const char *s)
{
	struct ws_text t;

	ws_skip_space(&s);
	t.p = s;
	t.n = strlen(s);
	while (t.n > 0 && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t'))
		t.n--;
	return t;
}

bool
ws_is_token(struct ws_text t)
{
	size_t i;

	for (i = 0; i < t.n; i++) {
		if (!is_tchar(t.p[i]))
			return false;
	}
	return t.n > 0;
}

int
ws_take_token(const char **at, struct ws_text *ret)
{
	const char *end = *at;

	while (is_tchar(*end))
		end++;
	if (end == *at)
		return 0;
	ret->p = *at;
	ret->n = (size_t)(end - *at);
	*at = end;
	return 1;
}

int
ws_single_header(const struct ws_headers *h, const char *name,
    struct ws_text *ret)
{
	const char *value = h->get(h, name, 0);

	if (value == NULL)
		return -ENOENT;
	if (h->get(h, name, 1) != NULL)
		return -EEXIST;
	*ret = ws_trim(value);
	return 0;
}

int
ws_list_next(const struct ws_headers *h, const char *name,
    struct ws_list *state, struct ws_text *ret)
{
	struct ws_text token;

	for (;;) {
		while (state->at == NULL || *state->at == '\0') {
			state->at = h->get(h, name, state->nth);
			if (state->at == NULL)
				return 0;
			state->nth++;
			ws_skip_space(&state->at);
		}
		if (*state->at == ',') {
			state->at++;
			ws_skip_space(&state->at);
			continue;
		}
		if (!ws_take_token(&state->at, &token))
			return -EINVAL;
		ws_skip_space(&state->at);
		if (*state->at != ',' && *state->at != '\0')
			return -EINVAL;
		*ret = token;
		return 1;
	}
}

bool
ws_list_has(const struct ws_headers *h, const char *name, const char *word)
{
	struct ws_list state = { 0 };
	struct ws_text token;
	bool found = false;
	int r;

	while ((r = ws_list_next(h, name, &state, &token)) == 1)
		found = found || ws_text_equal_nocase(token, word);
	return r == 0 && found;
}
