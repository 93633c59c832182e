/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building and taking down.  The order of building is that of dependence; every
 * step that fails says why in one line, and all before it is taken down again.
 * Here is also what flows upwards: from net to channel, from the bus to plugins
 * and operators.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "endpoint/auth.h"
#include "daemon/daemon_priv.h"
#include "daemon/sys.h"
#include "daemon/upgrade_start.h"
#include "daemon/version.h"

#define TELL_MAX 1000			/* endpoints at a time */
#define TELL_MS 20

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

int
daemon_start(struct daemon *d, char *why)
{
	int r;

	if ((r = open_dirs(d, why)) != 0 || (r = open_bus(d, why)) != 0)
		return r;
	daemon_emit(d, EVENT_DAEMON_STARTED, daemon_version());
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

int
daemon_follow(struct daemon *d, char *why)
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

int
daemon_serve(struct daemon *d, char *why)
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

void
daemon_take_down(struct daemon *d)
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
