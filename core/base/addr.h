/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket addresses as text and back, and address ranges.  Thread: any.
 */
#ifndef CT_ADDR_H
#define CT_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;
struct sockaddr_storage;

/* A peer's address without its port, 16 bytes: IPv4 is mapped (RFC 4291
 * 2.5.5.2); a unix socket is all zero. */
struct addr {
	uint8_t b[16];
};

/* "127.0.0.1:80", "[::1]:80", "unix:/path".  Accepted too: "*:80" (both
 * families, an IPv6 socket), "localhost" is not: names are never resolved.
 * -EINVAL, -ENAMETOOLONG.  *ret_len is the sockaddr's length. */
int addr_parse(const char *text, struct sockaddr_storage *ret,
    unsigned *ret_len);

#define ADDR_TEXT_SIZE 120
/* The inverse into to[ADDR_TEXT_SIZE]; "unix" for an unnamed unix peer (whose
 * sun_path[0] the caller has zeroed); a mapped IPv4 address as IPv4. */
const char *addr_text(const struct sockaddr *, char *to);
/* How much of that text is the host: all but the port,
 * which is another one each time. */
size_t addr_host_length(const char *text);
/* Address only, without port: "192.0.2.1", "2001:db8::1", "unix". */
const char *addr_host_text(const struct addr *, char *to);

void addr_of(const struct sockaddr *, struct addr *ret);
bool addr_is_loopback(const struct addr *);	/* unix counts as loopback */

/* "192.0.2.0/24", "2001:db8::/32", a single address, or "unix".  Bits behind
 * the prefix are ignored.  An IPv6 range never holds an IPv4 address. */
struct addr_range {
	struct addr net;
	unsigned bits;			/* of 128 */
	bool is_unix;
};
int addr_range_parse(const char *text, struct addr_range *ret);	/* -EINVAL */
bool addr_range_has(const struct addr_range *, const struct addr *);

/* A MAC address: "00:11:22:aa:bb:cc", with "-" for every ":", or the 12 digits
 * alone; in either case.  false: it is none, ret is untouched. */
bool addr_mac_parse(const char *text, uint8_t ret[6]);

#endif
