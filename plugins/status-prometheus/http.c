/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd has an epoll descriptor of its own; when that is readable, or
 * its next timeout is over, it gets its turn.  Its callbacks run in that turn.
 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "text.h"

#define REQUEST_MAX (8u * 1024)		/* line and header together */
#define BACKLOG 16
#define BOUND_SIZE 80

struct http {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct http_opts opts;
	char *path;
	struct MHD_Daemon *mhd;
	struct cleat_fd *fd;
	struct cleat_timer *timer;
};

/* ---- the address ------------------------------------------------------- */

/* Splits "host:port"; brackets around an IPv6 address. */
static bool
split(const char *address, char host[64], char port[8])
{
	const char *colon = strrchr(address, ':');
	const char *from = address, *to = colon;

	if (colon == NULL || strlen(colon + 1) >= 8 || colon[1] == '\0' ||
	    colon[1 + strspn(colon + 1, "0123456789")] != '\0' ||
	    strtoul(colon + 1, NULL, 10) > 65535)
		return false;
	if (from[0] == '[') {
		if (to == from + 1 || to[-1] != ']')
			return false;
		from++;
		to--;
	} else if (memchr(from, ':', (size_t)(to - from)) != NULL) {
		return false;
	}
	if (to <= from || to - from >= 64)
		return false;
	memcpy(host, from, (size_t)(to - from));
	host[to - from] = '\0';
	memcpy(port, colon + 1, strlen(colon + 1) + 1);
	return true;
}

static void
tell_bound(int fd, char *bound)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	char host[64], port[8];

	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0 ||
	    getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), port,
	    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		(void)snprintf(bound, BOUND_SIZE, "?");
	else
		(void)snprintf(bound, BOUND_SIZE, a.ss_family == AF_INET6 ?
		    "[%s]:%s" : "%s:%s", host, port);
}

static int
open_socket(const struct addrinfo *ai, int *ret_fd)
{
	int on = 1, r = 0;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int
resolve(const char *address, struct addrinfo **ret)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM
	};
	char host[64], port[8];

	if (!split(address, host, port) ||
	    getaddrinfo(host, port, &hints, ret) != 0)
		return -EINVAL;
	return 0;
}

bool
http_address_valid(const char *address)
{
	struct addrinfo *ai = NULL;

	if (resolve(address, &ai) < 0)
		return false;
	freeaddrinfo(ai);
	return true;
}

int
http_bind(const char *address, char *bound, int *ret_fd)
{
	struct addrinfo *ai = NULL;
	int r = resolve(address, &ai);

	if (r < 0)
		return r;
	r = open_socket(ai, ret_fd);
	freeaddrinfo(ai);
	if (r == 0)
		tell_bound(*ret_fd, bound);
	return r;
}

/* ---- answers ----------------------------------------------------------- */

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *r,
    const char *header, const char *value)
{
	enum MHD_Result result = MHD_NO;

	if (r == NULL)
		return MHD_NO;
	if (MHD_add_response_header(r, header, value) == MHD_YES)
		result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

/* A refusal also ends the connection: a body may follow that nobody reads. */
static enum MHD_Result
refuse(struct MHD_Connection *c, unsigned status, const char *text,
    const char *allow)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text),
	    (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

	if (r != NULL && allow != NULL && MHD_add_response_header(r,
	    MHD_HTTP_HEADER_ALLOW, allow) != MHD_YES) {
		MHD_destroy_response(r);
		return MHD_NO;
	}
	return answer(c, status, r, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result
serve(struct http *h, struct MHD_Connection *c)
{
	struct MHD_Response *r;
	char *text = NULL;
	size_t n = 0;

	if (h->opts.make(h->opts.ctx, &text, &n) < 0)
		return refuse(c, MHD_HTTP_SERVICE_UNAVAILABLE,
		    "no figures just now\n", NULL);
	r = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
	if (r == NULL)
		free(text);
	return answer(c, MHD_HTTP_OK, r, MHD_HTTP_HEADER_CONTENT_TYPE,
	    TEXT_TYPE);
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *upload,
    size_t *upload_n, void **con_cls)
{
	struct http *h = cls;
	static int seen;

	(void)version;
	(void)upload;
	/* The first call is for the header; an answer to GET belongs into the
	 * second, or libmicrohttpd ends the connection after it. */
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n",
		    "GET, HEAD");
	if (strcmp(url, h->path) != 0)
		return refuse(c, MHD_HTTP_NOT_FOUND, "not here\n", NULL);
	if (*con_cls == NULL) {
		*con_cls = &seen;
		return MHD_YES;
	}
	if (*upload_n > 0) {		/* the body of a GET: nobody wants it */
		*upload_n = 0;
		return MHD_YES;
	}
	return serve(h, c);
}

static void __attribute__((format(printf, 2, 0)))
on_log(void *cls, const char *fmt, va_list ap)
{
	struct http *h = cls;
	char text[256];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\r\n")] = '\0';
	h->host->log(h->self, CLEAT_LOG_DEBUG, "libmicrohttpd: %s", text);
}

/* ---- the loop ---------------------------------------------------------- */

static bool
is_full(const struct http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->mhd,
	    MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info->num_connections >= h->opts.connections;
}

/* When it is full libmicrohttpd does not look at new connections.  It begins
 * to at the start of a turn, so the one that made room is not enough. */
static void
turn(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	bool was_full;

	do {
		was_full = is_full(h);
		(void)MHD_run(h->mhd);
	} while (was_full && !is_full(h));
	if (MHD_get_timeout(h->mhd, &ms) == MHD_YES)
		h->host->timer_set(h->timer, ms);
	else
		h->host->timer_stop(h->timer);
}

static void
on_fd(void *arg, unsigned events)
{
	(void)events;
	turn(arg);
}

static void
on_timer(void *arg)
{
	turn(arg);
}

static int
attach(struct http *h)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->mhd,
	    MHD_DAEMON_INFO_EPOLL_FD);
	int r = h->host->timer_new(h->self, on_timer, h, &h->timer);

	if (r == 0)
		r = h->host->fd_new(h->self, info->epoll_fd, CLEAT_FD_READ,
		    on_fd, h, &h->fd);
	return r;
}

int
http_new(struct cleat_self *self, const struct cleat_host *host, int fd,
    const struct http_opts *opts, struct http **ret)
{
	struct http *h = calloc(1, sizeof(*h));
	int r = -ENOMEM;

	if (h == NULL || (h->path = strdup(opts->path)) == NULL) {
		(void)close(fd);
		free(h);
		return r;
	}
	h->self = self;
	h->host = host;
	h->opts = *opts;
	h->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL,
	    NULL, on_request, h,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, h,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, opts->connections,
	    MHD_OPTION_CONNECTION_TIMEOUT, opts->timeout_s,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MAX,
	    MHD_OPTION_END);
	if (h->mhd != NULL)
		r = attach(h);
	if (r < 0) {
		http_free(&h);
		return r;
	}
	*ret = h;
	return 0;
}

void
http_free(struct http **ph)
{
	struct http *h = *ph;

	if (h == NULL)
		return;
	h->host->fd_free(h->fd);
	h->host->timer_free(h->timer);
	if (h->mhd != NULL)
		MHD_stop_daemon(h->mhd);
	free(h->path);
	free(h);
	*ph = NULL;
}
