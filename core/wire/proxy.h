/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol, versions 1 and 2, receiving side (HAProxy's
 * doc/proxy-protocol.txt sections 2.1 and 2.2): reads the header that a trusted
 * proxy puts before everything else.  Whether the peer is trusted is decided
 * elsewhere; nothing in the header gives identity.  Thread: any.
 */
#ifndef CT_PROXY_H
#define CT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROXY_V1_MAX 107		/* with CR LF */
#define PROXY_V2_MAX 4096		/* our own cap, for all of it */

struct proxy_header {
	size_t used;			/* bytes before the stream's own */
	unsigned version;		/* 1 or 2 */
	bool local;			/* the proxy speaks for itself */
	/* The addresses below are set; else (LOCAL, UNKNOWN, UNSPEC) the
	 * connection's own are to be used. */
	bool known;
	struct sockaddr_storage source;	/* AF_INET, AF_INET6 or AF_UNIX */
	struct sockaddr_storage destination;
};

/*
 * Looks for a whole header at the start of p[0..n); nothing is remembered
 * between calls, so call again with more.  0; -EAGAIN: more is needed (fewer
 * than PROXY_V2_MAX bytes in all); -EPROTO: not a valid header, *ret_why is
 * static text for the log (set only then).  An error is found at the first byte
 * that shows it.  A CRC32C TLV is verified, other TLVs only measured.
 */
int proxy_parse(const uint8_t *p, size_t n, struct proxy_header *ret,
    const char **ret_why);

#endif
