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

/* Addresses before the one that is connected; l->next stands behind it. */
static unsigned
count_before(const struct link *l)
{
	const struct ares_addrinfo *all = resolve_answer(l->names);
	unsigned n = 0;

	for (const struct ares_addrinfo_node *a = all == NULL ? NULL :
	    all->nodes; a != NULL && a->ai_next != l->next; a = a->ai_next)
		n++;
	return n;
}

const char *
probe_peer(const struct link *l, char *to, size_t n)
{
	unsigned before = count_before(l);
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getpeername(l->fd, (struct sockaddr *)&sa, &len) != 0 ||
	    numeric((struct sockaddr *)&sa, len, host, port) != 0)
		(void)snprintf(to, n, "an address that cannot be told");
	else if (before == 0)
		(void)snprintf(to, n, "%s port %s", host, port);
	else
		(void)snprintf(to, n, "%s port %s, in vain to %u address%s "
		    "before it", host, port, before, before == 1 ? "" : "es");
	return to;
}
