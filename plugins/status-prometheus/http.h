/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server of the plugin: libmicrohttpd without threads, driven by the
 * instance's loop.  It serves one text at one path and nothing else, holds few
 * connections, and none for long.
 */
#ifndef STATUS_PROMETHEUS_HTTP_H
#define STATUS_PROMETHEUS_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <cleat/host.h>

struct http;

struct http_opts {
	const char *path;		/* copied */
	unsigned connections;		/* at a time */
	unsigned timeout_s;		/* of an idle or slow one */
	/* Makes the text: malloc()ed, freed by http.  0 or -errno: 503. */
	int (*make)(void *ctx, char **ret, size_t *ret_n);
	void *ctx;
};

/* Whether it is a numeric address and a port. */
bool http_address_valid(const char *address);
/* "127.0.0.1:9976", "[::1]:0": a socket that listens, its address as text in
 * bound[80].  -EINVAL: not numeric address and port; -errno of bind(). */
int http_bind(const char *address, char *bound, int *ret_fd);
/* Takes fd over, also when it fails: -ENOMEM (libmicrohttpd does not say more),
 * or -errno of the loop. */
int http_new(struct cleat_self *, const struct cleat_host *, int fd,
    const struct http_opts *, struct http **ret);
/* Ends every connection, closes fd. */
void http_free(struct http **);

#endif
