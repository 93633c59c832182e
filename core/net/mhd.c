/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a libmicrohttpd daemon when its epoll descriptor, its timer or its owner
 * says so. */
#include "config.h"		/* MHD_USE_NO_THREAD_SAFETY */

#include "net/mhd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/log.h"

/* A header of 64 KiB grows libmicrohttpd's buffer by 1 KiB a run. */
#define RUNS_MAX 96

/* Trap: a unix socket makes libmicrohttpd complain about TCP options, five
 * lines a connection. */
__attribute__((format(printf, 2, 0)))
static void
on_log(void *cls, const char *fmt, va_list ap)
{
	const struct mhd *m = cls;
	char text[256], quoted[256];

	if (log_get_level() < LOG_LVL_DEBUG ||
	    strncmp(fmt, "Setting %s option", 17) == 0 ||
	    strncmp(fmt, "Failed to push the data", 23) == 0)
		return;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("%s text=%s", m->log_as, log_quote(quoted, sizeof(quoted),
	    text, strlen(text)));
}

void
mhd_run(struct mhd *m)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;
	enum MHD_Result has = MHD_NO;
	unsigned n = 0;

	do {
		if (MHD_run(m->daemon) != MHD_YES)
			log_error("libmicrohttpd does not run any more");
		has = MHD_get_timeout(m->daemon, &wait);
	} while (has == MHD_YES && wait == 0 && ++n < RUNS_MAX);
	if (has != MHD_YES)
		loop_timer_stop(m->loop, &m->timer);
	else if (wait == 0)
		mhd_kick(m);
	else
		loop_timer_set(m->loop, &m->timer, wait);
}

void
mhd_kick(struct mhd *m)
{
	loop_defer(m->loop, &m->again);
}

static void
on_readable(struct watch *w, uint32_t events)
{
	(void)events;
	mhd_run(CT_CONTAINER(w, struct mhd, watch));
}

static void
on_timer(struct timer *t)
{
	mhd_run(CT_CONTAINER(t, struct mhd, timer));
}

static void
on_again(struct defer *d)
{
	mhd_run(CT_CONTAINER(d, struct mhd, again));
}

int
mhd_init(struct mhd *m, struct loop *loop, const struct mhd_opts *o)
{
	const union MHD_DaemonInfo *info;
	int error;

	*m = (struct mhd){
		.loop = loop, .log_as = o->log_as,
		.watch = { .fn = on_readable, .fd = -1 },
		.again = { .fn = on_again }
	};
	timer_init(&m->timer, on_timer);
	m->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_THREAD_SAFETY |
	    MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG | o->flags,
	    0, NULL, NULL, o->on_request, o->cls,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, m,
	    MHD_OPTION_NOTIFY_CONNECTION, o->on_connection, o->cls,
	    MHD_OPTION_NOTIFY_COMPLETED, o->on_completed, o->cls,
	    MHD_OPTION_URI_LOG_CALLBACK, o->on_target, o->cls,
	    MHD_OPTION_CONNECTION_LIMIT, 1u << 30,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, o->pool,
	    MHD_OPTION_CONNECTION_TIMEOUT, 0u,
	    MHD_OPTION_END);
	if (m->daemon == NULL)
		return errno == EMFILE ? -EMFILE : -ENOMEM;
	info = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	CT_ASSERT(info != NULL);
	m->watch.fd = info->epoll_fd;
	error = loop_add(loop, &m->watch, EPOLLIN);
	if (error != 0) {
		m->watch.fd = -1;
		mhd_fini(m);
	}
	return error;
}

void
mhd_fini(struct mhd *m)
{
	if (m->daemon == NULL)
		return;
	if (m->watch.fd >= 0)
		loop_del(m->loop, &m->watch);
	loop_timer_stop(m->loop, &m->timer);
	MHD_stop_daemon(m->daemon);
	m->daemon = NULL;
	loop_defer_cancel(m->loop, &m->again);	/* callbacks may have kicked */
}
