/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs libmicrohttpd over the connections' socketpairs (http_hop.c).  Its
 * callbacks only note what is to be done; nothing of net/conn is called from
 * inside them but conn_http_answered().
 */
#include "config.h"		/* MHD_USE_NO_THREAD_SAFETY */

#include "net/http_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include <microhttpd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/net_priv.h"
#include "net/routes.h"
#include "net/upgrade.h"

/* A header of 64 KiB grows libmicrohttpd's buffer by 1 KiB a run. */
#define RUNS_MAX 96

static struct http_hop *
hop_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info == NULL ? NULL : info->socket_context;
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
		http_hop_free(hop);
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

void
http_run(struct http *h)
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
	http_run(CT_CONTAINER(w, struct http, watch));
}

static void
on_timer(struct timer *t)
{
	http_run(CT_CONTAINER(t, struct http, timer));
}

static void
on_again(struct defer *d)
{
	http_run(CT_CONTAINER(d, struct http, again));
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
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_THREAD_SAFETY |
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
	http_pairs_make(h);
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
	http_pairs_close(h);
}
