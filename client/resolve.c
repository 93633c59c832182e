/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver.  c-ares calls back from ares_*() calls of ours only. */
#include "resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include <ares.h>

#include "base/mem.h"

#define EVENTS 8

struct resolve {
	ares_channel channel;
	bool open;			/* the channel is there */
	int epoll;
	bool done;
	int status;			/* ares's, when done */
	bool local;			/* localhost, asked of the hosts file */
	char port[8];
	struct ares_addrinfo *answer;
};

/* A socket is to be watched, or was closed. */
static void
watch(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolve *s = ctx;
	struct epoll_event e = {
		.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT :
		    0u),
		.data = { .fd = fd }
	};

	if (e.events == 0)
		(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &e) != 0)
		(void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void answered(void *ctx, int status, int timeouts,
    struct ares_addrinfo *answer);

/* c-ares 1.18 asks a server for an address written as one, unless it is told of
 * which family it is. */
static int
family_of(const char *host)
{
	struct in6_addr any;

	if (inet_pton(AF_INET, host, &any) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, host, &any) == 1 ? AF_INET6 : AF_UNSPEC;
}

static void
ask(struct resolve *s, const char *host)
{
	struct ares_addrinfo_hints hints = {
		.ai_family = family_of(host), .ai_socktype = SOCK_STREAM,
		.ai_flags = ARES_AI_NUMERICSERV
	};

	ares_getaddrinfo(s->channel, host, s->port, &hints, answered, s);
}

/* RFC 6761 6.3: never asked of a server, and always there. */
static bool
is_localhost(const char *host)
{
	const char *dot = strrchr(host, '.');

	return strcasecmp(dot == NULL ? host : dot + 1, "localhost") == 0;
}

static void
answered(void *ctx, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct resolve *s = ctx;

	(void)timeouts;
	if (s->local && (status == ARES_ENOTFOUND ||
	    status == ARES_ENODATA || status == ARES_ECONNREFUSED)) {
		s->local = false;	/* the hosts file does not have it */
		ask(s, "127.0.0.1");
		return;
	}
	s->done = true;
	s->status = status;
	s->answer = answer;
}

int
resolve_new(const char *host, const char *port, struct resolve **ret)
{
	static char files[] = "f";
	struct ares_options o = { .sock_state_cb = watch, .lookups = files };
	struct resolve *s = mem_calloc(1, sizeof(*s));
	int r = 0;

	if (s == NULL)
		return -ENOMEM;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		r = -errno;
	o.sock_state_cb_data = s;
	if (r == 0) {
		/* Reads resolv.conf each time: networks change. */
		s->local = is_localhost(host);
		(void)snprintf(s->port, sizeof(s->port), "%s", port);
		r = ares_init_options(&s->channel, &o, ARES_OPT_SOCK_STATE_CB |
		    (s->local ? ARES_OPT_LOOKUPS : 0));
		s->open = r == ARES_SUCCESS;
		r = r == ARES_SUCCESS ? 0 : r == ARES_ENOMEM ? -ENOMEM : -EIO;
	}
	if (r != 0) {
		resolve_free(&s);
		return r;
	}
	ask(s, host);
	*ret = s;
	return 0;
}

void
resolve_free(struct resolve **ps)
{
	struct resolve *s = *ps;

	if (s == NULL)
		return;
	if (s->open)
		ares_destroy(s->channel);
	if (s->answer != NULL)
		ares_freeaddrinfo(s->answer);
	if (s->epoll >= 0)
		(void)close(s->epoll);
	mem_free(s);
	*ps = NULL;
}

int
resolve_fd(const struct resolve *s)
{
	return s->epoll;
}

int
resolve_timeout_ms(const struct resolve *s)
{
	struct timeval tv, *left;

	if (s->done)
		return 0;
	left = ares_timeout(s->channel, NULL, &tv);
	return left == NULL ? -1 : (int)(left->tv_sec * 1000 +
	    left->tv_usec / 1000 + 1);
}

int
resolve_step(struct resolve *s)
{
	struct epoll_event e[EVENTS];
	int n = s->done ? 0 : epoll_wait(s->epoll, e, EVENTS, 0);

	for (int i = 0; i < n && !s->done; i++) {
		bool in = (e[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
		bool out = (e[i].events & EPOLLOUT) != 0;

		ares_process_fd(s->channel, in ? e[i].data.fd :
		    ARES_SOCKET_BAD, out ? e[i].data.fd : ARES_SOCKET_BAD);
	}
	if (!s->done)			/* time-outs */
		ares_process_fd(s->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (!s->done)
		return -EAGAIN;
	return s->status == ARES_SUCCESS && s->answer != NULL &&
	    s->answer->nodes != NULL ? 0 : -EHOSTUNREACH;
}

const char *
resolve_why(const struct resolve *s)
{
	return ares_strerror(s->status == ARES_SUCCESS ? ARES_ENODATA :
	    s->status);
}

const struct ares_addrinfo *
resolve_answer(const struct resolve *s)
{
	return s->answer;
}
