/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to reach the server, address by address. */
#include "link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/client.h"

static int
failed(struct link *l, int err, const char *what)
{
	(void)snprintf(l->why, sizeof(l->why), "%s %s port %s: %s",
	    what, l->url->host, l->url->port, strerror(-err));
	return err;
}

static void
drop_socket(struct link *l)
{
	tls_client_free(&l->tls);
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
	l->tcp = l->up = false;
}

/* Starts with the next address; -EAGAIN: under way. */
static int
try_next(struct link *l, int last_error)
{
	const struct addrinfo *a;
	int one = 1;

	while ((a = l->next) != NULL) {
		l->next = a->ai_next;
		drop_socket(l);
		l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, 0);
		if (l->fd >= 0) {
			(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one,
			    sizeof(one));
			if (connect(l->fd, a->ai_addr, a->ai_addrlen) == 0 ||
			    errno == EINPROGRESS)
				return -EAGAIN;
		}
		last_error = -errno;
	}
	drop_socket(l);
	return failed(l, last_error, "cannot connect to");
}

int
link_open(struct link *l, const struct url *url,
    struct tls_client_policy *policy)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG
	};
	int e, r;

	link_close(l);
	*l = (struct link){ .url = url, .policy = policy, .fd = -1 };
	e = getaddrinfo(url->host, url->port, &hints, &l->addresses);
	if (e != 0) {
		(void)snprintf(l->why, sizeof(l->why), "cannot resolve %s: %s",
		    url->host, gai_strerror(e));
		l->addresses = NULL;
		return -EHOSTUNREACH;
	}
	l->next = l->addresses;
	r = try_next(l, -EHOSTUNREACH);
	return r == -EAGAIN ? 0 : r;
}

/* Whether TCP is up; on failure the next address is tried. */
static int
finish_connect(struct link *l)
{
	struct pollfd p = { .fd = l->fd, .events = POLLOUT };
	socklen_t n = sizeof(int);
	int e = 0;

	if (poll(&p, 1, 0) <= 0)
		return -EAGAIN;
	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0)
		e = errno;
	if (e != 0)
		return try_next(l, -e);
	l->tcp = true;
	return 0;
}

static int
tls_failed(struct link *l, int err, const char *what)
{
	(void)snprintf(l->why, sizeof(l->why), "%s %s port %s: %s", what,
	    l->url->host, l->url->port, tls_client_reason(l->tls));
	return err;
}

int
link_step(struct link *l)
{
	struct tls_client_io io;
	int r = 0;

	if (!l->tcp)
		r = finish_connect(l);
	if (r != 0)
		return r;
	if (l->policy == NULL) {
		l->up = true;
		return 0;
	}
	if (l->tls == NULL) {
		io = tls_client_io_fd(l->fd);
		r = tls_client_new(l->policy, l->url->host, &io, &l->tls);
		if (r != 0)
			return failed(l, r, "TLS with");
	}
	r = tls_client_handshake(l->tls);
	if (r == 0)
		l->up = true;
	else if (r != -EAGAIN)
		return tls_failed(l, r, "TLS with");
	return r;
}

short
link_poll_events(const struct link *l, bool has_output)
{
	if (!l->tcp)
		return POLLOUT;
	if (l->tls != NULL && tls_client_wants_write(l->tls))
		return l->up ? POLLIN | POLLOUT : POLLOUT;
	return l->up && has_output ? POLLIN | POLLOUT : POLLIN;
}

ssize_t
link_read(struct link *l, void *p, size_t n)
{
	ssize_t r;

	if (l->tls == NULL) {
		r = recv(l->fd, p, n, 0);
		if (r < 0)
			r = errno == EINTR ? -EAGAIN : -errno;
	} else {
		r = tls_client_read(l->tls, p, n);
		if (r < 0 && r != -EAGAIN)
			return tls_failed(l, (int)r, "connection to");
	}
	return r == 0 ? -EPIPE : r;
}

ssize_t
link_write(struct link *l, const void *p, size_t n)
{
	ssize_t r;

	if (l->tls != NULL) {
		r = tls_client_write(l->tls, p, n);
		return r < 0 && r != -EAGAIN ?
		    tls_failed(l, (int)r, "connection to") : r;
	}
	r = send(l->fd, p, n, MSG_NOSIGNAL);
	return r >= 0 ? r : errno == EINTR ? -EAGAIN : -errno;
}

int
link_flush(struct link *l)
{
	int r;

	if (l->tls == NULL || !tls_client_wants_write(l->tls))
		return 0;
	r = tls_client_flush(l->tls);
	return r == -EAGAIN ? 0 : r;
}

void
link_close(struct link *l)
{
	if (l->tls != NULL && l->up)
		(void)tls_client_close(l->tls);	/* best effort */
	drop_socket(l);
	if (l->addresses != NULL)
		freeaddrinfo(l->addresses);
	l->addresses = l->next = NULL;
}
