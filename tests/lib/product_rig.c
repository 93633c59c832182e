/* SPDX-License-Identifier: Apache-2.0 */
/* See product_rig.h. */
#include "product_rig.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/db.h"
#include "store_rig.h"
#include "tmpdir.h"

#define NEED(c) ((c) ? (void)0 : need(#c, __LINE__))

static void
need(const char *what, int line)
{
	(void)fprintf(stderr, "product_rig.c:%d: %s\n", line, what);
	abort();
}

static struct product *
product_of(struct channel *c)
{
	struct rig *r = CT_CONTAINER(channel_protocol(c), struct rig_protocol,
	    base)->rig;

	return CT_CONTAINER(r, struct product, rig);
}

/* ---- the protocol ------------------------------------------------------ */

static void
note(struct product *p, const char *a, const char *b)
{
	NEED(p->asked_n < PRODUCT_LOG);
	(void)snprintf(p->asked[p->asked_n++], sizeof(p->asked[0]), "%s%s", a,
	    b);
}

static int
on_command(struct channel *c, const struct channel_command *cmd)
{
	struct product *p = product_of(c);
	int r = p->command_error;

	if (r != 0) {
		if (p->command_errors > 0 && --p->command_errors == 0)
			p->command_error = 0;
		return r;
	}
	note(p, cmd->id, cmd->again ? " again" : "");
	(void)snprintf(p->verb, sizeof(p->verb), "%s", cmd->verb);
	(void)snprintf(p->args, sizeof(p->args), "%s", cmd->args);
	return 0;
}

static void
on_cancel(struct channel *c, const char *id)
{
	note(product_of(c), "cancel ", id);
}

static void
on_drain(struct channel *c, const struct channel_drain *d)
{
	product_of(c)->window_ms = d->window_ms;
	note(product_of(c), "drain ", d->servers);
}

static void
on_completed(struct channel *c, const struct channel_completion *d)
{
	product_of(c)->done = *d;
	product_of(c)->done_n++;
}

static void
on_authenticated(struct rig *r, struct channel *c,
    const struct channel_auth_result *a)
{
	char line[64];

	CT_CONTAINER(r, struct product, rig)->telemetry_seq = a->telemetry_seq;
	if (a->error != 0)
		(void)snprintf(line, sizeof(line), "no %d", a->error);
	else
		(void)snprintf(line, sizeof(line), "ok %llu %s",
		    (unsigned long long)a->channel_number, "wss");
	(void)channel_send(c, line, strlen(line), true);
}

/* ---- life -------------------------------------------------------------- */

static void
open_product(struct product *p)
{
	struct store_opts o = {
		.path = p->path, .queue_jobs = 4096, .queue_bytes = 1 << 22,
		.flush_ms = 5, .telemetry_rows = 1000,
		.telemetry_bytes = 1 << 20, .telemetry_age_ms = 1u << 30,
		.commands_age_ms = 1u << 30, .epoch = 1
	};
	struct command_deps deps = {
		.endpoints = p->rig.endpoints, .bus = p->rig.tap.bus,
		.net = p->net
	};
	char why[256] = "";

	NEED(store_rig_try(&o, why, &p->store) == 0);
	NEED(telemetry_table_new(p->store, p->rig.tap.bus, &p->telemetry) ==
	    0);
	deps.store = p->store;
	deps.telemetry = p->telemetry;
	NEED(command_table_new(&deps, &p->rules, &p->commands) == 0);
	for (int i = 0; i < RIG_WORKERS; i++) {
		p->rig.cw[i]->shared.commands = p->commands;
		p->rig.cw[i]->shared.telemetry = p->telemetry;
	}
}

void
product_load(struct product *p)
{
	char why[256] = "";

	NEED(telemetry_table_load(p->telemetry, why) == 0);
	NEED(command_table_load(p->commands, why) == 0);
	command_table_set_workers(p->commands, p->rig.cw);
	NEED(store_start(p->store) == 0);
}

static void
close_product(struct product *p)
{
	for (int i = 0; i < RIG_WORKERS; i++) {
		p->rig.cw[i]->shared.commands = NULL;
		p->rig.cw[i]->shared.telemetry = NULL;
	}
	store_free(&p->store);
	rig_settle(&p->rig);
	command_table_free(&p->commands);
	telemetry_table_free(&p->telemetry);
}

void
product_connect(struct product *p, struct rig_client *c, const char *id)
{
	static const struct rig_dial plain = { .early_n = 0 };
	struct rig_frame f;
	char line[200];

	rig_dial(&p->rig, &plain, c);
	(void)snprintf(line, sizeof(line), "hello %s " RIG_TOKEN, id);
	NEED(rig_send_text(c, line));
	NEED(rig_frame(c, &f) && f.n > 3 && memcmp(f.p, "ok ", 3) == 0);
	rig_settle(&p->rig);
}

static void
start_rig(struct product *p)
{
	rig_init(&p->rig);
	p->rig.on_authenticated = on_authenticated;
	for (int i = 0; i < RIG_WORKERS; i++) {
		struct channel_protocol *b = &p->rig.protocol[i].base;

		b->anonymous = false;
		b->command = on_command;
		b->command_cancel = on_cancel;
		b->drain = on_drain;
		b->completed = on_completed;
	}
	rig_start(&p->rig);
	p->client = p->other = (struct rig_client){ .fd = -1, .rig = &p->rig };
}

static void
begin(struct product *p)
{
	const struct wake_net *net = p->net;

	memset(p, 0, sizeof(*p));
	p->net = net;
	p->rules = (struct command_rules){
		.queue_max = 8, .open_max = 1000, .args_max = 200,
		.deadline_max_ms = 86400000
	};
	start_rig(p);
}

void
product_start(struct product *p)
{
	begin(p);
	(void)snprintf(p->path, sizeof(p->path), "%s/cleat.db",
	    tmpdir_make());
	open_product(p);
	product_load(p);
	product_connect(p, &p->client, "dev-1");
}

void
product_start_next(struct product *p, const struct product *former)
{
	begin(p);
	memcpy(p->path, former->path, sizeof(p->path));
	open_product(p);
	command_table_set_workers(p->commands, p->rig.cw);
}

static void
stop(struct product *p)
{
	rig_hang_up(&p->client);
	rig_hang_up(&p->other);
	rig_settle(&p->rig);
	close_product(p);
	rig_stop(&p->rig);
}

void
product_stop(struct product *p)
{
	stop(p);
	tmpdir_remove();
}

void
product_stop_both(struct product *next, struct product *former)
{
	stop(next);
	product_stop(former);
}

static void
copy_file(const char *from, const char *to)
{
	FILE *in = fopen(from, "re"), *out;
	char buf[4096];
	size_t n;

	if (in == NULL) {
		(void)unlink(to);
		return;
	}
	out = fopen(to, "we");
	NEED(out != NULL);
	while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
		NEED(fwrite(buf, 1, n, out) == n);
	(void)fclose(in);
	NEED(fclose(out) == 0);
}

void
product_restart(struct product *p)
{
	static const char *const part[] = { "", "-wal" };
	char from[300], to[300];

	/* What is on the disk this moment; the rest of the old daemon's work
	 * goes to a file that nobody looks at. */
	for (int i = 0; i < 2; i++) {
		(void)snprintf(from, sizeof(from), "%s%s", p->path, part[i]);
		(void)snprintf(to, sizeof(to), "%sx%s", p->path, part[i]);
		copy_file(from, to);
	}
	stop(p);
	p->asked_n = p->done_n = p->added_n = 0;
	(void)strncat(p->path, "x", sizeof(p->path) - strlen(p->path) - 1);
	start_rig(p);
	open_product(p);
	product_load(p);
}

/* ---- the store --------------------------------------------------------- */

struct waiting {
	struct store_job job;
	sem_t sem;
	int (*fn)(struct store_db *, void *);
	void *arg;
};

static int
run_waiting(struct store_job *j, struct store_db *db)
{
	struct waiting *w = CT_CONTAINER(j, struct waiting, job);

	return w->fn == NULL ? 0 : w->fn(db, w->arg);
}

static void
waiting_done(struct store_job *j)
{
	(void)sem_post(&CT_CONTAINER(j, struct waiting, job)->sem);
}

static void
call(struct product *p, int (*fn)(struct store_db *, void *), void *arg)
{
	struct waiting w = {
		.job = { .run = run_waiting, .done = waiting_done },
		.fn = fn, .arg = arg
	};

	(void)sem_init(&w.sem, 0, 0);
	NEED(store_submit(p->store, &w.job) == 0);
	while (sem_wait(&w.sem) != 0)
		continue;
	(void)sem_destroy(&w.sem);
}

void
product_settle(struct product *p)
{
	/* What is done may lead to another job. */
	for (int i = 0; i < 3; i++) {
		call(p, NULL, NULL);
		rig_settle(&p->rig);
	}
	(void)event_tap_sync(&p->rig.tap);
}

static sem_t held, holding;

static int
run_hold(struct store_job *j, struct store_db *db)
{
	(void)j;
	(void)db;
	(void)sem_post(&holding);
	while (sem_wait(&held) != 0)
		continue;
	return 0;
}

/* Ends the transaction that the others are in, as a full disk does. */
static int
run_break(struct store_job *j, struct store_db *db)
{
	(void)j;
	(void)db_exec(db, "ROLLBACK");
	return -EIO;
}

static void
nothing(struct store_job *j)
{
	(void)j;
}

static struct store_job hold_job, break_job;
static bool breaks;

static int
run_maybe_break(struct store_job *j, struct store_db *db)
{
	return breaks ? run_break(j, db) : 0;
}

void
product_hold(struct product *p)
{
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&holding, 0, 0);
	hold_job = (struct store_job){ .run = run_hold, .done = nothing };
	break_job = (struct store_job){ .run = run_maybe_break,
	    .done = nothing };
	NEED(store_submit(p->store, &hold_job) == 0);
	while (sem_wait(&holding) != 0)
		continue;
	NEED(store_submit(p->store, &break_job) == 0);
}

void
product_release(struct product *p, bool error)
{
	breaks = error;
	(void)sem_post(&held);
	product_settle(p);
}

/* ---- what tests do ----------------------------------------------------- */

struct channel *
product_channel(struct product *p)
{
	struct channel *c = NULL;

	for (int i = 0; c == NULL && i < RIG_WORKERS; i++)
		c = channel_find(p->rig.cw[i], p->rig.last_id);
	NEED(c != NULL);
	return c;
}

/* One that waits for its answer. */
struct asking {
	struct command_added added;
	struct product *p;
};

static void
on_added(struct command_added *a)
{
	struct asking *k = CT_CONTAINER(a, struct asking, added);

	k->p->added = *a;
	k->p->added_n++;
	free(k);
}

static struct asking *
ask(struct product *p)
{
	struct asking *k = calloc(1, sizeof(*k));

	NEED(k != NULL);
	k->p = p;
	k->added.fn = on_added;
	k->added.home = &p->rig.worker[0].mailbox;
	return k;
}

int
product_add_verb(struct product *p, const char *endpoint, const char *id,
    const char *verb, const char *args)
{
	struct command_request r = {
		.endpoint = endpoint, .verb = verb, .args = args, .id = id,
		.by = "test", .deadline_ms = clock_wall_ms() + 60000
	};
	struct asking *k = ask(p);
	int err = command_add(p->commands, &r, p->why, &k->added);

	if (err != 0)
		free(k);
	return err;
}

int
product_add(struct product *p, const char *id)
{
	return product_add_verb(p, "dev-1", id, "message", "{\"text\":\"x\"}");
}

int
product_cancel(struct product *p, const char *id)
{
	struct asking *k = ask(p);
	int err = command_cancel(p->commands, id, &k->added);

	if (err != 0)
		free(k);
	return err;
}

int
product_outcome(struct product *p, const char *id,
    enum store_command_state state)
{
	struct channel_outcome o = {
		.id = id, .state = state, .result = "{\"a\":1}", .message = "m"
	};

	return channel_command_outcome(product_channel(p), 7, &o);
}

struct looking {
	const char *id;
	int state;
	char message[300];
};

static void
take_row(void *ctx, const struct store_command *c)
{
	struct looking *l = ctx;

	l->state = (int)c->state;
	(void)snprintf(l->message, sizeof(l->message), "%s", c->message);
}

static int
look(struct store_db *db, void *arg)
{
	struct looking *l = arg;

	return store_command_get(db, l->id, take_row, l);
}

int
product_state(struct product *p, const char *id)
{
	struct looking l = { .id = id, .state = -1 };

	call(p, look, &l);
	return l.state;
}

const char *
product_message(struct product *p, const char *id)
{
	static struct looking l;

	l = (struct looking){ .id = id };
	call(p, look, &l);
	return l.message;
}

unsigned
product_events(struct product *p, enum event_type type)
{
	unsigned n = 0;
	size_t all = event_tap_sync(&p->rig.tap);

	(void)pthread_mutex_lock(&p->rig.tap.lock);
	for (size_t i = 0; i < all && i < p->rig.tap.n; i++)
		n += p->rig.tap.got[i].type == type;
	(void)pthread_mutex_unlock(&p->rig.tap.lock);
	return n;
}
