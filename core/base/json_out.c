/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON writer.  Its output is valid JSON whatever bytes it is given, as
 * long as the caller opens and closes in pairs.  RFC 8259 section 7 (strings),
 * RFC 3629 section 4 (what is UTF-8), Unicode 15 section 3.9 (one U+FFFD for
 * each longest well-formed beginning).
 */
#include "base/json_out.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hex.h"

void
jout_init(struct json_out *j, struct outbuf *out)
{
	j->out = out;
	j->comma = false;
	j->failed = false;
}

static void
put(struct json_out *j, const char *p, size_t n)
{
	struct outbuf *o = j->out;

	if (j->failed || n > outbuf_room(o)) {
		j->failed = true;
		return;
	}
	if (n > 0)
		memcpy(o->p + o->n, p, n);
	o->n += n;
}

/*
 * Length of the well-formed UTF-8 sequence at p; 0 if there is none, and then
 * *ret_bad is how many bytes one U+FFFD replaces.
 */
static size_t
utf8_length(const unsigned char *p, size_t n, size_t *ret_bad)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	*ret_bad = 1;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	/* The second byte excludes overlong forms, surrogates and what is
	 * beyond U+10FFFF. */
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < len; i++) {
		if (i >= n || p[i] < low || p[i] > high) {
			*ret_bad = i;
			return 0;
		}
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

static void
put_escaped(struct json_out *j, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
	const char *from = "\"\\\b\f\n\r\t", *to = "\"\\bfnrt", *at;

	at = c == 0 ? NULL : strchr(from, c);
	if (at == NULL) {
		put(j, text, sizeof(text));
		return;
	}
	text[1] = to[at - from];
	put(j, text, 2);
}

static void
put_string(struct json_out *j, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t at = 0, plain = 0, len, bad;

	put(j, "\"", 1);
	while (at < n) {
		if (p[at] >= 0x20 && p[at] < 0x80 && p[at] != '"' &&
		    p[at] != '\\') {
			at++;
			continue;
		}
		len = utf8_length(p + at, n - at, &bad);
		if (len > 1) {
			at += len;
			continue;
		}
		put(j, s + plain, at - plain);
		if (len == 1) {
			put_escaped(j, p[at++]);
		} else {
			put(j, "\xef\xbf\xbd", 3);
			at += bad;
		}
		plain = at;
	}
	put(j, s + plain, at - plain);
	put(j, "\"", 1);
}

/* What comes before any value. */
static void
begin(struct json_out *j, const char *key)
{
	if (j->comma)
		put(j, ",", 1);
	j->comma = true;
	if (key != NULL) {
		put_string(j, key, strlen(key));
		put(j, ":", 1);
	}
}

void
jout_object(struct json_out *j, const char *key)
{
	begin(j, key);
	put(j, "{", 1);
	j->comma = false;
}

void
jout_object_end(struct json_out *j)
{
	put(j, "}", 1);
	j->comma = true;
}

void
jout_array(struct json_out *j, const char *key)
{
	begin(j, key);
	put(j, "[", 1);
	j->comma = false;
}

void
jout_array_end(struct json_out *j)
{
	put(j, "]", 1);
	j->comma = true;
}

void
jout_string(struct json_out *j, const char *key, const char *s)
{
	jout_string_n(j, key, s, strlen(s));
}

void
jout_string_n(struct json_out *j, const char *key, const char *s, size_t n)
{
	begin(j, key);
	put_string(j, s, n);
}

void
jout_uint(struct json_out *j, const char *key, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	begin(j, key);
	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	put(j, digits + at, sizeof(digits) - at);
}

void
jout_raw(struct json_out *j, const char *key, const char *text, size_t n)
{
	begin(j, key);
	put(j, text, n);
}

void
jout_time(struct json_out *j, const char *key, int64_t wall_ms)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text(wall_ms, text);
	jout_string(j, key, text);
}

void
jout_hex(struct json_out *j, const char *key, const void *p, size_t n)
{
	char text[2 * JOUT_HEX_MAX + 1];

	CT_ASSERT(n <= JOUT_HEX_MAX);
	hex_write(p, n, text);
	jout_string(j, key, text);
}

bool
jout_ok(const struct json_out *j)
{
	return !j->failed;
}
