/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection's way through the HTTP hop: the socketpair, what goes into it
 * and what comes out.  libmicrohttpd is at the other end (http.c).
 */
#include "net/http_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/net_priv.h"
#include "net/upgrade.h"

#define PENDING_MAX (2 * STAGE_RX_SIZE)

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);	/* nothing can be done about it */
	*fd = -1;
}

static void
pair_close(struct http_pair *p)
{
	close_fd(&p->ours);
	close_fd(&p->other);
}

static bool
has_nothing(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static int
pair_make(struct http_pair *ret)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    fd) != 0)
		return -errno;
	*ret = (struct http_pair){ .ours = fd[0], .other = fd[1] };
	return 0;
}

static int
pair_get(struct http *h, struct http_pair *ret)
{
	if (h->kept_n == 0)
		return pair_make(ret);
	*ret = h->kept[--h->kept_n];
	return 0;
}

/*
 * Making and closing a pair is most of what the hop costs the kernel.  One that
 * brought an upgrade through is kept when both ends prove to be empty and open:
 * no byte of one connection may ever reach another.  Others are replaced, so
 * that an idle worker always has the same descriptors.
 */
static void
pair_put(struct http *h, struct http_pair *p)
{
	if (h->kept_n == HTTP_PAIRS_KEPT) {
		pair_close(p);
	} else if (p->other >= 0 && has_nothing(p->ours) &&
	    has_nothing(p->other)) {
		h->kept[h->kept_n++] = *p;
	} else {
		pair_close(p);
		if (pair_make(p) == 0)	/* else when one is needed */
			h->kept[h->kept_n++] = *p;
	}
}

void
http_pairs_make(struct http *h)
{
	while (h->kept_n < HTTP_PAIRS_KEPT &&
	    pair_make(&h->kept[h->kept_n]) == 0)
		h->kept_n++;
}

void
http_pairs_close(struct http *h)
{
	while (h->kept_n > 0)
		pair_close(&h->kept[--h->kept_n]);
}

void
http_hop_free(struct http_hop *hop)
{
	pair_put(hop->http, &hop->pair);
	buf_free(&hop->pending);
	buf_free(&hop->early);
	upgrade_free(&hop->upgrade);
	mem_free(hop->target);
	mem_free(hop);
}

static socklen_t
peer_len(const struct sockaddr_storage *peer)
{
	switch (peer->ss_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return sizeof(peer->ss_family);
	}
}

static void
on_pair(struct watch *w, uint32_t events)
{
	struct http_hop *hop = CT_CONTAINER(w, struct http_hop, watch);

	(void)events;
	conn_http_event(hop->conn);
}

int
http_hop_new(struct http *h, struct conn *c, struct http_hop **ret)
{
	struct http_hop *hop = mem_calloc(1, sizeof(*hop));
	enum MHD_Result taken;
	int fd = -1, error;

	if (hop == NULL)
		return -ENOMEM;
	error = pair_get(h, &hop->pair);
	if (error == 0) {
		fd = fcntl(hop->pair.other, F_DUPFD_CLOEXEC, 0);
		error = fd < 0 ? -errno : 0;
		if (error != 0)
			pair_close(&hop->pair);
	}
	if (error != 0) {
		mem_free(hop);
		return error;
	}
	hop->watch = (struct watch){ .fn = on_pair, .fd = hop->pair.ours };
	hop->http = h;
	hop->conn = c;
	h->adding = hop;
	taken = MHD_add_connection(h->mhd.daemon, fd,
	    (const struct sockaddr *)&c->peer, peer_len(&c->peer));
	h->adding = NULL;
	if (taken != MHD_YES) {		/* it has closed its end itself */
		http_hop_drop(&hop);
		return -EAGAIN;
	}
	*ret = hop;
	return 0;
}

void
http_hop_drop(struct http_hop **phop)
{
	struct http_hop *hop = *phop;

	*phop = NULL;
	if (hop == NULL)
		return;
	if (hop->watched)
		loop_del(hop->http->worker->loop, &hop->watch);
	/* An upgrade is over for libmicrohttpd; other ends it must see. */
	if (!hop->upgraded || hop->lost || hop->pending != NULL)
		pair_close(&hop->pair);
	hop->watch.fd = -1;
	hop->conn = NULL;
	/* It lets its end go in a run; the next one might be far away. */
	mhd_kick(&hop->http->mhd);
	buf_free(&hop->pending);
	buf_free(&hop->early);
	if (!hop->known)
		http_hop_free(hop);
}

/* Into the pair, or behind what did not go into it. */
static int
push(struct http_hop *hop, const void *p, size_t n)
{
	ssize_t sent = 0;

	if (n == 0)
		return 0;
	if (hop->pending == NULL) {
		sent = send(hop->watch.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0) {
			/* libmicrohttpd has ended: http_take() will say so. */
			if (errno != EAGAIN)
				return 0;
			sent = 0;
		}
	}
	if ((size_t)sent == n)
		return 0;
	return buf_append(&hop->pending, (const uint8_t *)p + sent,
	    n - (size_t)sent, PENDING_MAX);
}

/* Holds back the first bytes while they may be HTTP_EMPTY_TARGET. */
static int
push_first(struct http_hop *hop, const uint8_t *p, size_t n, size_t *ret_used)
{
	static const char pattern[] = HTTP_EMPTY_TARGET;
	static const char instead[] = "GET / HTTP/1.";
	size_t used = 0;

	while (used < n && hop->first_n < sizeof(pattern) - 1 &&
	    p[used] == (uint8_t)pattern[hop->first_n]) {
		used++;
		hop->first_n++;
	}
	*ret_used = used;
	if (hop->first_n == sizeof(pattern) - 1) {
		hop->decided = hop->empty_target = true;
		return push(hop, instead, sizeof(instead) - 1);
	}
	if (used == n)
		return 0;
	hop->decided = true;
	if (used == hop->first_n) {	/* nothing was held back */
		*ret_used = 0;
		return 0;
	}
	return push(hop, pattern, hop->first_n);
}

int
http_feed(struct http_hop *hop, const uint8_t *p, size_t n)
{
	size_t used = 0;
	int error = 0;

	if (!hop->decided)
		error = push_first(hop, p, n, &used);
	if (error == 0)
		error = push(hop, p + used, n - used);
	if (error == 0)
		mhd_run(&hop->http->mhd);
	/* Only its closing of the last one makes an end of ours. */
	if (!hop->upgraded)
		close_fd(&hop->pair.other);
	return error;
}

bool
http_hop_full(const struct http_hop *hop)
{
	return hop->pending != NULL;
}

int
http_retry(struct http_hop *hop)
{
	struct buf *again = hop->pending;
	int error;

	/* After an upgrade the rest belongs to the channel. */
	if (again == NULL || hop->upgraded)
		return 0;
	hop->pending = NULL;
	error = push(hop, buf_data(again), buf_len(again));
	buf_free(&again);
	if (error == 0)
		mhd_run(&hop->http->mhd);
	return error;
}

ssize_t
http_take(struct http_hop *hop, struct outbuf *to)
{
	ssize_t n;

	do
		n = recv(hop->watch.fd, to->p + to->n, outbuf_room(to),
		    MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		to->n += (size_t)n;
	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : -EPIPE;
	return n;
}

int
http_hop_watch(struct http_hop *hop)
{
	struct loop *loop = hop->http->worker->loop;
	uint32_t events = EPOLLIN | (hop->pending != NULL ? EPOLLOUT : 0);
	int error;

	if (hop->watched && hop->events == events)
		return 0;
	error = hop->watched ? loop_mod(loop, &hop->watch, events) :
	    loop_add(loop, &hop->watch, events);
	if (error == 0) {
		hop->watched = true;
		hop->events = events;
	}
	return error;
}
