/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses.  IPv4 is kept mapped into IPv6, so that a peer of a dual-stack
 * socket and one of an IPv4 socket compare equal.  Nothing is ever resolved.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/hex.h"

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool
is_v4(const struct addr *a)
{
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

static bool
is_unix(const struct addr *a)
{
	static const struct addr zero;

	return memcmp(a, &zero, sizeof(zero)) == 0;
}

static const char *
say(char *to, const char *text)
{
	(void)snprintf(to, ADDR_TEXT_SIZE, "%s", text);
	return to;
}

/* Decimal digits only, no sign, no leading zero. */
static int
number(const char *s, unsigned max, unsigned *ret)
{
	unsigned v = 0;

	if (*s == '\0' || (s[0] == '0' && s[1] != '\0'))
		return -EINVAL;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		v = v * 10 + (unsigned)(*s - '0');
		if (v > max)
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int
parse_unix(const char *path, struct sockaddr_storage *ret, unsigned *ret_len)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (path[0] != '/')
		return -EINVAL;
	if (n >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, n);
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &un, sizeof(un));
	*ret_len = (unsigned)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

int
addr_parse(const char *text, struct sockaddr_storage *ret, unsigned *ret_len)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon;
	unsigned port;
	size_t n;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, ret, ret_len);
	colon = strrchr(text, ':');
	if (colon == NULL || number(colon + 1, 65535, &port) < 0)
		return -EINVAL;
	n = (size_t)(colon - text);
	if (n == 0 || n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	in.sin_port = in6.sin6_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		memset(ret, 0, sizeof(*ret));
		memcpy(ret, &in, sizeof(in));
		*ret_len = sizeof(in);
		return 0;
	}
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &in6.sin6_addr) != 1)
			return -EINVAL;
	} else if (strcmp(host, "*") == 0) {
		in6.sin6_addr = in6addr_any;
	} else {
		return -EINVAL;
	}
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &in6, sizeof(in6));
	*ret_len = sizeof(in6);
	return 0;
}

void
addr_of(const struct sockaddr *sa, struct addr *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	memset(ret, 0, sizeof(*ret));
	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		memcpy(ret->b, mapped, sizeof(mapped));
		memcpy(ret->b + 12, &in.sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		memcpy(ret->b, &in6.sin6_addr, 16);
	}
}

const char *
addr_host_text(const struct addr *a, char *to)
{
	const char *done;

	if (is_unix(a))
		return say(to, "unix");
	if (is_v4(a))
		done = inet_ntop(AF_INET, a->b + 12, to, ADDR_TEXT_SIZE);
	else
		done = inet_ntop(AF_INET6, a->b, to, ADDR_TEXT_SIZE);
	return done != NULL ? done : say(to, "?");
}

/* The number at `to`; where it ends. */
static char *
put_number(char *to, unsigned v)
{
	char digits[8];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	while (n > 0)
		*to++ = digits[--n];
	return to;
}

/* By hand: inet_ntop() and snprintf() take 2,500 instructions, and every
 * connection is told of more than once. */
static void
text_v4(const uint8_t *b, uint16_t port, char *to)
{
	for (int i = 0; i < 4; i++) {
		to = put_number(to, b[i]);
		*to++ = i < 3 ? '.' : ':';
	}
	*put_number(to, port) = '\0';
}

const char *
addr_text(const struct sockaddr *sa, char *to)
{
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	const char *text = NULL;
	struct addr a;

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		text_v4((const uint8_t *)&in.sin_addr, ntohs(in.sin_port), to);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		addr_of(sa, &a);
		if (is_v4(&a)) {
			text_v4(a.b + 12, ntohs(in6.sin6_port), to);
			return to;
		}
		text = inet_ntop(AF_INET6, a.b, host, sizeof(host));
		(void)snprintf(to, ADDR_TEXT_SIZE, "[%s]:%u",
		    text != NULL ? text : "?", ntohs(in6.sin6_port));
	} else if (sa->sa_family == AF_UNIX) {
		/* An unnamed peer's address ends after the family: take no
		 * more than the first byte of the path before knowing. */
		memcpy(&un, sa, offsetof(struct sockaddr_un, sun_path) + 1);
		if (un.sun_path[0] == '\0')
			return say(to, "unix");
		(void)snprintf(to, ADDR_TEXT_SIZE, "unix:%.*s",
		    (int)sizeof(un.sun_path),
		    (const char *)sa + offsetof(struct sockaddr_un, sun_path));
	} else {
		(void)say(to, "?");
	}
	return to;
}

size_t
addr_host_length(const char *text)
{
	const char *colon = strrchr(text, ':');

	return colon == NULL || strncmp(text, "unix", 4) == 0 ?
	    strlen(text) : (size_t)(colon - text);
}

bool
addr_is_loopback(const struct addr *a)
{
	static const struct addr one = { .b = { [15] = 1 } };

	return is_unix(a) || (is_v4(a) && a->b[12] == 127) ||
	    memcmp(a, &one, sizeof(one)) == 0;
}

int
addr_range_parse(const char *text, struct addr_range *ret)
{
	const char *slash = strchr(text, '/');
	struct addr_range r = { .bits = 128 };
	char host[INET6_ADDRSTRLEN];
	unsigned bits, most;
	size_t n;

	if (strcmp(text, "unix") == 0) {
		r.is_unix = true;
		*ret = r;
		return 0;
	}
	n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, r.net.b + 12) == 1) {
		memcpy(r.net.b, mapped, sizeof(mapped));
		most = 32;
	} else if (inet_pton(AF_INET6, host, r.net.b) == 1) {
		most = 128;
	} else {
		return -EINVAL;
	}
	if (slash != NULL) {
		if (number(slash + 1, most, &bits) < 0)
			return -EINVAL;
		r.bits = bits + 128 - most;
	}
	for (unsigned i = r.bits; i < 128; i++)
		r.net.b[i / 8] &= (uint8_t)~(0x80u >> i % 8);
	*ret = r;
	return 0;
}

bool
addr_range_has(const struct addr_range *r, const struct addr *a)
{
	unsigned bytes = r->bits / 8, rest = r->bits % 8;
	uint8_t mask;

	if (r->is_unix || is_unix(a))
		return r->is_unix && is_unix(a);
	/* "::/0" means every IPv6 address, not IPv4 as well. */
	if (is_v4(a) && r->bits < 96)
		return false;
	if (memcmp(r->net.b, a->b, bytes) != 0)
		return false;
	if (rest == 0)
		return true;
	mask = (uint8_t)(0xff00u >> rest);
	return ((r->net.b[bytes] ^ a->b[bytes]) & mask) == 0;
}

bool
addr_mac_parse(const char *text, uint8_t ret[6])
{
	const char *p = text;
	uint8_t mac[6];
	char between = '\0';

	for (size_t i = 0; i < 6; i++) {
		int high, low;

		if (i == 1 && (*p == ':' || *p == '-'))
			between = *p;
		if (i > 0 && between != '\0' && *p++ != between)
			return false;
		high = hex_value(*p);
		low = high < 0 ? -1 : hex_value(p[1]);
		if (low < 0)
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
		p += 2;
	}
	if (*p != '\0')
		return false;
	memcpy(ret, mac, sizeof(mac));
	return true;
}
