/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The former process of an upgrade (decision 0015).  Until the next one is
 * ready this waits in the loop; then it moves the channels in one go, and the
 * daemon's ordinary end does the rest.  Whatever fails before the first GO
 * leaves everything as it was.
 */
#include "config.h"

#include "daemon/upgrade.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/recovery.h"
#include "channel/handover.h"
#include "daemon/daemon_priv.h"
#include "daemon/sys.h"
#include "daemon/upgrade_spawn.h"
#include "daemon/upgrade_start.h"
#include "daemon/version.h"

#define READY_MS 60000			/* to load and open everything */
#define ANSWER_MS 10000			/* of one message */
#define FINISH_MS 120000		/* to read the store and serve */
#define CONNECTING_MS 2000		/* for what has not become a channel */
#define BUSY_MS 5000			/* for a channel that cannot go
					 * just now */
#define LAST_WORDS_MS 500		/* for closing frames */
#define NAP_MS 5

/* The main thread waits here, so its watchdog's timer does not run. */
static void
alive(struct daemon *d)
{
	uint64_t now = clock_mono_ms();

	if (d->watchdog_ms == 0 || now - d->upgrade.alive_ms < 1000)
		return;
	d->upgrade.alive_ms = now;
	sys_notify("WATCHDOG=1");
}

static void
nap(struct daemon *d)
{
	const struct timespec t = { .tv_nsec = NAP_MS * 1000000L };

	alive(d);
	(void)nanosleep(&t, NULL);
}

/* ---- what came of it --------------------------------------------------- */

static void
told(struct upgrade *u, enum control_upgrade_state state, const char *why)
{
	(void)pthread_mutex_lock(&u->lock);
	u->told.state = state;
	u->told.at_ms = clock_wall_ms();
	(void)snprintf(u->told.why, sizeof(u->told.why), "%s", why);
	(void)pthread_mutex_unlock(&u->lock);
}

void
upgrade_tell(struct upgrade *u, struct control_upgrade *ret)
{
	(void)pthread_mutex_lock(&u->lock);
	*ret = u->told;
	(void)pthread_mutex_unlock(&u->lock);
}

void
upgrade_init(struct upgrade *u, int former)
{
	*u = (struct upgrade){
		.socket.fd = -1, .next = -1, .former = former,
		.former_process = -1
	};
	(void)pthread_mutex_init(&u->lock, NULL);
	if (upgrade_own_binary(u->binary, sizeof(u->binary)) != 0)
		u->binary[0] = '\0';
}

/* The process that was started has forked and ended, or will not be needed. */
static void
reap(struct upgrade *u)
{
	if (u->started != 0) {
		upgrade_kill_child(u->started);
		(void)waitpid(u->started, NULL, 0);
	}
	u->started = 0;
}

static void
hang_up(struct daemon *d)
{
	struct upgrade *u = &d->upgrade;

	if (u->socket.fd < 0)
		return;
	loop_del(d->loop, &u->socket);
	loop_timer_stop(d->loop, &u->deadline);
	(void)close(u->socket.fd);
	u->socket.fd = -1;
}

void
upgrade_fini(struct upgrade *u)
{
	upgrade_start_free(&u->start);
	if (u->former >= 0)
		(void)close(u->former);
	if (u->former_process >= 0)
		(void)close(u->former_process);
	if (u->next >= 0)
		(void)close(u->next);
	(void)pthread_mutex_destroy(&u->lock);
}

/* It goes on here, as if nothing had been asked. */
static void give_up(struct daemon *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
give_up(struct daemon *d, const char *fmt, ...)
{
	struct upgrade *u = &d->upgrade;
	char why[UPGRADE_WHY_SIZE];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_error("no upgrade: %s", why);
	(void)upgrade_send(u->socket.fd, UPGRADE_REFUSED, why, strlen(why),
	    NULL, 0);
	/* One that hangs must not come to life later with what we serve. */
	if (u->next >= 0)
		upgrade_kill(u->next);
	reap(u);
	hang_up(d);
	if (u->next >= 0)
		(void)close(u->next);
	u->next = -1;
	told(u, CONTROL_UPGRADE_REFUSED, why);
}

void
upgrade_abort(struct daemon *d, const char *why)
{
	if (d->upgrade.socket.fd >= 0)
		give_up(d, "%s", why);
}

/* ---- every worker ------------------------------------------------------ */

struct errand {
	struct daemon_worker *w;
	struct handover_batch *batch;
	const uint8_t *refused;
	bool on;
	uint64_t last_id;
	size_t n;
	int error;
};

static void
hold_on(void *arg)
{
	struct errand *e = arg;

	handover_hold(e->w->channels, e->on);
}

void
upgrade_hold(struct daemon *d, bool on)
{
	struct errand e = { .on = on };

	for (unsigned i = 0; i < d->workers_n; i++) {
		e.w = &d->workers[i];
		worker_call(&e.w->worker, hold_on, &e);
	}
}

static void
last_id_on(void *arg)
{
	struct errand *e = arg;

	e->last_id = handover_last_id(e->w->channels);
}

static uint64_t
last_id(struct daemon *d)
{
	struct errand e = { .error = 0 };
	uint64_t last = 0;

	for (unsigned i = 0; i < d->workers_n; i++) {
		e.w = &d->workers[i];
		worker_call(&e.w->worker, last_id_on, &e);
		if (e.last_id > last)
			last = e.last_id;
	}
	return last;
}

static void
close_on(void *arg)
{
	struct errand *e = arg;

	channel_worker_close_all(e->w->channels, 1012,
	    "the server is being upgraded");
}

static void
take_on(void *arg)
{
	struct errand *e = arg;

	e->error = handover_take(e->w->channels, HANDOVER_MAX, &e->batch);
	if (e->batch == NULL)
		e->n = handover_left(e->w->channels);
}

static void
go_on(void *arg)
{
	struct errand *e = arg;

	e->n = handover_go(&e->batch, e->refused);
}

static void
back_on(void *arg)
{
	struct errand *e = arg;

	handover_back(&e->batch);
}

/* ---- the channels ------------------------------------------------------ */

static int
expect(struct upgrade *u, enum upgrade_type type, struct upgrade_message *m)
{
	int r = upgrade_recv(u->socket.fd, m);

	if (r != 0)
		return r;
	if (m->type == type)
		return 0;
	if (m->type == UPGRADE_REFUSED)
		log_error("the next process refuses: %.*s", (int)m->n,
		    (const char *)m->p);
	upgrade_message_fini(m);
	return -EPROTO;
}

/* Sends a batch and hears which of it were taken; *m is the caller's. */
static int
offer(struct upgrade *u, const struct handover_batch *b,
    struct upgrade_message *m)
{
	unsigned count = handover_count(b);
	size_t n;
	const uint8_t *p = handover_bytes(b, &n);
	int r = upgrade_send(u->socket.fd, UPGRADE_BATCH, p, n,
	    handover_fds(b), count);

	if (r == 0)
		r = expect(u, UPGRADE_TAKEN, m);
	if (r == 0 && m->n != count) {
		upgrade_message_fini(m);
		r = -EPROTO;
	}
	return r;
}

/* As a whole, before anything is over there: it cannot take what we have. */
static bool
takes_none(const struct upgrade *u, const struct upgrade_message *m)
{
	size_t n = 0;

	while (n < m->n && m->p[n] != 0)
		n++;
	return !u->committed && n == m->n;
}

/* The commit point is the GO: from there on they are over there. */
static int
pass_batch(struct daemon *d, struct errand *e)
{
	struct upgrade *u = &d->upgrade;
	unsigned count = handover_count(e->batch);
	struct upgrade_message m;
	int r = offer(u, e->batch, &m);

	if (r == 0) {
		r = takes_none(u, &m) ? -EPROTO : upgrade_send(u->socket.fd,
		    UPGRADE_GO, NULL, 0, NULL, 0);
		if (r == 0) {
			u->committed = true;
			e->refused = m.p;
			worker_call(&e->w->worker, go_on, e);
			u->refused += e->n;
			u->moved += count - e->n;
		}
		upgrade_message_fini(&m);
	}
	if (r != 0)
		worker_call(&e->w->worker, back_on, e);
	return r;
}

/* All that can go just now; *ret_left of it may a little later. */
static int
pass_worker(struct daemon *d, struct daemon_worker *w, size_t *ret_left)
{
	const struct upgrade *u = &d->upgrade;
	struct errand e = { .w = w };
	bool more;
	int r;

	do {
		alive(d);
		e.batch = NULL;
		worker_call(&w->worker, take_on, &e);
		/* Short memory ends it only while there is a way back. */
		r = u->committed && e.error == -ENOMEM ? 0 : e.error;
		more = r == 0 && e.batch != NULL;
		if (more)
			r = pass_batch(d, &e);
	} while (more && r == 0);
	*ret_left = e.n;
	return r;
}

/* Round by round, so that nobody's delay is at the cost of another worker's. */
static int
pass_all(struct daemon *d)
{
	uint64_t until = clock_mono_ms() + BUSY_MS;
	size_t left, n;
	int r = 0;

	for (;;) {
		left = 0;
		for (unsigned i = 0; r == 0 && i < d->workers_n; i++) {
			r = pass_worker(d, &d->workers[i], &n);
			left += n;
		}
		if (r != 0 || left == 0 || clock_mono_ms() >= until)
			return r;
		nap(d);
	}
}

static void
wait_for_connections(struct daemon *d)
{
	uint64_t until = clock_mono_ms() + CONNECTING_MS;

	while (atomic_load(&net_counters(d->net)->handshakes_now) > 0 &&
	    clock_mono_ms() < until)
		nap(d);
}

/* What is left is told to come back. */
static void
close_rest(struct daemon *d)
{
	uint64_t until = clock_mono_ms() + LAST_WORDS_MS;
	struct errand e = { .error = 0 };
	size_t left = daemon_workers_channels(d);

	if (left > 0)
		log_warning("channels that could not go are closed count=%zu",
		    left);
	for (unsigned i = 0; left > 0 && i < d->workers_n; i++) {
		e.w = &d->workers[i];
		worker_call(&e.w->worker, close_on, &e);
	}
	while (daemon_workers_channels(d) > 0 && clock_mono_ms() < until)
		nap(d);
}

static void
stay(struct daemon *d, int error)
{
	struct upgrade *u = &d->upgrade;
	bool committed = u->committed;
	size_t lost;

	/* First the end of the next one: nothing may be served twice. */
	give_up(d, "the next process did not take the channels: %s",
	    strerror(-error));
	lost = committed ? endpoint_table_lose_passed(d->endpoints) : 0;
	if (committed)
		log_error("channels went with the next process count=%zu "
		    "endpoints=%zu", u->moved, lost);
	upgrade_hold(d, false);
	daemon_control_hold(d, false);
	daemon_workers_accept(d, true);
}

static void
move(struct daemon *d)
{
	struct upgrade *u = &d->upgrade;
	struct event_bus_stats bus;
	int r;

	log_notice("channels move to the next process pid=%ld",
	    (long)u->next_pid);
	loop_timer_stop(d->loop, &u->deadline);
	alive(d);
	told(u, CONTROL_UPGRADE_MOVING, "");
	daemon_control_hold(d, true);
	daemon_workers_accept(d, false);
	wait_for_connections(d);
	upgrade_hold(d, true);
	r = pass_all(d);
	if (r == 0 && upgrade_ended(u->next, 0))
		r = -EPIPE;
	if (r != 0) {
		stay(d, r);
		return;
	}
	d->stopping = true;		/* nothing becomes a channel any more */
	close_rest(d);
	net_lend(d->net, true);
	control_lend(atomic_load(&d->control), true);
	event_bus_stats(d->bus, &bus);
	u->subscribers = bus.subscribers;
	u->passed = true;
	loop_stop(d->loop);
}

/* ---- until it is ready ------------------------------------------------- */

static int
send_start(struct daemon *d)
{
	struct upgrade_start *s = mem_calloc(1, sizeof(*s));
	size_t n = net_listeners(d->net);
	int r = -E2BIG;

	if (s == NULL)
		return -ENOMEM;
	s->pid = (uint32_t)getpid();
	s->epoch = d->epoch;
	(void)snprintf(s->version, sizeof(s->version), "%s", daemon_version());
	s->certificates = credentials_missing(d->credentials) == NULL;
	s->last_id = last_id(d);
	s->channels = (uint32_t)daemon_workers_channels(d);
	s->lock = d->lock_fd;
	s->control = control_fd(atomic_load(&d->control));
	daemon_control_path(d, s->control_path, sizeof(s->control_path));
	if (n <= UPGRADE_LISTENERS_MAX) {
		for (unsigned i = 0; i < n; i++) {
			(void)snprintf(s->listener[i].name,
			    sizeof(s->listener[i].name), "%s",
			    net_listener_opts(d->net, i)->name);
			s->listener[i].fd = net_listener_fd(d->net, i);
		}
		s->listeners_n = (unsigned)n;
		r = upgrade_send_start(d->upgrade.socket.fd, s);
	}
	mem_free(s);			/* its descriptors are ours */
	return r;
}

/* What the other side would misread is refused before it is sent. */
static void
on_hello(struct daemon *d, const struct upgrade_message *m)
{
	struct upgrade *u = &d->upgrade;
	struct upgrade_hello h;
	int r = upgrade_read_hello(m, &h);

	if (r != 0) {
		give_up(d, "what was started is no cleatd that can take over");
		return;
	}
	reap(u);
	u->next_pid = (pid_t)h.pid;
	u->next = upgrade_pidfd(u->next_pid);
	if (u->next < 0)
		give_up(d, "the next process is gone");
	else if (h.layout != handover_layout() || h.schema != store_schema())
		give_up(d, "cleatd %s cannot take channels over from %s; "
		    "restart instead", h.version, daemon_version());
	else if ((r = send_start(d)) != 0)
		give_up(d, "the next process cannot be told what is in "
		    "force: %s", strerror(-r));
}

static void
on_message(struct daemon *d, const struct upgrade_message *m)
{
	struct upgrade *u = &d->upgrade;

	if (m->type == UPGRADE_HELLO && u->next < 0)
		on_hello(d, m);
	else if (m->type == UPGRADE_READY && u->next >= 0)
		move(d);
	else if (m->type == UPGRADE_REFUSED)
		give_up(d, "the next process refuses: %.*s", (int)m->n,
		    (const char *)m->p);
	else
		give_up(d, "the next process talks nonsense");
}

static void
on_socket(struct watch *w, uint32_t events)
{
	struct daemon *d = CT_CONTAINER(w, struct daemon, upgrade.socket);
	struct upgrade_message m;
	int r = upgrade_recv(w->fd, &m);

	(void)events;
	if (r == 0) {
		on_message(d, &m);
		upgrade_message_fini(&m);
	} else if (r == -EPIPE || r == -ECONNRESET) {
		give_up(d, "the next process ended before it was ready; what "
		    "it logged says why");
	} else {
		give_up(d, "the next process cannot be heard: %s",
		    strerror(-r));
	}
}

static void
on_deadline(struct timer *t)
{
	struct daemon *d = CT_CONTAINER(t, struct daemon, upgrade.deadline);

	give_up(d, "the next process was not ready within %d s",
	    READY_MS / 1000);
}

/* ---- begin and end ----------------------------------------------------- */

static int
refused_now(struct daemon *d, char *why)
{
	struct recovery_figures f;
	struct store_stats store;

	recovery_figures(d->endpoints, &f);
	store_stats(d->store, &store);
	if (store.failing)
		(void)snprintf(why, UPGRADE_WHY_SIZE, "the store cannot "
		    "write, so the next process could not start");
	else if (atomic_load(&net_counters(d->net)->waiting) > 0)
		(void)snprintf(why, UPGRADE_WHY_SIZE,
		    "connections wait to be served");
	else if (f.active)
		(void)snprintf(why, UPGRADE_WHY_SIZE, "devices are still "
		    "waited for after the start, for %llu ms at most",
		    (unsigned long long)f.remaining_ms);
	else if (d->drain.active)
		(void)snprintf(why, UPGRADE_WHY_SIZE,
		    "a drain is under way");
	else
		return 0;
	return -EAGAIN;
}

int
upgrade_begin(struct daemon *d, const char *binary, char *why)
{
	struct upgrade *u = &d->upgrade;
	int r = refused_now(d, why);

	if (r == 0)
		r = upgrade_spawn(binary[0] == '\0' ? u->binary : binary,
		    d->conf_path, why, &u->started, &u->socket.fd);
	if (r != 0)
		return r;
	u->committed = u->passed = false;
	u->moved = u->refused = 0;
	u->socket.fn = on_socket;
	timer_init(&u->deadline, on_deadline);
	r = upgrade_timeouts(u->socket.fd, ANSWER_MS);
	if (r == 0)
		r = loop_add(d->loop, &u->socket, EPOLLIN);
	if (r != 0) {
		(void)snprintf(why, UPGRADE_WHY_SIZE, "%s", strerror(-r));
		reap(u);
		(void)close(u->socket.fd);
		u->socket.fd = -1;
		return r;
	}
	loop_timer_set(d->loop, &u->deadline, READY_MS);
	log_notice("upgrade: the next process was started");
	told(u, CONTROL_UPGRADE_STARTING, "");
	return 0;
}

/* DONE, or why it does not come. */
static int
wait_for_done(struct daemon *d)
{
	struct upgrade *u = &d->upgrade;
	struct pollfd p = { .fd = u->socket.fd, .events = POLLIN };
	uint64_t until = clock_mono_ms() + FINISH_MS;
	struct upgrade_message m;
	int r;

	do {
		alive(d);
		if (clock_mono_ms() >= until)
			return -ETIMEDOUT;
	} while (poll(&p, 1, 500) <= 0);
	r = expect(u, UPGRADE_DONE, &m);
	if (r == 0)
		upgrade_message_fini(&m);
	return r;
}

/* What was meant for the daemon is meant for the next process now. */
static void
pass_signals(struct daemon *d)
{
	struct signalfd_siginfo si;

	while (read(d->signals.fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		upgrade_pass_signal(d->upgrade.next, (int)si.ssi_signo);
}

int
upgrade_finish(struct daemon *d)
{
	struct upgrade *u = &d->upgrade;
	int r;

	alive(d);
	r = upgrade_send(u->socket.fd, UPGRADE_FINISH, &u->subscribers,
	    sizeof(u->subscribers), NULL, 0);
	if (r == 0)
		r = wait_for_done(d);
	if (r == 0) {
		sys_notify_main(u->next_pid);
		pass_signals(d);
		log_notice("upgraded pid=%ld channels=%zu refused=%zu",
		    (long)u->next_pid, u->moved, u->refused);
	} else {
		log_error("the next process does not serve: %s",
		    strerror(-r));
		upgrade_kill(u->next);
	}
	hang_up(d);
	return r;
}
