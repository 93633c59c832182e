/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The former process of an upgrade (decision 0015).  Until the next one is
 * ready this waits in the loop; then it moves the channels (upgrade_move.c),
 * and the daemon's ordinary end does the rest.
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
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "endpoint/recovery.h"
#include "channel/handover.h"
#include "daemon/daemon_priv.h"
#include "daemon/sys.h"
#include "daemon/upgrade_former.h"
#include "daemon/upgrade_spawn.h"
#include "daemon/upgrade_start.h"
#include "daemon/version.h"

#define READY_MS 60000			/* to load and open everything */
#define ANSWER_MS 10000			/* of one message */
#define FINISH_MS 120000		/* to read the store and serve */

void
upgrade_alive(struct daemon *d)
{
	uint64_t now = clock_mono_ms();

	if (d->watchdog_ms == 0 || now - d->upgrade.alive_ms < 1000)
		return;
	d->upgrade.alive_ms = now;
	sys_notify("WATCHDOG=1");
}

int
upgrade_expect(struct upgrade *u, enum upgrade_type type,
    struct upgrade_message *m)
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

/* ---- what came of it --------------------------------------------------- */

void
upgrade_note(struct upgrade *u, enum control_upgrade_state state,
    const char *why)
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

void
upgrade_give_up(struct daemon *d, const char *fmt, ...)
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
	upgrade_note(u, CONTROL_UPGRADE_REFUSED, why);
}

void
upgrade_abort(struct daemon *d, const char *why)
{
	if (d->upgrade.socket.fd >= 0)
		upgrade_give_up(d, "%s", why);
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
	s->last_id = upgrade_last_id(d);
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
		upgrade_give_up(d, "what was started is no cleatd that can "
		    "take over");
		return;
	}
	reap(u);
	u->next_pid = (pid_t)h.pid;
	u->next = upgrade_pidfd(u->next_pid);
	if (u->next < 0)
		upgrade_give_up(d, "the next process is gone");
	else if (h.layout != handover_layout() || h.schema != store_schema())
		upgrade_give_up(d, "cleatd %s cannot take channels over from "
		    "%s; restart instead", h.version, daemon_version());
	else if ((r = send_start(d)) != 0)
		upgrade_give_up(d, "the next process cannot be told what is in "
		    "force: %s", strerror(-r));
}

static void
on_message(struct daemon *d, const struct upgrade_message *m)
{
	struct upgrade *u = &d->upgrade;

	if (m->type == UPGRADE_HELLO && u->next < 0)
		on_hello(d, m);
	else if (m->type == UPGRADE_READY && u->next >= 0)
		upgrade_move(d);
	else if (m->type == UPGRADE_REFUSED)
		upgrade_give_up(d, "the next process refuses: %.*s", (int)m->n,
		    (const char *)m->p);
	else
		upgrade_give_up(d, "the next process talks nonsense");
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
		upgrade_give_up(d, "the next process ended before it was "
		    "ready; what it logged says why");
	} else {
		upgrade_give_up(d, "the next process cannot be heard: %s",
		    strerror(-r));
	}
}

static void
on_deadline(struct timer *t)
{
	struct daemon *d = CT_CONTAINER(t, struct daemon, upgrade.deadline);

	upgrade_give_up(d, "the next process was not ready within %d s",
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
	upgrade_note(u, CONTROL_UPGRADE_STARTING, "");
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
		upgrade_alive(d);
		if (clock_mono_ms() >= until)
			return -ETIMEDOUT;
	} while (poll(&p, 1, 500) <= 0);
	r = upgrade_expect(u, UPGRADE_DONE, &m);
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

	upgrade_alive(d);
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
