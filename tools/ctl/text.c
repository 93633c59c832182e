/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows, and what a terminal may be shown of it. */
#include "text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include <jansson.h>

#include "base/mem.h"

void
text_locale(void)
{
	(void)setlocale(LC_ALL, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* Room for n bytes and NUL. */
static bool
room(struct text *t, size_t n)
{
	size_t cap = t->cap == 0 ? 256 : t->cap;
	char *p;

	if (t->failed || n > SIZE_MAX / 4 - t->n) {
		t->failed = true;
		return false;
	}
	while (cap < t->n + n + 1)
		cap *= 2;
	if (cap == t->cap)
		return true;
	p = mem_realloc(t->p, cap);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void
text_add(struct text *t, const char *s, size_t n)
{
	if (!room(t, n))
		return;
	memcpy(t->p + t->n, s, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void
text_puts(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void
text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0)
		t->failed = true;
	else if (room(t, (size_t)n))
		t->n += (size_t)vsnprintf(t->p + t->n, (size_t)n + 1, fmt,
		    again);
	va_end(again);
	va_end(ap);
}

/* What a terminal obeys, or what makes a line read as it is not written. */
static bool
misleads(wchar_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad ||
	    c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	    c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	    (c >= 0xe0000 && c <= 0xe007f);
}

#define REPLACEMENT 0xfffd

/* The character at s, and its bytes; bytes that are none stand
 * for REPLACEMENT. */
static wchar_t
next_char(const char *s, size_t n, size_t *ret_n)
{
	mbstate_t state = { 0 };
	wchar_t c = 0;
	size_t got = mbrtowc(&c, s, n, &state);

	if (got == 0)
		got = 1;		/* NUL */
	if (got > n) {
		*ret_n = 1;
		return REPLACEMENT;
	}
	*ret_n = got;
	return c;
}

void
text_escaped(struct text *t, const char *s, size_t n)
{
	size_t step;

	for (size_t i = 0; i < n; i += step) {
		wchar_t c = next_char(s + i, n - i, &step);

		if (c == '\n')
			text_puts(t, "\\n");
		else if (c == '\t')
			text_puts(t, "\\t");
		else if (c == REPLACEMENT)
			text_puts(t, "\xef\xbf\xbd");
		else if (c < 0x80 && misleads(c))
			text_printf(t, "\\x%02x", (unsigned char)s[i]);
		else if (misleads(c) || wcwidth(c) < 0)
			text_printf(t, c > 0xffff ? "\\U%08x" : "\\u%04x",
			    (unsigned)c);
		else
			text_add(t, s + i, step);
	}
}

/* jansson escapes only what JSON wants to be escaped. */
static void
add_safe_json(struct text *t, const char *s, size_t n)
{
	size_t step;

	for (size_t i = 0; i < n; i += step) {
		wchar_t c = next_char(s + i, n - i, &step);

		if (c > 0xffff && misleads(c))
			text_printf(t, "\\u%04x\\u%04x", 0xd7c0u +
			    ((unsigned)c >> 10), 0xdc00u + (c & 0x3ff));
		else if (c >= 0x7f && misleads(c))
			text_printf(t, "\\u%04x", (unsigned)c);
		else
			text_add(t, s + i, step);
	}
}

void
text_json(struct text *t, const struct json_t *value)
{
	/* json_dumps() of jansson 2.14 drops a key when memory is short. */
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t n = json_dumpb(value, NULL, 0, flags);
	char *p = n == 0 ? NULL : mem_alloc(n);

	if (p == NULL || json_dumpb(value, p, n, flags) != n)
		t->failed = true;
	else
		add_safe_json(t, p, n);
	mem_free(p);
}

void
text_url(struct text *t, const char *s)
{
	for (; *s != '\0'; s++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz0123456789-._~", *s) != NULL)
			text_add(t, s, 1);
		else
			text_printf(t, "%%%02X", (unsigned char)*s);
	}
}

const char *
text_str(const struct text *t)
{
	return t->p == NULL ? "" : t->p;
}

char *
text_take(struct text *t)
{
	char *p;

	text_add(t, "", 0);
	if (t->failed) {
		text_free(t);
		return NULL;
	}
	p = t->p;
	*t = (struct text){ 0 };
	return p;
}

void
text_clear(struct text *t)
{
	t->n = 0;
	if (t->p != NULL)
		t->p[0] = '\0';
}

void
text_free(struct text *t)
{
	mem_free(t->p);
	*t = (struct text){ 0 };
}

size_t
text_fit(const char *s, size_t columns)
{
	size_t n = strlen(s), i = 0, step, used = 0;

	while (i < n) {
		int w = wcwidth(next_char(s + i, n - i, &step));

		if (w < 0)
			w = 1;
		if (used + (size_t)w > columns)
			break;
		used += (size_t)w;
		i += step;
	}
	return i;
}

size_t
text_width(const char *s)
{
	size_t n = strlen(s), step, used = 0;

	for (size_t i = 0; i < n; i += step) {
		int w = wcwidth(next_char(s + i, n - i, &step));

		used += w < 0 ? 1 : (size_t)w;
	}
	return used;
}
