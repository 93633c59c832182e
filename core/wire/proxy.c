/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY protocol headers.  Version 1 is one line of text that is read strictly:
 * single spaces, no leading zeros, at most 107 bytes.  Version 2 is a block of
 * announced length; LOCAL and UNSPEC discard all of it, as the text demands.
 */
#include "wire/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define V2_FIXED 16			/* signature, command, family, length */
#define V2_UNIX_PATH 108
#define V2_TCP4 0x11			/* address family and stream */
#define V2_TCP6 0x21
#define V2_UNIX 0x31
#define TLV_CRC32C 0x03

static const uint8_t v1_start[6] = "PROXY ";
static const uint8_t v2_start[12] = "\r\n\r\n\0\r\nQUIT\n";

static int
bad(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EPROTO;
}

/* Takes the word up to the next space (or the end) into to[cap]; false if it
 * is empty or too long. */
static bool
next_word(const char **at, char *to, size_t cap)
{
	size_t n = strcspn(*at, " ");

	if (n == 0 || n >= cap)
		return false;
	memcpy(to, *at, n);
	to[n] = '\0';
	*at += n;
	return true;
}

static bool
next_space(const char **at)
{
	if (**at != ' ')
		return false;
	(*at)++;
	return true;
}

static bool
parse_port(const char *s, in_port_t *ret)
{
	unsigned v = 0;
	size_t i;

	if (s[0] == '0' && s[1] != '\0')
		return false;
	for (i = 0; s[i] != '\0'; i++) {
		if (s[i] < '0' || s[i] > '9' || i >= 5)
			return false;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	if (i == 0 || v > UINT16_MAX)
		return false;
	*ret = htons((uint16_t)v);
	return true;
}

static bool
set_address(int family, const char *host, const char *port,
    struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof *ret);
	ret->ss_family = (sa_family_t)family;
	if (family == AF_INET)
		return inet_pton(family, host, &in4->sin_addr) == 1 &&
		    parse_port(port, &in4->sin_port);
	return inet_pton(family, host, &in6->sin6_addr) == 1 &&
	    parse_port(port, &in6->sin6_port);
}

/* The words behind "PROXY TCP4 " or "PROXY TCP6 ". */
static bool
parse_v1_addresses(const char *at, int family, struct proxy_header *ret)
{
	char host[2][INET6_ADDRSTRLEN], port[2][8];

	return next_word(&at, host[0], sizeof host[0]) && next_space(&at) &&
	    next_word(&at, host[1], sizeof host[1]) && next_space(&at) &&
	    next_word(&at, port[0], sizeof port[0]) && next_space(&at) &&
	    next_word(&at, port[1], sizeof port[1]) && *at == '\0' &&
	    set_address(family, host[0], port[0], &ret->source) &&
	    set_address(family, host[1], port[1], &ret->destination);
}

static int
parse_v1(const uint8_t *p, size_t n, struct proxy_header *ret,
    const char **ret_why)
{
	struct proxy_header h = { .version = 1 };
	char line[PROXY_V1_MAX + 1], proto[8];
	const char *at = line;
	size_t i, max = n < PROXY_V1_MAX ? n : PROXY_V1_MAX;

	for (i = sizeof v1_start; i < max && p[i] != '\r'; i++) {
		if (p[i] == '\n' || p[i] == '\0')
			return bad(ret_why, "line not ended by CR LF");
	}
	if (i + 1 < max && p[i + 1] != '\n')
		return bad(ret_why, "line not ended by CR LF");
	if (i + 1 >= max)
		return n < PROXY_V1_MAX ? -EAGAIN :
		    bad(ret_why, "line over 107 bytes");
	h.used = i + 2;
	memcpy(line, p + sizeof v1_start, i - sizeof v1_start);
	line[i - sizeof v1_start] = '\0';
	if (!next_word(&at, proto, sizeof proto))
		return bad(ret_why, "no protocol named");
	if (strcmp(proto, "UNKNOWN") == 0) {
		*ret = h;
		return 0;
	}
	h.known = true;
	if (strcmp(proto, "TCP4") != 0 && strcmp(proto, "TCP6") != 0)
		return bad(ret_why, "unknown protocol");
	if (!next_space(&at) || !parse_v1_addresses(at,
	    proto[3] == '4' ? AF_INET : AF_INET6, &h))
		return bad(ret_why, "malformed address or port");
	*ret = h;
	return 0;
}

static uint32_t
crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
	size_t i;
	int bit;

	for (i = 0; i < n; i++) {
		crc ^= p[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

/* Of the whole header, with the four bytes at `field` taken as zero. */
static bool
crc_matches(const uint8_t *p, size_t n, size_t field)
{
	static const uint8_t zero[4];
	uint32_t crc = UINT32_MAX, want;

	crc = crc32c(crc, p, field);
	crc = crc32c(crc, zero, sizeof zero);
	crc = ~crc32c(crc, p + field + 4, n - field - 4);
	want = (uint32_t)p[field] << 24 | (uint32_t)p[field + 1] << 16 |
	    (uint32_t)p[field + 2] << 8 | p[field + 3];
	return crc == want;
}

/* The TLVs in p[at..n), n being the whole header. */
static int
check_tlvs(const uint8_t *p, size_t at, size_t n, const char **ret_why)
{
	size_t len, crc_at = 0;

	while (at < n) {
		if (n - at < 3)
			return bad(ret_why, "TLV cut short");
		len = (size_t)p[at + 1] << 8 | p[at + 2];
		if (len > n - at - 3)
			return bad(ret_why, "TLV longer than the header");
		if (p[at] == TLV_CRC32C) {
			if (len != 4 || crc_at != 0)
				return bad(ret_why, "malformed CRC32C");
			crc_at = at + 3;
		}
		at += 3 + len;
	}
	if (crc_at != 0 && !crc_matches(p, n, crc_at))
		return bad(ret_why, "CRC32C does not match");
	return 0;
}

static void
set_inet(const uint8_t *addr, const uint8_t *port, bool v6,
    struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof *ret);
	if (v6) {
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, addr, 16);
		memcpy(&in6->sin6_port, port, 2);
	} else {
		in4->sin_family = AF_INET;
		memcpy(&in4->sin_addr, addr, 4);
		memcpy(&in4->sin_port, port, 2);
	}
}

static void
set_unix(const uint8_t *path, struct sockaddr_storage *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ret;

	memset(ret, 0, sizeof *ret);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, V2_UNIX_PATH);
}

/* Of both addresses; 0 when the family is not one that a stream can have. */
static size_t
v2_address_size(unsigned family)
{
	return family == V2_TCP4 ? 12 : family == V2_TCP6 ? 36 :
	    family == V2_UNIX ? 2 * V2_UNIX_PATH : 0;
}

static void
set_v2_addresses(unsigned family, const uint8_t *a, struct proxy_header *ret)
{
	if (family == V2_TCP4) {
		set_inet(a, a + 8, false, &ret->source);
		set_inet(a + 4, a + 10, false, &ret->destination);
	} else if (family == V2_TCP6) {
		set_inet(a, a + 32, true, &ret->source);
		set_inet(a + 16, a + 34, true, &ret->destination);
	} else {
		set_unix(a, &ret->source);
		set_unix(a + V2_UNIX_PATH, &ret->destination);
	}
}

/* The 16 first bytes, as far as they are there behind the signature. */
static int
check_v2_fixed(const uint8_t *p, size_t n, const char **ret_why)
{
	size_t len;

	if (n > 12 && p[12] >> 4 != 2)
		return bad(ret_why, "unknown version");
	if (n > 12 && (p[12] & 15) > 1)
		return bad(ret_why, "unknown command");
	if (n > 13 && (p[12] & 15) == 1 && p[13] != 0 &&
	    v2_address_size(p[13]) == 0)
		return bad(ret_why, "not a stream's address family");
	if (n < V2_FIXED)
		return -EAGAIN;
	len = (size_t)p[14] << 8 | p[15];
	if (len > PROXY_V2_MAX - V2_FIXED)
		return bad(ret_why, "header too long");
	if ((p[12] & 15) == 1 && len < v2_address_size(p[13]))
		return bad(ret_why, "addresses cut short");
	return n < V2_FIXED + len ? -EAGAIN : 0;
}

static int
parse_v2(const uint8_t *p, size_t n, struct proxy_header *ret,
    const char **ret_why)
{
	struct proxy_header h = { .version = 2 };
	int r;

	if ((r = check_v2_fixed(p, n, ret_why)) != 0)
		return r;
	h.used = V2_FIXED + ((size_t)p[14] << 8 | p[15]);
	h.local = (p[12] & 15) == 0;
	if (!h.local && p[13] != 0) {
		h.known = true;
		set_v2_addresses(p[13], p + V2_FIXED, &h);
		r = check_tlvs(p, V2_FIXED + v2_address_size(p[13]), h.used,
		    ret_why);
		if (r != 0)
			return r;
	}
	*ret = h;
	return 0;
}

static bool
starts_like(const uint8_t *p, size_t n, const uint8_t *start, size_t size)
{
	return memcmp(p, start, n < size ? n : size) == 0;
}

int
proxy_parse(const uint8_t *p, size_t n, struct proxy_header *ret,
    const char **ret_why)
{
	if (n == 0)
		return -EAGAIN;
	if (starts_like(p, n, v1_start, sizeof v1_start))
		return n < sizeof v1_start ? -EAGAIN :
		    parse_v1(p, n, ret, ret_why);
	if (starts_like(p, n, v2_start, sizeof v2_start))
		return n < sizeof v2_start ? -EAGAIN :
		    parse_v2(p, n, ret, ret_why);
	return bad(ret_why, "not a PROXY header");
}
