/* SPDX-License-Identifier: Apache-2.0 */
/* Server addresses as a person writes them: "wss://host[:port][/path]", a URL
 * with its scheme's port (RFC 6455 3: 443, and 80 for ws), or "host[:port]",
 * where it is the one that cleatd has.  Thread: any. */
#ifndef CT_CLIENT_URL_H
#define CT_CLIENT_URL_H

#include <stdbool.h>

#define URL_DEFAULT_PORT "8443"
#define URL_DEFAULT_PATH "/v1/channel"

struct url {
	char host[256];			/* without brackets */
	char port[6];
	char path[512];
	bool tls;			/* wss; ws:// is false */
};

/* -EINVAL: not such an address. */
int url_parse(const char *text, struct url *ret);
/* host[:port] for the Host header into to[272]; brackets for IPv6. */
void url_host_header(const struct url *, char *to);

#endif
