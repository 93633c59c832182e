/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main thread: signals, what is done every second, the watchdog.  What the
 * daemon is made of is in start.c.
 */
#include "config.h"

#include "daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "tls/snapshot.h"
#include "endpoint/recovery.h"
#include "channel/command.h"
#include "daemon/daemon_priv.h"
#include "daemon/sys.h"
#include "daemon/version.h"

#define STOP_SECONDS 8			/* for channels to close */
#define ROTATE_SECONDS 3600
#define EXPIRY_SECONDS 10
#define BALANCE_SECONDS 5
#define FIRST_SIGN_MS 500		/* of life, after an upgrade */
#define RESTATE_MS 100			/* between slices of the fleet */

int
daemon_load_conf(const char *path, char *why, struct conf **ret)
{
	struct conf_errors errors = { 0 };
	int r = conf_load(path, &errors, ret);

	for (unsigned i = 0; i < errors.n; i++)
		log_error("%s", errors.line[i]);
	if (errors.more > 0)
		log_error("%s: %u more errors", path, errors.more);
	if (r != 0 && errors.n == 0)
		log_error("%s: %s", path, strerror(-r));
	if (r != 0)
		(void)snprintf(why, DAEMON_WHY_SIZE, "the configuration has "
		    "errors: %s", errors.n == 0 ? strerror(-r) :
		    errors.line[0]);
	conf_errors_fini(&errors);
	return r;
}

void
daemon_emit(struct daemon *d, enum event_type type, const char *text)
{
	struct event ev = { .type = type, .text = text };

	event_emit(d->bus, &ev);
	event_kick(d->bus);
}

/* ---- running ----------------------------------------------------------- */

static void
begin_stop(struct daemon *d)
{
	if (d->stopping) {		/* asked twice: at once */
		loop_stop(d->loop);
		return;
	}
	d->stopping = true;
	atomic_store(&d->ready, false);
	upgrade_abort(d, "the daemon is stopping");
	sys_notify("STOPPING=1");
	log_notice("stopping");
	daemon_emit(d, EVENT_DAEMON_STOPPING, NULL);
	daemon_workers_accept(d, false);
	daemon_workers_close_channels(d);
	loop_timer_set(d->loop, &d->second, 50);
}

/* Who signals a whole control group at the end of an upgrade, as systemd does,
 * means both processes: what the former passes on and what comes to us are one
 * stop, whichever is first. */
static void
asked_to_stop(struct daemon *d, bool passed_on)
{
	if (d->stopping && (passed_on || d->stop_passed_on)) {
		d->stop_passed_on = false;
		return;
	}
	d->stop_passed_on = passed_on;
	begin_stop(d);
}

/* Others may queue signals, too: a stop of theirs is one of its own. */
static bool
is_passed_on(const struct daemon *d, const struct signalfd_siginfo *si)
{
	return si->ssi_code == SI_QUEUE && d->upgrade.former_pid != 0 &&
	    si->ssi_pid == (uint32_t)d->upgrade.former_pid;
}

static void
on_signal(struct watch *w, uint32_t events)
{
	struct daemon *d = CT_CONTAINER(w, struct daemon, signals);
	struct signalfd_siginfo si;
	char why[DAEMON_WHY_SIZE];

	(void)events;
	while (read(w->fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGUSR1)
			daemon_log_counters(d);
		else if (si.ssi_signo != SIGHUP)
			asked_to_stop(d, is_passed_on(d, &si));
		else if (d->upgrade.socket.fd >= 0)
			log_warning("no reload: an upgrade is under way");
		else if (!d->stopping)
			(void)daemon_reload(d, why);	/* it said so */
	}
}

static void
on_second(struct timer *t)
{
	struct daemon *d = CT_CONTAINER(t, struct daemon, second);

	if (d->stopping) {
		/* Twenty looks a second: a stop should not take one
		 * for none. */
		if (daemon_workers_channels(d) == 0 ||
		    ++d->stop_seconds > STOP_SECONDS * 20)
			loop_stop(d->loop);
		loop_timer_set(d->loop, t, 50);
		return;
	}
	endpoint_table_sweep(d->endpoints, clock_wall_ms(),
	    (uint32_t)conf_ms(d->conf, "presence", "dead"));
	command_table_sweep(d->commands, clock_wall_ms());
	identity_sweep(d->identity, clock_wall_ms());
	if (atomic_exchange(&d->bus_lost, false)) {
		log_warning("the bus lost events: every endpoint is stated "
		    "again");
		d->restated = (struct endpoint_cursor){ 0 };
		loop_timer_set(d->loop, &d->restate, 0);
	}
	daemon_drain_tick(d);
	if (++d->seconds % ROTATE_SECONDS == 0)
		daemon_drain_tickets(d);
	daemon_give_back(d);
	if (d->seconds % EXPIRY_SECONDS == 1)
		credentials_expiry(d->credentials);
	if (d->seconds % (conf_ms(d->conf, "tls", "watch") / 1000) == 0)
		credentials_look(d->credentials);
	if (d->seconds % BALANCE_SECONDS == 0)
		daemon_balance(d);
	loop_timer_set(d->loop, t, 1000);
}

/* In slices, lest the ring overflow once more. */
static void
on_restate(struct timer *t)
{
	struct daemon *d = CT_CONTAINER(t, struct daemon, restate);
	size_t slice = (size_t)conf_uint(d->conf, "bus", "ring") / 4;

	if (endpoint_table_restate(d->endpoints, &d->restated, slice))
		loop_timer_set(d->loop, t, RESTATE_MS);
}

static void
on_recovery(struct timer *t)
{
	struct daemon *d = CT_CONTAINER(t, struct daemon, recovery);
	size_t slice = (size_t)conf_uint(d->conf, "bus", "ring") / 4;
	uint32_t next = recovery_tick(d->endpoints, slice);

	if (next > 0)
		loop_timer_set(d->loop, t, next);
}

/* Subscribers and plugins learn who is known, in slices; who was there before
 * is waited for. */
static void
recover(struct daemon *d)
{
	uint64_t window = conf_ms(d->conf, "presence", "recovery");

	if (window == 0)
		window = 3 * conf_ms(d->conf, "presence", "retry_max");
	recovery_begin(d->endpoints, (uint32_t)window);
	if (!d->followed)		/* they know */
		loop_timer_set(d->loop, &d->restate, 0);
	loop_timer_set(d->loop, &d->recovery, 0);
}

/* The workers answer for the main thread's watchdog too: one that hangs is a
 * daemon that hangs. */
static void
on_watchdog(struct timer *t)
{
	struct daemon *d = CT_CONTAINER(t, struct daemon, watchdog);

	(void)daemon_workers_channels(d);
	sys_notify("WATCHDOG=1");
	loop_timer_set(d->loop, t, d->watchdog_ms);
}

static int
open_loop(struct daemon *d)
{
	sigset_t set;
	int r = loop_new(&d->loop);

	if (r != 0)
		return r;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	d->signals.fn = on_signal;
	d->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signals.fd < 0)
		return -errno;
	timer_init(&d->second, on_second);
	timer_init(&d->watchdog, on_watchdog);
	timer_init(&d->restate, on_restate);
	timer_init(&d->recovery, on_recovery);
	r = loop_add(d->loop, &d->signals, EPOLLIN);
	return r != 0 ? r : mailbox_init(&d->mailbox, d->loop);
}

static void
close_loop(struct daemon *d)
{
	if (d->loop == NULL)
		return;
	loop_timer_stop(d->loop, &d->second);
	loop_timer_stop(d->loop, &d->watchdog);
	loop_timer_stop(d->loop, &d->restate);
	loop_timer_stop(d->loop, &d->recovery);
	if (d->signals.fd >= 0) {
		loop_del(d->loop, &d->signals);
		(void)close(d->signals.fd);
	}
	mailbox_fini(&d->mailbox);
	loop_free(&d->loop);
}

/* Before any thread: all of them inherit it.  nng starts its own. */
static void
block_signals(void)
{
	sigset_t set;

	(void)sigfillset(&set);
	(void)sigdelset(&set, SIGSEGV);
	(void)sigdelset(&set, SIGBUS);
	(void)sigdelset(&set, SIGFPE);
	(void)sigdelset(&set, SIGILL);
	(void)sigdelset(&set, SIGABRT);
	(void)pthread_sigmask(SIG_SETMASK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static void
run(struct daemon *d)
{
	atomic_store(&d->ready, true);
	daemon_emit(d, EVENT_DAEMON_READY, NULL);
	log_notice("ready version=%s epoch=%llu workers=%u events=%s",
	    daemon_version(), (unsigned long long)d->epoch, d->workers_n,
	    conf_str(d->conf, "bus", "events"));
	if (!d->followed)		/* whom we followed has said it */
		sys_notify("READY=1");
	loop_timer_set(d->loop, &d->second, 1000);
	recover(d);
	d->watchdog_ms = sys_watchdog_ms();
	/* Nobody knows how old the former's last sign of life is. */
	if (d->watchdog_ms > 0)
		loop_timer_set(d->loop, &d->watchdog, d->followed ?
		    FIRST_SIGN_MS : d->watchdog_ms);
	CT_ASSERT(loop_run(d->loop) == 0);
}

/* Everything up to the loop. */
static int
bring_up(struct daemon *d, char *why)
{
	enum log_level level;
	int r = daemon_load_conf(d->conf_path, why, &d->conf);

	if (r != 0)
		return r;
	sys_core_dumps(conf_bool(d->conf, "daemon", "core_dumps"));
	if (log_level_parse(conf_str(d->conf, "daemon", "log_level"),
	    &level) == 0)
		log_set_level(level);
	if ((r = tls_global_init(why)) != 0 || (r = open_loop(d)) != 0)
		return r;
	r = d->upgrade.former < 0 ? daemon_start(d, why) :
	    daemon_follow(d, why);
	return r == 0 ? daemon_serve(d, why) : r;
}

/* For systemctl status, which after some attempts shows no line of the log. */
static void
tell_manager(const char *why)
{
	char text[DAEMON_WHY_SIZE + 32];

	(void)snprintf(text, sizeof(text), "STATUS=cannot start: %s", why);
	sys_notify(text);
}

int
daemon_run(const char *conf_path, int former)
{
	struct daemon *d = mem_calloc(1, sizeof(*d));
	char why[DAEMON_WHY_SIZE] = "";
	int r;

	if (d == NULL) {
		log_error("cannot start: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	block_signals();
	d->conf_path = conf_path;
	d->lock_fd = d->signals.fd = -1;
	d->files_max = sys_files_max();
	upgrade_init(&d->upgrade, former);
	r = bring_up(d, why);
	if (r == 0) {
		upgrade_done(d);
		run(d);
	} else {
		if (why[0] == '\0')
			(void)snprintf(why, sizeof(why), "%s", strerror(-r));
		log_error("cannot start: %s", why);
		if (former < 0)
			tell_manager(why);
		upgrade_refuse(&d->upgrade, why);
	}
	daemon_take_down(d);
	if (d->upgrade.passed)
		r = upgrade_finish(d);
	close_loop(d);
	upgrade_fini(&d->upgrade);
	conf_unref(&d->conf);
	mem_free(d);
	return r;
}
