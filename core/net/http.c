/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs libmicrohttpd over socketpairs.  Its callbacks only note what is to be
 * done; nothing of net/conn is called from inside them
 * but conn_http_answered().
 */
#include "net/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/impl.h"
#include "net/routes.h"
#include "net/upgrade.h"

/* A header of 64 KiB grows libmicrohttpd's buffer by 1 KiB a run. */
#define RUNS_MAX 96
#define PENDING_MAX (2 * STAGE_RX_SIZE)

static struct http_hop *
hop_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info == NULL ? NULL : info->socket_context;
}

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

/* Once libmicrohttpd has let go of its duplicate. */
static void
hop_free(struct http_hop *hop)
{
	pair_put(hop->http, &hop->pair);
	buf_free(&hop->pending);
	buf_free(&hop->early);
	upgrade_free(&hop->upgrade);
	mem_free(hop->target);
	mem_free(hop);
}

/* Trap: a unix socket makes libmicrohttpd complain about TCP options, five
 * lines a connection. */
__attribute__((format(printf, 2, 0)))
static void
on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256], quoted[256];

	(void)cls;
	if (log_get_level() < LOG_LVL_DEBUG ||
	    strncmp(fmt, "Setting %s option", 17) == 0 ||
	    strncmp(fmt, "Failed to push the data", 23) == 0)
		return;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("libmicrohttpd: text=%s", log_quote(quoted, sizeof(quoted),
	    text, strlen(text)));
}

static void
on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode code)
{
	struct http *h = cls;
	struct http_hop *hop;

	(void)mhd;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		CT_ASSERT(h->adding != NULL);
		*socket_context = h->adding;
		h->adding->known = true;
		return;
	}
	hop = *socket_context;
	if (hop == NULL)
		return;
	*socket_context = NULL;
	hop->known = false;
	if (hop->conn == NULL)
		hop_free(hop);
}

static void *
on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct http_hop *hop = hop_of(mhd);

	(void)cls;
	if (hop != NULL) {
		mem_free(hop->target);
		hop->target = mem_strdup(hop->empty_target ? "" : target);
		hop->empty_target = false;
		hop->begun = false;
	}
	return NULL;
}

static void
on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
    enum MHD_RequestTerminationCode code)
{
	struct http_hop *hop = hop_of(mhd);

	(void)cls;
	(void)con_cls;
	if (hop == NULL)
		return;
	hop->begun = false;
	if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK && hop->conn != NULL &&
	    !hop->upgraded)
		conn_http_answered(hop->conn);
}

static bool
header_too_large(const struct net_worker *w, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd,
	    MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	return info != NULL &&
	    info->header_size > atomic_load(&w->net->limits.http_header);
}

static enum MHD_Result
answer(struct net_worker *w, struct http_hop *hop, struct MHD_Connection *mhd,
    const char *method, const char *version)
{
	static const struct routes_header bye[] = {
		{ MHD_HTTP_HEADER_CONNECTION, "close" }, { NULL, NULL }
	};
	char *path;
	const char *from;
	enum MHD_Result result;
	size_t n;

	hop->answered = true;
	if (header_too_large(w, mhd)) {
		atomic_fetch_add(&w->net->counters.http_failed, 1);
		return routes_text(mhd,
		    MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
		    "request header too large\n", bye);
	}
	if (upgrade_wanted(mhd))
		return upgrade_answer(hop, mhd, method, version);
	from = target_path(hop->target, &n);
	path = mem_alloc(n + 1);
	if (path == NULL)
		return MHD_NO;
	memcpy(path, from, n);
	path[n] = '\0';
	result = routes_answer(w, mhd, method, path);
	mem_free(path);
	return result;
}

/*
 * Called first when the header is read; an answer queued then would end the
 * connection after it, which is what a request with a body gets (none of ours
 * has one), so others are answered in the second call.
 */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *body, size_t *body_n,
    void **con_cls)
{
	struct http *h = cls;
	struct http_hop *hop = hop_of(mhd);

	(void)url;		/* decoded; hop->target is as sent */
	(void)body;
	(void)con_cls;
	if (hop == NULL || hop->conn == NULL || hop->target == NULL)
		return MHD_NO;
	*body_n = 0;
	if (!hop->begun) {
		hop->begun = true;
		atomic_fetch_add(&h->worker->net->counters.http_requests, 1);
		if ((strcmp(method, "GET") == 0 ||
		    strcmp(method, "HEAD") == 0) && !request_has_body(mhd))
			return MHD_YES;
	}
	return answer(h->worker, hop, mhd, method, version);
}

/* Runs until it has nothing more to do at once. */
static void
run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;
	enum MHD_Result has = MHD_NO;
	unsigned n = 0;

	do {
		if (MHD_run(h->daemon) != MHD_YES)
			log_error("libmicrohttpd does not run any more");
		has = MHD_get_timeout(h->daemon, &wait);
	} while (has == MHD_YES && wait == 0 && ++n < RUNS_MAX);
	if (has != MHD_YES)
		loop_timer_stop(h->worker->loop, &h->timer);
	else if (wait == 0)
		loop_defer(h->worker->loop, &h->again);
	else
		loop_timer_set(h->worker->loop, &h->timer, wait);
}

static void
on_readable(struct watch *w, uint32_t events)
{
	(void)events;
	run(CT_CONTAINER(w, struct http, watch));
}

static void
on_timer(struct timer *t)
{
	run(CT_CONTAINER(t, struct http, timer));
}

static void
on_again(struct defer *d)
{
	run(CT_CONTAINER(d, struct http, again));
}

int
http_init(struct http *h, struct net_worker *w, size_t pool)
{
	const union MHD_DaemonInfo *info;
	int error;

	h->worker = w;
	h->watch = (struct watch){ .fn = on_readable, .fd = -1 };
	h->again = (struct defer){ .fn = on_again };
	timer_init(&h->timer, on_timer);
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL |
	    MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG,
	    0, NULL, NULL, on_request, h,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
	    MHD_OPTION_CONNECTION_LIMIT, 1u << 30,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool,
	    MHD_OPTION_CONNECTION_TIMEOUT, 0u,
	    MHD_OPTION_END);
	if (h->daemon == NULL)
		return errno == EMFILE ? -EMFILE : -ENOMEM;
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	CT_ASSERT(info != NULL);
	while (h->kept_n < HTTP_PAIRS_KEPT &&
	    pair_make(&h->kept[h->kept_n]) == 0)
		h->kept_n++;
	h->watch.fd = info->epoll_fd;
	error = loop_add(w->loop, &h->watch, EPOLLIN);
	if (error != 0) {
		h->watch.fd = -1;
		http_fini(h);
	}
	return error;
}

void
http_fini(struct http *h)
{
	if (h->daemon == NULL)
		return;
	if (h->watch.fd >= 0)
		loop_del(h->worker->loop, &h->watch);
	loop_timer_stop(h->worker->loop, &h->timer);
	loop_defer_cancel(h->worker->loop, &h->again);
	MHD_stop_daemon(h->daemon);
	h->daemon = NULL;
	while (h->kept_n > 0)
		pair_close(&h->kept[--h->kept_n]);
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
	taken = MHD_add_connection(h->daemon, fd,
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
	loop_defer(hop->http->worker->loop, &hop->http->again);
	buf_free(&hop->pending);
	buf_free(&hop->early);
	if (!hop->known)
		hop_free(hop);
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
		run(hop->http);
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
		run(hop->http);
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
