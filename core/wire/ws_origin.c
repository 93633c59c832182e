/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Origins are compared by scheme, host and port (RFC 6454 section 5).  What
 * does not have exactly that form is never equal to anything.
 */
#include "wire/ws_origin.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct origin {
	struct ws_text scheme, host;	/* both empty: "null" */
	unsigned port;			/* 0: the scheme has none of its own */
};

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* RFC 3986 3.1 */
static size_t
scheme_length(struct ws_text t)
{
	size_t i;

	for (i = 0; i < t.n; i++) {
		if (!is_alpha(t.p[i]) && (i == 0 || (!is_digit(t.p[i]) &&
		    strchr("+-.", t.p[i]) == NULL)))
			break;
	}
	return i;
}

/* A name, an IPv4 address, or an IPv6 address in brackets (RFC 3986 3.2.2);
 * names are ASCII here, as browsers send them (RFC 6454 section 6.2). */
static size_t
host_length(struct ws_text t)
{
	bool bracket = t.n > 0 && t.p[0] == '[';
	size_t i;

	for (i = bracket ? 1 : 0; i < t.n; i++) {
		if (is_alpha(t.p[i]) || is_digit(t.p[i]))
			continue;
		if (t.p[i] == '\0' ||
		    strchr(bracket ? ":." : "-._~%", t.p[i]) == NULL)
			break;
	}
	if (!bracket)
		return i;
	return i > 1 && i < t.n && t.p[i] == ']' ? i + 1 : 0;
}

static bool
parse_port(struct ws_text t, unsigned *ret)
{
	unsigned v = 0;
	size_t i;

	if (t.n < 1 || t.n > 5 || t.p[0] == '0')
		return false;
	for (i = 0; i < t.n; i++) {
		if (!is_digit(t.p[i]))
			return false;
		v = v * 10 + (unsigned)(t.p[i] - '0');
	}
	*ret = v;
	return v <= UINT16_MAX;
}

static unsigned
default_port(struct ws_text scheme)
{
	if (ws_text_equal_nocase(scheme, "http") ||
	    ws_text_equal_nocase(scheme, "ws"))
		return 80;
	if (ws_text_equal_nocase(scheme, "https") ||
	    ws_text_equal_nocase(scheme, "wss"))
		return 443;
	return 0;
}

static struct ws_text
behind(struct ws_text t, size_t n)
{
	return (struct ws_text){ .p = t.p + n, .n = t.n - n };
}

static bool
parse_origin(struct ws_text t, struct origin *ret)
{
	struct origin o = { .port = 0 };

	o.scheme.p = o.host.p = t.p;
	if (ws_text_equal(t, "null")) {
		*ret = o;
		return true;
	}
	o.scheme.n = scheme_length(t);
	t = behind(t, o.scheme.n);
	if (o.scheme.n == 0 || t.n < 3 || memcmp(t.p, "://", 3) != 0)
		return false;
	t = behind(t, 3);
	o.host.p = t.p;
	o.host.n = host_length(t);
	t = behind(t, o.host.n);
	o.port = default_port(o.scheme);
	if (o.host.n == 0 ||
	    (t.n > 0 && (t.p[0] != ':' || !parse_port(behind(t, 1), &o.port))))
		return false;
	*ret = o;
	return true;
}

static bool
same_origin(const struct origin *a, const struct origin *b)
{
	return ws_text_same_nocase(a->scheme, b->scheme) &&
	    ws_text_same_nocase(a->host, b->host) && a->port == b->port;
}

int
ws_origin_check(const struct ws_headers *h, const char *const *allowed)
{
	struct origin asked, listed;
	struct ws_text value;
	int r = ws_single_header(h, "Origin", &value);

	if (r == -ENOENT)
		return 0;
	if (r != 0 || !parse_origin(value, &asked))
		return -EACCES;
	for (; allowed != NULL && *allowed != NULL; allowed++) {
		if (parse_origin(ws_trim(*allowed), &listed) &&
		    same_origin(&asked, &listed))
			return 0;
	}
	return -EACCES;
}

bool
ws_origin_valid(const char *s)
{
	struct origin o;

	return parse_origin(ws_trim(s), &o);
}
