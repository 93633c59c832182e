/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of server addresses (RFC 6455 section 3, RFC 3986 section 3.2). */
#include "url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
take_scheme(const char **text, struct url *u)
{
	const char *mark = strstr(*text, "://"), *port = "443";

	u->tls = true;
	if (mark == NULL)
		return 0;
	if (mark - *text == 2 && strncmp(*text, "ws", 2) == 0) {
		u->tls = false;
		port = "80";
	} else if (mark - *text != 3 || strncmp(*text, "wss", 3) != 0) {
		return -EINVAL;
	}
	(void)snprintf(u->port, sizeof(u->port), "%s", port);
	*text = mark + 3;
	return 0;
}

static int
copy(char *to, size_t cap, const char *from, size_t n)
{
	if (n == 0 || n >= cap)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)from[i] <= ' ' || from[i] == 0x7f)
			return -EINVAL;
	memcpy(to, from, n);
	to[n] = '\0';
	return 0;
}

static int
take_port(const char *p, size_t n, struct url *u)
{
	unsigned long port;

	if (n > 5 || strspn(p, "0123456789") < n)
		return -EINVAL;
	port = strtoul(p, NULL, 10);
	if (port == 0 || port > 65535)
		return -EINVAL;
	return copy(u->port, sizeof(u->port), p, n);
}

/* "[::1]:8443", "host:8443", "host"; n is where the path begins. */
static int
take_authority(const char *p, size_t n, struct url *u)
{
	const char *end = p + n, *host = p, *host_end, *colon;

	if (n > 0 && *p == '[') {
		host = p + 1;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (host_end == NULL)
			return -EINVAL;
		colon = host_end + 1;
		if (colon < end && *colon != ':')
			return -EINVAL;
	} else {
		host_end = memchr(p, ':', n);
		if (host_end == NULL)
			host_end = end;
		colon = host_end;
	}
	if (strcspn(host, "@?#[]") < (size_t)(host_end - host))
		return -EINVAL;
	if (colon < end && take_port(colon + 1, (size_t)(end - colon - 1),
	    u) != 0)
		return -EINVAL;
	return copy(u->host, sizeof(u->host), host,
	    (size_t)(host_end - host));
}

int
url_parse(const char *text, struct url *ret)
{
	struct url u = { .port = URL_DEFAULT_PORT, .path = URL_DEFAULT_PATH };
	size_t n;

	if (take_scheme(&text, &u) != 0)
		return -EINVAL;
	n = strcspn(text, "/");
	if (take_authority(text, n, &u) != 0)
		return -EINVAL;
	text += n;
	if (text[0] != '\0' && text[1] != '\0') {
		if (strchr(text, '#') != NULL ||
		    copy(u.path, sizeof(u.path), text, strlen(text)) != 0)
			return -EINVAL;
	}
	*ret = u;
	return 0;
}

void
url_host_header(const struct url *u, char *to)
{
	bool v6 = strchr(u->host, ':') != NULL;

	(void)snprintf(to, 272, "%s%s%s:%s", v6 ? "[" : "", u->host,
	    v6 ? "]" : "", u->port);
}
