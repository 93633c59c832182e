/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON reader that only says yes or no.  Keeps no tree; what is open is a bit
 * stack of JSON_CHECK_DEPTH, so that no input makes it recurse.
 */
#include "base/json_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct reader {
	const uint8_t *p, *end;
	bool is_object[JSON_CHECK_DEPTH];
	unsigned depth;
};

static void
skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' ||
	    *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool
take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != (uint8_t)c)
		return false;
	r->p++;
	return true;
}

static bool
take_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool
take_digits(struct reader *r)
{
	const uint8_t *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p > from;
}

static bool
take_number(struct reader *r)
{
	(void)take(r, '-');		/* optional */
	if (!take(r, '0') && !take_digits(r))
		return false;
	if (take(r, '.') && !take_digits(r))
		return false;
	if (take(r, 'e') || take(r, 'E')) {
		if (!take(r, '+'))
			(void)take(r, '-');	/* optional */
		return take_digits(r);
	}
	return true;
}

/* The four digits of \uXXXX; -1: not four hexadecimal digits. */
static long
take_hex4(struct reader *r)
{
	long v = 0;

	if (r->end - r->p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int c = *r->p++;

		if (c >= '0' && c <= '9')
			v = v * 16 + c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + (c | 0x20) - 'a' + 10;
		else
			return -1;
	}
	return v;
}

static bool
take_escape(struct reader *r)
{
	long v;

	if (r->p == r->end)
		return false;
	if (*r->p != 'u')
		return strchr("\"\\/bfnrt", *r->p) != NULL &&
		    *r->p++ != '\0';
	r->p++;
	v = take_hex4(r);
	if (v <= 0 || (v >= 0xdc00 && v <= 0xdfff))
		return false;
	if (v < 0xd800 || v > 0xdbff)
		return true;
	if (!take_word(r, "\\u"))
		return false;
	v = take_hex4(r);
	return v >= 0xdc00 && v <= 0xdfff;
}

/* One character outside ASCII (RFC 3629 section 4). */
static bool
take_utf8(struct reader *r)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	uint32_t v = *r->p++;
	unsigned more = v >= 0xf0 ? 3 : v >= 0xe0 ? 2 : 1;

	if (v < 0xc2 || v > 0xf4 || (size_t)(r->end - r->p) < more)
		return false;
	v &= 0x3fu >> more;
	for (unsigned i = 0; i < more; i++, r->p++) {
		if ((*r->p & 0xc0) != 0x80)
			return false;
		v = v << 6 | (*r->p & 0x3f);
	}
	return v >= least[more] && v <= 0x10ffff &&
	    (v < 0xd800 || v > 0xdfff);
}

static bool
take_string(struct reader *r)
{
	if (!take(r, '"'))
		return false;
	while (r->p < r->end && *r->p != '"') {
		if (*r->p < 0x20)
			return false;
		if (*r->p >= 0x80) {
			if (!take_utf8(r))
				return false;
		} else if (*r->p++ == '\\' && !take_escape(r)) {
			return false;
		}
	}
	return take(r, '"');
}

static bool
take_key(struct reader *r)
{
	skip_space(r);
	if (!take_string(r))
		return false;
	skip_space(r);
	return take(r, ':');
}

/* Opens an object or array, up to its first value; *ret_empty: it is closed
 * already. */
static bool
open_level(struct reader *r, bool is_object, bool *ret_empty)
{
	if (r->depth == JSON_CHECK_DEPTH)
		return false;
	skip_space(r);
	*ret_empty = take(r, is_object ? '}' : ']');
	if (*ret_empty)
		return true;
	r->is_object[r->depth++] = is_object;
	return !is_object || take_key(r);
}

/* After a value: closes levels until another value has to follow. */
static bool
after_value(struct reader *r)
{
	while (r->depth > 0) {
		bool is_object = r->is_object[r->depth - 1];

		skip_space(r);
		if (take(r, ','))
			return !is_object || take_key(r);
		if (!take(r, is_object ? '}' : ']'))
			return false;
		r->depth--;
	}
	return true;
}

static bool
take_value(struct reader *r)
{
	bool empty;

	skip_space(r);
	if (r->p == r->end)
		return false;
	switch (*r->p) {
	case '{':
	case '[':
		if (!open_level(r, *r->p++ == '{', &empty))
			return false;
		return !empty || after_value(r);
	case '"':
		return take_string(r) && after_value(r);
	case 't':
		return take_word(r, "true") && after_value(r);
	case 'f':
		return take_word(r, "false") && after_value(r);
	case 'n':
		return take_word(r, "null") && after_value(r);
	default:
		return take_number(r) && after_value(r);
	}
}

/* One value that begins with `first` ('\0': with anything). */
static int
check(const char *p, size_t n, char first)
{
	struct reader r = { .p = (const uint8_t *)p,
	    .end = (const uint8_t *)p + n };

	skip_space(&r);
	if (r.p == r.end || (first != '\0' && *r.p != (uint8_t)first))
		return -EINVAL;
	do {
		if (!take_value(&r))
			return -EINVAL;
	} while (r.depth > 0);
	skip_space(&r);
	return r.p == r.end ? 0 : -EINVAL;
}

int
json_check_object(const char *p, size_t n)
{
	return check(p, n, '{');
}

int
json_check_array(const char *p, size_t n)
{
	return check(p, n, '[');
}

int
json_check_value(const char *p, size_t n)
{
	return check(p, n, '\0');
}

unsigned
json_depth(const char *p)
{
	unsigned depth = 0, most = 0;
	bool in_string = false;

	for (; *p != '\0'; p++) {
		if (in_string && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '"')
			in_string = !in_string;
		else if (!in_string && (*p == '{' || *p == '['))
			most = ++depth > most ? depth : most;
		else if (!in_string && (*p == '}' || *p == ']'))
			depth--;
	}
	return most;
}
