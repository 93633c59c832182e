/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable state: opens the store and reads from it what is kept in memory,
 * before devices are heard; closes it when everybody who writes has ended.
 */
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "channel/command.h"
#include "channel/telemetry.h"
#include "conf/conf.h"
#include "store/endpoints.h"

#define LEAP_SECONDS 10			/* for the first flush */

/* ---- presence: read at the start, written behind its changes ----------- */

struct loading {
	struct endpoint_table *table;
	struct endpoint_start start;
	int error;
};

static bool
load_one(void *ctx, const struct store_endpoint *row)
{
	const struct store_presence *p = &row->presence;
	struct endpoint_facts f = {
		.id = p->id, .number = p->channel, .revision = p->revision,
		.presence = { .state = p->state, .reason = p->reason,
		    .intent = p->intent },
		.since_ms = p->since_ms != 0 ? p->since_ms : row->created_ms,
		.last_seen_ms = p->last_seen_ms,
		.asleep_until_ms = p->asleep_until_ms, .rtt_us = p->rtt_us
	};
	struct loading *l = ctx;

	l->error = endpoint_table_load(l->table, &f, &l->start);
	if (l->error == -EEXIST)	/* it came with its channel */
		l->error = 0;
	if (l->error == -EINVAL) {
		log_warning("the store has an endpoint whose id is not valid; "
		    "it is passed over");
		l->error = 0;
	}
	return l->error == 0;
}

static int
load_presence(struct daemon *d, char *why)
{
	static const struct store_endpoint_filter everything = {
		.after = "", .prefix = "", .group = "", .state = -1,
		.status = -1, .limit = UINT_MAX
	};
	struct loading l = {
		.table = d->endpoints,
		.start = {
			.epoch = d->epoch,
			.killed = store_was_killed(d->store),
			.last_alive_ms = store_last_alive_ms(d->store),
			.dead_ms = (uint32_t)conf_ms(d->conf, "presence",
			    "dead")
		}
	};
	int r = store_endpoint_list(store_reader(d->store), &everything,
	    load_one, &l);

	if (r == 0)
		r = l.error;
	if (r != 0)
		(void)snprintf(why, DAEMON_WHY_SIZE, "endpoints: %s",
		    strerror(-r));
	endpoint_table_loaded(d->endpoints, &l.start);
	return r;
}

static int
save_presence(void *ctx, const struct endpoint_facts *f)
{
	const struct store_presence p = {
		.id = f->id, .state = f->presence.state,
		.reason = f->presence.reason, .intent = f->presence.intent,
		.security = (uint8_t)f->security, .channel = f->number,
		.revision = f->revision, .since_ms = f->since_ms,
		.last_seen_ms = f->last_seen_ms,
		.asleep_until_ms = f->asleep_until_ms, .rtt_us = f->rtt_us
	};

	return store_presence_save(ctx, &p);
}

static int
collect_presence(void *ctx, struct store_db *db)
{
	struct daemon *d = ctx;

	return endpoint_table_collect(d->endpoints, save_presence, db);
}

static void
presence_settled(void *ctx, int error)
{
	struct daemon *d = ctx;

	endpoint_table_settled(d->endpoints, error);
	(void)sem_post(&d->settled);
}

static void
nudge_store(void *ctx)
{
	store_nudge(ctx);
}

/* ---- the store --------------------------------------------------------- */

static int
make_tables(struct daemon *d, char *why)
{
	struct command_deps deps = {
		.store = d->store, .endpoints = d->endpoints, .bus = d->bus
	};
	struct identity_deps id = { .store = d->store, .bus = d->bus,
	    .endpoints = d->endpoints };
	struct command_rules rules;
	struct identity_rules id_rules;
	int r;

	options_commands(d->conf, &rules);
	options_identity(d->conf, &id_rules);
	r = telemetry_table_new(d->store, d->bus, &d->telemetry);
	deps.telemetry = d->telemetry;
	if (r == 0)
		r = command_table_new(&deps, &rules, &d->commands);
	if (r == 0)
		r = identity_new(&id, &id_rules, &d->identity);
	if (r != 0)
		(void)snprintf(why, DAEMON_WHY_SIZE, "tables: %s",
		    strerror(-r));
	return r;
}

int
daemon_state_new(struct daemon *d, char *why)
{
	struct endpoint_keeper keeper = { .nudge = nudge_store };
	struct store_flusher flusher = {
		.collect = collect_presence, .settled = presence_settled
	};
	struct store_opts opts;
	char path[4096];
	int r;

	(void)snprintf(path, sizeof(path), "%s/cleat.db",
	    conf_str(d->conf, "daemon", "state_dir"));
	options_store(d->conf, &opts);
	opts.path = path;
	opts.epoch = d->epoch;
	opts.bus = d->bus;
	(void)sem_init(&d->settled, 0, 0);
	r = store_new(&opts, &d->store);
	if (r != 0)
		return r;
	keeper.ctx = d->store;
	endpoint_table_keep(d->endpoints, &keeper);
	flusher.ctx = d;
	store_set_flusher(d->store, &flusher);
	return make_tables(d, why);
}

int
daemon_state_load(struct daemon *d, char *why)
{
	int r;

	if ((r = store_open(d->store, why)) != 0 ||
	    (r = load_presence(d, why)) != 0 ||
	    (r = telemetry_table_load(d->telemetry, why)) != 0 ||
	    (r = command_table_load(d->commands, why)) != 0)
		return r;
	return identity_load(d->identity, why);
}

/* What leapt is stored before devices come, so that they need not be told to
 * try later.  A disk that stalls keeps nobody waiting for longer than that. */
static void
wait_for_leap(struct daemon *d)
{
	struct timespec until;
	int r = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LEAP_SECONDS;
	while (r == 0 && endpoint_table_behind(d->endpoints)) {
		store_nudge(d->store);
		do
			r = sem_timedwait(&d->settled, &until);
		while (r != 0 && errno == EINTR);
	}
	if (r != 0)
		log_warning("the store is slow: devices are told to try later "
		    "until it has what it needs");
}

int
daemon_state_start(struct daemon *d, char *why)
{
	bool killed = store_was_killed(d->store);
	int r;

	if (killed)
		log_notice("the last run did not end in order");
	r = store_start(d->store);
	if (r != 0)
		store_explain(d->store, r, why);
	else if (killed)
		wait_for_leap(d);
	return r;
}

/* Nobody writes any more, and those who wait are told so.  What waits is
 * stored, and its completions are put into mailboxes: of workers that have
 * stopped, but are still there. */
void
daemon_state_stop(struct daemon *d)
{
	static const struct endpoint_keeper nobody = { .nudge = NULL };

	if (d->store == NULL)
		return;
	store_stop(d->store);
	endpoint_table_keep(d->endpoints, &nobody);
	endpoint_table_give_up(d->endpoints);
}

void
daemon_state_close(struct daemon *d)
{
	command_table_free(&d->commands);
	telemetry_table_free(&d->telemetry);
	identity_free(&d->identity);
	store_free(&d->store);
}
