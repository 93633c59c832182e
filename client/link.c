/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to reach the server, address by address. */
#include "link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ares.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proxy.h"
#include "resolve.h"
#include "tls/client.h"

/* Whom TCP goes to. */
static const struct url *
target(const struct link *l)
{
	return l->proxy != NULL ? &l->proxy->where : l->url;
}

static int
failed(struct link *l, int err, const char *what)
{
	(void)snprintf(l->why, sizeof(l->why), "%s%s %s port %s: %s",
	    what, l->proxy != NULL ? " the proxy" : "", target(l)->host,
	    target(l)->port, strerror(-err));
	return err;
}

static void
drop_socket(struct link *l)
{
	tls_client_free(&l->tls);
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
	if (l->head != NULL)
		mem_free_wiped(l->head, PROXY_HEAD_MAX + 1);
	l->head = NULL;
	l->head_n = l->sent_n = 0;
}

/* How long an address is waited for, with these behind it. */
static uint64_t
turn_of(const struct ares_addrinfo_node *left, uint64_t until_ms, uint64_t now)
{
	uint64_t n = 1, ms = until_ms > now ? until_ms - now : 0;

	for (; left != NULL; left = left->ai_next)
		n++;
	return ms / n < LINK_ADDRESS_MS ? ms / n : LINK_ADDRESS_MS;
}

/* All of them are to be tried, from now on. */
static void
rewind_addresses(struct link *l)
{
	l->next = resolve_answer(l->names)->nodes;
	l->until_ms = clock_mono_ms() + LINK_CONNECT_MS;
}

/* Starts with the next address; 0: under way. */
static int
try_next(struct link *l, int last_error)
{
	const struct ares_addrinfo_node *a;
	uint64_t now = clock_mono_ms();
	int one = 1;

	l->step = LINK_CONNECT;
	while ((a = l->next) != NULL) {
		l->next = a->ai_next;
		drop_socket(l);
		l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK |
		    SOCK_CLOEXEC, 0);
		if (l->fd >= 0) {
			(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one,
			    sizeof(one));
			l->next_ms = now + turn_of(l->next, l->until_ms, now);
			if (connect(l->fd, a->ai_addr, a->ai_addrlen) == 0 ||
			    errno == EINPROGRESS)
				return 0;
		}
		last_error = -errno;
	}
	drop_socket(l);
	return failed(l, last_error, "cannot connect to");
}

int
link_open(struct link *l, const struct url *url, struct proxy *proxy,
    struct tls_client_policy *policy)
{
	int r;

	link_close(l);
	*l = (struct link){ .url = url, .proxy = proxy, .policy = policy,
		.fd = -1 };
	r = resolve_new(target(l)->host, target(l)->port, &l->names);
	return r == 0 ? 0 : failed(l, r, "cannot resolve");
}

static int
finish_resolve(struct link *l)
{
	int r = resolve_step(l->names);

	if (r == -EAGAIN)
		return r;
	if (r != 0) {
		(void)snprintf(l->why, sizeof(l->why), "cannot resolve%s %s: "
		    "%s", l->proxy != NULL ? " the proxy" : "",
		    target(l)->host, resolve_why(l->names));
		return r;
	}
	rewind_addresses(l);
	return try_next(l, -EHOSTUNREACH);
}

static bool
may_wait(const struct link *l)
{
	return l->next == NULL || clock_mono_ms() < l->next_ms;
}

/* Whether TCP is up; on failure, and when one that answers nothing has had its
 * turn, the next address is tried. */
static int
finish_connect(struct link *l)
{
	struct pollfd p = { .fd = l->fd, .events = POLLOUT };
	socklen_t n = sizeof(int);
	int e = 0;

	if (poll(&p, 1, 0) <= 0)
		return may_wait(l) ? -EAGAIN : try_next(l, -ETIMEDOUT);
	if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0)
		e = errno;
	if (e != 0)
		return try_next(l, -e);
	l->step = l->proxy != NULL ? LINK_ASK_PROXY :
	    l->policy != NULL ? LINK_TLS : LINK_UP;
	return 0;
}

/* ---- the proxy ---------------------------------------------------------- */

static int
ask_proxy(struct link *l)
{
	ssize_t k;
	int n;

	if (l->head == NULL) {
		l->head = mem_alloc(PROXY_HEAD_MAX + 1);
		if (l->head == NULL)
			return failed(l, -ENOMEM, "cannot ask");
		n = proxy_request(l->proxy, l->url, l->head);
		if (n < 0)
			return failed(l, n, "cannot ask");
		l->head_n = (size_t)n;
	}
	k = send(l->fd, l->head + l->sent_n, l->head_n - l->sent_n,
	    MSG_NOSIGNAL);
	if (k < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN :
		    failed(l, -errno, "connection to");
	l->sent_n += (size_t)k;
	if (l->sent_n < l->head_n)
		return -EAGAIN;
	mem_wipe(l->head, l->head_n);
	l->head_n = 0;
	l->step = LINK_HEAR_PROXY;
	return 0;
}

/* Byte by byte at the end, so that nothing of the server's is taken:
 * it does not speak before we do in TLS, but may without. */
static int
hear_proxy(struct link *l)
{
	char why[PROXY_WHY_SIZE];
	ssize_t k;
	int r;

	do {
		if (l->head_n == PROXY_HEAD_MAX)
			return failed(l, -EMSGSIZE, "answer of");
		k = recv(l->fd, l->head + l->head_n, 1, 0);
		if (k < 0)
			return errno == EAGAIN || errno == EINTR ? -EAGAIN :
			    failed(l, -errno, "connection to");
		if (k == 0)
			return failed(l, -ECONNRESET, "connection to");
		l->head[++l->head_n] = '\0';
	} while (l->head_n < 4 ||
	    memcmp(l->head + l->head_n - 4, "\r\n\r\n", 4) != 0);
	r = proxy_answer(l->proxy, l->head, why);
	if (r == -EAGAIN) {
		/* Another connection: this one may be closed behind the 407. */
		rewind_addresses(l);
		return try_next(l, -ECONNREFUSED);
	}
	if (r != 0) {
		(void)snprintf(l->why, sizeof(l->why), "%s", why);
		return r;
	}
	mem_free_wiped(l->head, PROXY_HEAD_MAX + 1);
	l->head = NULL;
	l->step = l->policy != NULL ? LINK_TLS : LINK_UP;
	return 0;
}

/* ---- TLS ---------------------------------------------------------------- */

static int
tls_failed(struct link *l, int err, const char *what)
{
	(void)snprintf(l->why, sizeof(l->why), "%s %s port %s: %s", what,
	    l->url->host, l->url->port, tls_client_reason(l->tls));
	return err;
}

static int
shake_hands(struct link *l)
{
	struct tls_client_io io;
	int r = 0;

	if (l->tls == NULL) {
		io = tls_client_io_fd(l->fd);
		r = tls_client_new(l->policy, l->url->host, &io, &l->tls);
		if (r != 0)
			return failed(l, r, "TLS with");
		if (l->review != NULL)
			tls_client_review(l->tls, l->review, l->go_on);
	}
	r = tls_client_handshake(l->tls);
	if (r == 0)
		l->step = LINK_UP;
	else if (r != -EAGAIN)
		return tls_failed(l, r, "TLS with");
	return r;
}

int
link_step(struct link *l)
{
	switch (l->step) {
	case LINK_RESOLVE: return finish_resolve(l);
	case LINK_CONNECT: return finish_connect(l);
	case LINK_ASK_PROXY: return ask_proxy(l);
	case LINK_HEAR_PROXY: return hear_proxy(l);
	case LINK_TLS: return shake_hands(l);
	case LINK_UP: break;
	}
	return 0;
}

int
link_go_on(struct link *l)
{
	int r = 0;

	while (r == 0 && l->step != LINK_UP)
		r = link_step(l);
	return r;
}

int
link_fd(const struct link *l)
{
	if (l->step == LINK_RESOLVE && l->names != NULL)
		return resolve_fd(l->names);
	return l->fd;
}

int
link_timeout_ms(const struct link *l)
{
	uint64_t now = clock_mono_ms();

	if (l->step == LINK_RESOLVE && l->names != NULL)
		return resolve_timeout_ms(l->names);
	if (l->step != LINK_CONNECT || l->next == NULL)
		return -1;
	return l->next_ms > now ? (int)(l->next_ms - now) : 0;
}

short
link_poll_events(const struct link *l, bool has_output)
{
	if (l->step == LINK_CONNECT || l->step == LINK_ASK_PROXY)
		return POLLOUT;
	if (l->tls != NULL && tls_client_wants_write(l->tls))
		return l->step == LINK_UP ? POLLIN | POLLOUT : POLLOUT;
	return l->step == LINK_UP && has_output ? POLLIN | POLLOUT : POLLIN;
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
	if (l->tls != NULL && l->step == LINK_UP)
		(void)tls_client_close(l->tls);	/* best effort */
	drop_socket(l);
	l->next = NULL;
	resolve_free(&l->names);
	l->step = LINK_RESOLVE;
}
