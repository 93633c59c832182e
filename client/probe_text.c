/* SPDX-License-Identifier: Apache-2.0 */
/* What the probe says about addresses. */
#include "probe_text.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <ares.h>

#include "link.h"
#include "proxy.h"
#include "resolve.h"

static int
numeric(const struct sockaddr *sa, socklen_t len, char *host, char *port)
{
	return getnameinfo(sa, len, host, NI_MAXHOST, port, NI_MAXSERV,
	    NI_NUMERICHOST | NI_NUMERICSERV);
}

const char *
probe_addresses(const struct link *l, char *to, size_t n)
{
	const struct url *u = l->proxy != NULL ? &l->proxy->where : l->url;
	const struct ares_addrinfo *all = resolve_answer(l->names);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	size_t at = (size_t)snprintf(to, n, "%s%s is", l->proxy != NULL ?
	    "the proxy " : "", u->host);
	const char *comma = "";

	for (const struct ares_addrinfo_node *a = all == NULL ? NULL :
	    all->nodes; a != NULL; a = a->ai_next) {
		if (numeric(a->ai_addr, a->ai_addrlen, host, port) != 0)
			continue;
		if (at + strlen(host) + sizeof(", ...") + 1 >= n) {
			(void)snprintf(to + at, n - at, ", ...");
			break;
		}
		at += (size_t)snprintf(to + at, n - at, "%s %s", comma, host);
		comma = ",";
	}
	return to;
}

const char *
probe_peer(int fd, char *to, size_t n)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getpeername(fd, (struct sockaddr *)&sa, &len) != 0 ||
	    numeric((struct sockaddr *)&sa, len, host, port) != 0)
		(void)snprintf(to, n, "an address that cannot be told");
	else
		(void)snprintf(to, n, "%s port %s", host, port);
	return to;
}
