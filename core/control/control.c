/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread: connections, libmicrohttpd.  One timer a connection
 * holds all that a peer may take long for: to send a request whole
 * (also the next one of a connection that is kept), and to take an answer;
 * streams have a look at themselves.  Requests that wait for somebody else have
 * no timer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* accept4, struct ucred */
#endif
#include "control/control.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/control_priv.h"
#include "control/exchange.h"
#include "control/roles.h"
#include "control/stream.h"

#define ACCEPT_QUOTA 16
#define PAUSE_MS 200			/* after running out of descriptors */
#define POOL (64 * 1024)		/* of a connection: header,
					 * read buffer */

/* ---- connections ------------------------------------------------------- */

static void
client_free(struct client *cl)
{
	struct control *c = cl->control;

	if (cl->watched)
		loop_del(c->worker.loop, &cl->watch);
	loop_timer_stop(c->worker.loop, &cl->timer);
	list_remove(&cl->link);
	atomic_fetch_sub(&c->counters.connections, 1);
	mem_free(cl);
}

static void
on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode code)
{
	struct control *c = cls;

	(void)mhd;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		CT_ASSERT(c->adding != NULL);
		*socket_context = c->adding;
		c->adding = NULL;
	} else if (*socket_context != NULL) {
		client_free(*socket_context);
		*socket_context = NULL;
	}
}

/* Only while its request waits: otherwise libmicrohttpd sees it. */
static void
on_hang_up(struct watch *w, uint32_t events)
{
	struct client *cl = CT_CONTAINER(w, struct client, watch);

	(void)events;
	client_unwatch(cl);
	if (cl->x != NULL)
		exchange_hung_up(cl->x);
}

void
client_watch(struct client *cl)
{
	/* No events: EPOLLHUP comes always.  Without it a hang-up is seen when
	 * the wait is over. */
	if (!cl->watched)
		cl->watched = loop_add(cl->control->worker.loop, &cl->watch,
		    0) == 0;
}

void
client_unwatch(struct client *cl)
{
	if (cl->watched)
		loop_del(cl->control->worker.loop, &cl->watch);
	cl->watched = false;
}

/* What is sent past libmicrohttpd goes to somebody who has no answer yet and
 * will get no other. */
static void
send_raw(int fd, enum problem p, const char *detail)
{
	char text[PROBLEM_RAW_MAX];
	size_t n = problem_raw(p, detail, text);

	/* If it does not fit into an empty socket nobody reads it. */
	(void)send(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
on_client_timer(struct timer *t)
{
	struct client *cl = CT_CONTAINER(t, struct client, timer);
	struct control *c = cl->control;

	atomic_fetch_add(&c->counters.timeouts, 1);
	if (cl->x == NULL ? !cl->asked : !cl->x->received)
		send_raw(cl->watch.fd, PROBLEM_TIMEOUT,
		    "the request was not complete in time");
	(void)shutdown(cl->watch.fd, SHUT_RDWR);	/* MHD sees the end */
	mhd_kick(&c->mhd);
}

void
client_deadline(struct client *cl, bool on)
{
	struct control *c = cl->control;

	if (on)
		loop_timer_set(c->worker.loop, &cl->timer,
		    c->rules.timeout_ms);
	else
		loop_timer_stop(c->worker.loop, &cl->timer);
}

/* A quarter of the connections is for operators. */
static bool
full(const struct control *c, enum control_role role)
{
	uint64_t now = atomic_load(&c->counters.connections);
	uint32_t most = c->rules.connections;

	return now >= (role == CONTROL_OPERATOR ? most : most - most / 4);
}

static void
adopt(struct control *c, int fd)
{
	static const struct sockaddr_un nobody = { .sun_family = AF_UNIX };
	struct client *cl;
	enum control_role role;
	uint32_t uid = 0;

	role = roles_of_peer(&c->rules, fd, &uid);
	cl = full(c, role) ? NULL : mem_calloc(1, sizeof(*cl));
	if (cl == NULL) {
		atomic_fetch_add(&c->counters.connections_refused, 1);
		send_raw(fd, PROBLEM_BUSY, "too many connections");
		(void)close(fd);
		return;
	}
	cl->control = c;
	cl->uid = uid;
	cl->role = role;
	cl->watch = (struct watch){ .fn = on_hang_up, .fd = fd };
	timer_init(&cl->timer, on_client_timer);
	list_append(&c->clients, &cl->link);
	atomic_fetch_add(&c->counters.connections, 1);
	c->adding = cl;
	if (MHD_add_connection(c->mhd.daemon, fd,
	    (const struct sockaddr *)&nobody,
	    sizeof(nobody.sun_family)) != MHD_YES) {	/* fd is closed */
		if (c->adding != NULL)
			client_free(cl);
		c->adding = NULL;
		return;
	}
	client_deadline(cl, true);
}

static void
on_acceptable(struct watch *w, uint32_t events)
{
	struct control *c = CT_CONTAINER(w, struct control, listening);
	int fd;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_QUOTA; i++) {
		fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			adopt(c, fd);
			continue;
		}
		if (errno != EMFILE && errno != ENFILE && errno != ENOMEM)
			break;
		log_warning("control: cannot accept, waiting: %s",
		    strerror(errno));
		loop_del(c->worker.loop, w);
		c->paused = true;
		loop_timer_set(c->worker.loop, &c->pause, PAUSE_MS);
		break;
	}
	mhd_kick(&c->mhd);
}

static void
on_pause_over(struct timer *t)
{
	struct control *c = CT_CONTAINER(t, struct control, pause);

	c->paused = false;
	if (!c->stopping && loop_add(c->worker.loop, &c->listening,
	    EPOLLIN) != 0) {
		c->paused = true;
		loop_timer_set(c->worker.loop, t, PAUSE_MS);
	}
}

static int
start_mhd(struct control *c)
{
	const struct mhd_opts opts = {
		.flags = MHD_ALLOW_SUSPEND_RESUME, .pool = POOL,
		.log_as = "libmicrohttpd: control", .cls = c,
		.on_request = exchange_on_request,
		.on_connection = on_connection,
		.on_completed = exchange_on_completed,
		.on_target = exchange_on_target
	};

	return mhd_init(&c->mhd, c->worker.loop, &opts);
}

/* ---- life -------------------------------------------------------------- */

int
control_new(const struct control_deps *deps, const struct control_rules *rules,
    char *why, struct control **ret)
{
	struct control *c = mem_calloc(1, sizeof(*c));
	int r;

	if (c == NULL) {
		(void)snprintf(why, CONTROL_WHY_SIZE, "out of memory");
		return -ENOMEM;
	}
	c->magic = CONTROL_MAGIC;
	c->deps = *deps;
	c->rules = *rules;
	c->started_ms = clock_wall_ms();
	c->started_mono = clock_mono_ms();
	c->listening = (struct watch){ .fn = on_acceptable, .fd = -1 };
	timer_init(&c->pause, on_pause_over);
	list_init(&c->clients);
	list_init(&c->exchanges);
	sse_init(c);
	c->path = mem_strdup(deps->path);
	r = c->path == NULL ? -ENOMEM : worker_init(&c->worker, "control");
	if (r == 0)
		r = start_mhd(c);
	if (r == 0)
		r = control_open_socket(c);
	if (r != 0) {
		(void)snprintf(why, CONTROL_WHY_SIZE, "control socket "
		    "\"%.200s\": %s", deps->path, r == -EADDRINUSE ?
		    "another daemon listens on it" : strerror(-r));
		control_stop(c);
		control_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

int
control_start(struct control *c)
{
	return worker_start(&c->worker);
}

static void
refuse(void *arg)
{
	struct control *c = arg;

	c->stopping = true;
	loop_timer_stop(c->worker.loop, &c->pause);
	if (c->listening.fd >= 0 && !c->paused)
		loop_del(c->worker.loop, &c->listening);
	c->paused = true;
}

void
control_refuse(struct control *c)
{
	if (c != NULL && c->worker.loop != NULL)
		worker_call(&c->worker, refuse, c);
}

static void
hold(void *arg)
{
	struct control *c = arg;

	c->held = true;
}

static void
unhold(void *arg)
{
	struct control *c = arg;

	c->held = false;
}

void
control_hold(struct control *c, bool on)
{
	worker_call(&c->worker, on ? hold : unhold, c);
}

/* Streams and who waits are told; jobs and errands come back by themselves. */
static void
wind_up(void *arg)
{
	struct control *c = arg;

	refuse(c);
	sse_stop(c);
	if (c->out == 0 && c->idle != NULL)
		(void)sem_post(c->idle);
	else
		c->idle_wanted = true;
}

void
control_is_idle(struct control *c)
{
	if (c->out == 0 && c->idle_wanted) {
		c->idle_wanted = false;
		(void)sem_post(c->idle);
	}
}

/* After the thread: what is answered is sent as far as it goes at once. */
static void
end_mhd(struct control *c)
{
	struct client *cl;
	struct list *it;

	LIST_FOREACH(it, &c->clients) {
		cl = CT_CONTAINER(it, struct client, link);
		if (cl->x != NULL && cl->x->suspended)
			exchange_problem(cl->x, PROBLEM_STOPPING, NULL,
			    "the daemon is stopping");
	}
	mhd_run(&c->mhd);
	mhd_fini(&c->mhd);
}

void
control_stop(struct control *c)
{
	sem_t idle;

	if (c == NULL || c->worker.loop == NULL)
		return;
	if (c->worker.started) {
		CT_ASSERT(sem_init(&idle, 0, 0) == 0);
		c->idle = &idle;
		worker_call(&c->worker, wind_up, c);
		while (sem_wait(&idle) < 0)
			CT_ASSERT(errno == EINTR);
		worker_stop(&c->worker);
		c->idle = NULL;
		(void)sem_destroy(&idle);
	} else {
		refuse(c);
	}
	if (c->mhd.daemon != NULL)
		end_mhd(c);
	sse_fini(c);
	control_close_socket(c);
}

void
control_free(struct control **pc)
{
	struct control *c = *pc;

	*pc = NULL;
	if (c == NULL)
		return;
	CT_CHECK_MAGIC(c, CONTROL_MAGIC);
	sse_drop_notes(c);
	if (c->worker.loop != NULL)
		worker_fini(&c->worker);
	sse_drop_notes(c);
	(void)pthread_mutex_destroy(&c->lock);
	mem_free(c->path);
	mem_free(c);
}

struct setting {
	struct control *c;
	const struct control_rules *rules;
};

/* Who waits for what he may not see any more, as streams do, is let go. */
static void
judge_again(struct client *cl)
{
	const struct exchange *x = cl->x;

	cl->role = roles_of_peer(&cl->control->rules, cl->watch.fd, &cl->uid);
	if (x != NULL && x->route != NULL && cl->role < x->route->role)
		(void)shutdown(cl->watch.fd, SHUT_RDWR);
}

static void
set_rules(void *arg)
{
	struct setting *s = arg;
	struct control *c = s->c;
	struct list *it;

	c->rules = *s->rules;
	LIST_FOREACH(it, &c->clients)
		judge_again(CT_CONTAINER(it, struct client, link));
	mhd_kick(&c->mhd);
}

void
control_set_rules(struct control *c, const struct control_rules *rules)
{
	struct setting s = { .c = c, .rules = rules };

	worker_call(&c->worker, set_rules, &s);
}

const struct control_counters *
control_counters(const struct control *c)
{
	return &c->counters;
}
