/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into JSON that is known to be well-formed;
 * never beyond its end though. */
#include "base/json_find.h"

#include <string.h>

#define EXACT (UINT64_C(1) << 53)	/* a double holds all below
					 * (RFC 8259 6) */

static size_t
space(struct json_span s, size_t at)
{
	while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t' ||
	    s.p[at] == '\n' || s.p[at] == '\r'))
		at++;
	return at;
}

/* Behind the string that begins at `at`. */
static size_t
string_end(struct json_span s, size_t at)
{
	for (at++; at < s.n && s.p[at] != '"'; at++)
		if (s.p[at] == '\\')
			at++;
	return at < s.n ? at + 1 : s.n;
}

/* Behind the value that begins at `at`. */
static size_t
value_end(struct json_span s, size_t at)
{
	size_t depth = 0;

	while (at < s.n) {
		char c = s.p[at];

		if (c == '"') {
			at = string_end(s, at);
			if (depth == 0)
				return at;
			continue;
		}
		if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				return at;
			if (--depth == 0)
				return at + 1;
		} else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' ||
		    c == '\n' || c == '\r')) {
			return at;
		}
		at++;
	}
	return at;
}

bool
json_item(struct json_span array, size_t *pat, struct json_span *ret)
{
	size_t at = *pat, end;

	if (at == 0) {
		at = space(array, 0);
		if (at >= array.n || array.p[at] != '[')
			return false;
		at++;
	}
	at = space(array, at);
	if (at < array.n && array.p[at] == ',')
		at = space(array, at + 1);
	end = value_end(array, at);
	if (end <= at)
		return false;
	*ret = (struct json_span){ array.p + at, end - at };
	*pat = end;
	return true;
}

bool
json_member(struct json_span object, const char *key, struct json_span *ret)
{
	size_t key_n = strlen(key), at = space(object, 0), from, end;
	bool found = false, is_it;

	if (at >= object.n || object.p[at] != '{')
		return false;
	for (at++;;) {
		at = space(object, at);
		if (at < object.n && object.p[at] == ',')
			at = space(object, at + 1);
		if (at >= object.n || object.p[at] != '"')
			return found;
		end = string_end(object, at);
		is_it = end - at == key_n + 2 &&
		    memcmp(object.p + at + 1, key, key_n) == 0;
		from = space(object, end);
		if (from < object.n && object.p[from] == ':')
			from++;
		from = space(object, from);
		at = value_end(object, from);
		if (at <= from)
			return found;
		if (is_it) {
			*ret = (struct json_span){ object.p + from, at - from };
			found = true;
		}
	}
}

bool
json_plain(struct json_span s, char *to, size_t cap)
{
	if (s.n < 2 || s.p[0] != '"' || s.n - 2 >= cap ||
	    memchr(s.p, '\\', s.n) != NULL)
		return false;
	memcpy(to, s.p + 1, s.n - 2);
	to[s.n - 2] = '\0';
	return true;
}

bool
json_whole(struct json_span s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0 || s.n > 16)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	if (v > EXACT)
		return false;
	*ret = v;
	return true;
}
