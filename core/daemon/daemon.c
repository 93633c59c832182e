/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start, run, stop.  The order of building is that of dependence; every step
 * that fails says why in one line, and all before it is taken down again.
 */
#include "config.h"

#include "daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "tls/snapshot.h"
#include "endpoint/auth.h"
#include "endpoint/recovery.h"
#include "channel/command.h"
#include "daemon/daemon_priv.h"
#include "daemon/sys.h"
#include "daemon/upgrade_start.h"
#include "daemon/version.h"

#define STOP_SECONDS 8			/* for channels to close */
#define ROTATE_SECONDS 3600
#define EXPIRY_SECONDS 10
#define BALANCE_SECONDS 5
#define FIRST_SIGN_MS 500		/* of life, after an upgrade */
#define TELL_MAX 1000			/* endpoints at a time */
#define TELL_MS 20
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

/* ---- what flows upwards ------------------------------------------------ */

static int
route(void *ctx, struct net_worker *nw, const struct net_request *req,
    struct net_route *ret, const char **ret_why)
{
	struct daemon *d = ctx;
	struct daemon_worker *w = net_worker_user(nw);
	struct channel_protocol *p;

	/* Nobody would close it any more, and the stop would wait for it. */
	if (atomic_load(&d->stopping)) {
		*ret_why = "the server is stopping";
		return 503;
	}
	p = plugs_route(d->plugs, w->index, req->subprotocols, req->path,
	    req->listener->default_protocol, &ret->subprotocol);
	if (p == NULL) {
		*ret_why = req->subprotocols[0] != NULL ?
		    "no protocol answers to that subprotocol or path" :
		    "no protocol answers to that path";
		return 404;
	}
	ret->protocol = p;
	ret->compression = p->compression;
	return 0;
}

static int
upgraded(void *ctx, struct net_worker *nw, struct net_upgrade *u)
{
	struct daemon_worker *w = net_worker_user(nw);

	(void)ctx;
	return channel_adopt(w->channels, u, u->route.protocol);
}

static bool
ready(void *ctx)
{
	struct daemon *d = ctx;

	return atomic_load(&d->ready) && !atomic_load(&d->draining);
}

static void
tap(void *ctx, uint64_t seq, const struct event *ev, const char *json,
    size_t n)
{
	struct daemon *d = ctx;
	struct plugs *plugs = atomic_load(&d->plugs);
	struct control *control = atomic_load(&d->control);

	if (plugs != NULL)
		plugs_event(plugs, seq, ev, json, n);
	if (control != NULL)
		control_event(control, seq, ev, json, n);
}

/* On the publisher's thread. */
static void
bus_lost(void *ctx)
{
	struct daemon *d = ctx;

	atomic_store(&d->bus_lost, true);
}

/* ---- building ---------------------------------------------------------- */

/* The lock comes with an upgrade. */
static int
take_lock(struct daemon *d, const char *state, char *why)
{
	struct upgrade_start *s = d->upgrade.start;
	int r;

	if (s == NULL)
		return sys_lock(state, why, &d->lock_fd);
	r = sys_lock_adopt(state, s->lock, why);
	if (r == 0) {
		d->lock_fd = s->lock;
		s->lock = -1;
	}
	return r;
}

static int
open_dirs(struct daemon *d, char *why)
{
	const char *state = conf_str(d->conf, "daemon", "state_dir");
	int r = sys_dir(state, 0700, why);

	if (r == 0)
		r = take_lock(d, state, why);
	if (r == 0)
		r = sys_dir(conf_str(d->conf, "daemon", "runtime_dir"), 0750,
		    why);
	if (r == 0)
		r = sys_epoch(state, why, &d->epoch);
	return r;
}

static int
open_bus(struct daemon *d, char *why)
{
	struct event_bus_opts opts;
	int r;

	options_bus(d->conf, &opts);
	opts.epoch = d->epoch;
	opts.version = daemon_version();
	opts.tap = tap;
	opts.tap_ctx = d;
	opts.resync = bus_lost;
	opts.resync_ctx = d;
	opts.closed = d->upgrade.start != NULL;
	r = event_bus_new(&opts, why, &d->bus);
	if (r == 0)
		r = endpoint_table_new(d->bus, &d->endpoints);
	return r;
}

static int
open_plugs(struct daemon *d, char *why)
{
	struct plug_deps deps = {
		.bus = d->bus, .epoch = d->epoch,
		.plugin_dir = conf_str(d->conf, "daemon", "plugin_dir"),
		.state_dir = conf_str(d->conf, "daemon", "state_dir"),
		.workers = d->worker_of, .channels = d->channels_of,
		.workers_n = d->workers_n,
		.hooks = {
			.ctx = d->credentials,
			.cred_put = credentials_put,
			.cred_failed = credentials_failed,
			.challenge_put = credentials_challenge,
			.challenge_remove = credentials_challenge_remove,
			.metrics = daemon_metrics, .metrics_ctx = d
		}
	};
	struct plugs *plugs;
	int r = plugs_new(&deps, d->conf, why, &plugs);

	if (r == 0)
		atomic_store(&d->plugs, plugs);
	return r;
}

/* They have to be the same, as at a reload: channels know theirs by
 * its place. */
static int
pass_listeners(const struct upgrade_start *s, struct net_listener_opts *l,
    size_t n, char *why)
{
	bool same = n == s->listeners_n;

	for (size_t i = 0; same && i < n; i++) {
		same = strcmp(s->listener[i].name, l[i].name) == 0;
		l[i].passed = same;
		l[i].passed_fd = s->listener[i].fd;
	}
	if (same)
		return 0;
	(void)snprintf(why, DAEMON_WHY_SIZE, "the listeners are not those of "
	    "the running daemon: that needs a restart");
	return -EINVAL;
}

static int
open_net(struct daemon *d, char *why)
{
	struct net_hooks hooks = {
		.ctx = d, .route = route, .upgraded = upgraded, .ready = ready
	};
	struct net_listener_opts *listeners = NULL;
	struct net_limits limits;
	size_t n = 0;
	int r = options_net_limits(d->conf, d->files_max, why, &limits);

	if (r == 0)
		r = options_listeners(d->conf, why, &listeners, &n);
	if (r == 0 && d->upgrade.start != NULL)
		r = pass_listeners(d->upgrade.start, listeners, n, why);
	if (r == 0)
		r = net_new(&limits, listeners, n, &hooks, why, &d->net);
	options_listeners_free(&listeners, n);
	return r;
}

static int
open_credentials(struct daemon *d, char *why)
{
	struct credentials_workers w = {
		.worker = d->worker_of, .net = d->net_of,
		.channels = d->channels_of, .counters = &d->channel_counters,
		.n = d->workers_n
	};

	return credentials_new(d->conf, conf_str(d->conf, "daemon",
	    "state_dir"), d->bus, &w, why, &d->credentials);
}

/* Limits and tokens for the workers, before they run. */
static int
open_workers(struct daemon *d, char *why)
{
	struct channel_limits limits;
	struct auth_file *auth = NULL;
	int r;

	options_channel_limits(d->conf, &limits);
	r = auth_file_load(conf_str(d->conf, "auth", "token_file"), why,
	    &auth);
	if (r == 0)
		identity_set_file(d->identity, auth);
	if (r == 0)
		r = daemon_workers_open(d, &limits, why);
	if (r == 0)
		daemon_workers_set(d, &limits);
	auth_file_unref(&auth);
	return r;
}

static void
tell_listening(struct daemon *d)
{
	char text[ADDR_TEXT_SIZE];
	const char *section;

	for (unsigned i = 0;
	    (section = conf_section(d->conf, "listener", i)) != NULL; i++)
		log_notice("listening listener=%s address=%s tls=%s",
		    conf_instance(section),
		    net_listener_address(d->net, i, text),
		    conf_bool(d->conf, section, "tls") ? "yes" : "no");
}

static void
emit(struct daemon *d, enum event_type type, const char *text)
{
	struct event ev = { .type = type, .text = text };

	event_emit(d->bus, &ev);
	event_kick(d->bus);
}

/* All but what reads the store, and what it needs to be reached. */
static int
build(struct daemon *d, char *why)
{
	int r;

	d->workers_n = options_workers(d->conf);
	if ((r = daemon_workers_new(d, why)) != 0 ||
	    (r = open_credentials(d, why)) != 0 ||
	    (r = open_plugs(d, why)) != 0 ||
	    (r = open_net(d, why)) != 0 ||
	    (r = open_workers(d, why)) != 0 ||
	    (r = credentials_open(d->credentials, why)) != 0 ||
	    (r = daemon_workers_start(d, why)) != 0)
		return r;
	return 0;
}

static int
start(struct daemon *d, char *why)
{
	int r;

	if ((r = open_dirs(d, why)) != 0 || (r = open_bus(d, why)) != 0)
		return r;
	emit(d, EVENT_DAEMON_STARTED, daemon_version());
	if ((r = daemon_state_new(d, why)) != 0 ||
	    (r = daemon_state_load(d, why)) != 0 ||
	    (r = daemon_state_start(d, why)) != 0 ||
	    (r = build(d, why)) != 0)
		return r;
	return plugs_start(d->plugs, why);
}

/* Subscribers come back to an upgrade, not to a fleet that went down and up: of
 * who is known only view and tap are told. */
static void
tell_known(void *ctx, void (*know)(void *arg, const struct event *),
    void *arg)
{
	const struct timespec pause = { .tv_nsec = TELL_MS * 1000000L };
	struct endpoint_cursor at = { 0 };
	struct daemon *d = ctx;

	/* In slices, because the queue of a status plugin is short. */
	while (endpoint_table_tell(d->endpoints, &at, TELL_MAX, know, arg))
		if (plugs_want_events(atomic_load(&d->plugs)))
			(void)nanosleep(&pause, NULL);
}

/* The first event that is heard of us. */
static void
emit_upgraded(struct daemon *d)
{
	const struct upgrade_start *s = d->upgrade.start;
	struct event ev = {
		.type = EVENT_DAEMON_UPGRADED, .text = daemon_version()
	};
	char detail[128];

	(void)snprintf(detail, sizeof(detail),
	    "{\"epoch\":%llu,\"version\":\"%s\"}",
	    (unsigned long long)s->epoch, s->version);
	ev.detail = detail;
	ev.detail_n = strlen(detail);
	event_emit(d->bus, &ev);
}

/* In place of the former process: its channels come first, then what it stored,
 * and only then what it had open itself. */
static int
follow(struct daemon *d, char *why)
{
	bool died;
	int r;

	d->followed = true;
	if ((r = upgrade_join(d, why)) != 0 ||
	    (r = open_dirs(d, why)) != 0 || (r = open_bus(d, why)) != 0)
		return r;
	emit_upgraded(d);
	if ((r = daemon_state_new(d, why)) != 0 ||
	    (r = build(d, why)) != 0)
		return r;
	upgrade_hold(d, true);
	if ((r = plugs_start_core(d->plugs, why)) != 0 ||
	    (r = upgrade_take_over(d, why, &died)) != 0)
		return r;
	if (died)
		endpoint_table_mark_live(d->endpoints);
	if ((r = daemon_state_load(d, why)) != 0 ||
	    (r = daemon_state_start(d, why)) != 0)
		return r;
	/* Not even a required one is worth all channels, nor those
	 * behind it. */
	while (plugs_start_status(d->plugs, why) != 0)
		log_error("%s; the upgrade goes on without", why);
	net_lend(d->net, false);
	return event_bus_open(d->bus, tell_known, d, d->upgrade.subscribers,
	    why);
}

/* The last step: operators and devices may come. */
static int
serve(struct daemon *d, char *why)
{
	const char *missing;
	int r = daemon_control_open(d, why);

	if (r != 0)
		return r;
	sys_lock_sign(d->lock_fd);
	missing = credentials_missing(d->credentials);
	if (missing != NULL)
		log_warning("no certificate yet, handshakes that need it are "
		    "refused slot=%s", missing);
	credentials_warn(d->credentials);
	if (d->followed)
		upgrade_hold(d, false);
	daemon_workers_accept(d, true);
	tell_listening(d);
	return 0;
}

/* Takes down what there is, in reverse. */
static void
stop(struct daemon *d)
{
	daemon_control_stop(d);
	/* In this order: a connection may still become a channel. */
	daemon_workers_end_connections(d);
	daemon_workers_kill_channels(d);
	if (d->plugs != NULL)
		plugs_stop(d->plugs);
	daemon_state_stop(d);
	/* The stops answered every sign request and job that waited; the
	 * answers are in the workers' mailboxes, in front of this question. */
	while (daemon_workers_suspended(d) > 0)
		continue;
	daemon_workers_stop(d);
	daemon_log_counters(d);
	daemon_workers_free(d);
	daemon_state_close(d);
	credentials_free(&d->credentials);
	event_bus_free(&d->bus);	/* the tap is silent now */
	daemon_control_free(d);
	if (d->plugs != NULL) {
		struct plugs *plugs = atomic_exchange(&d->plugs, NULL);

		plugs_free(&plugs);
	}
	net_free(&d->net);
	endpoint_table_free(&d->endpoints);
	if (d->lock_fd >= 0)
		(void)close(d->lock_fd);
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
	emit(d, EVENT_DAEMON_STOPPING, NULL);
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
			asked_to_stop(d, si.ssi_code == SI_QUEUE);
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
	emit(d, EVENT_DAEMON_READY, NULL);
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
	(void)loop_run(d->loop);
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
	r = d->upgrade.former < 0 ? start(d, why) : follow(d, why);
	return r == 0 ? serve(d, why) : r;
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
	stop(d);
	if (d->upgrade.passed)
		r = upgrade_finish(d);
	close_loop(d);
	upgrade_fini(&d->upgrade);
	conf_unref(&d->conf);
	mem_free(d);
	return r;
}
