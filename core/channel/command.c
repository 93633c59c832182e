/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of open commands: how they get in, how they are cancelled and how
 * they expire (decision 0014).  What decides an outcome is in command_end.c, what
 * a worker does in command_deliver.c.
 *
 * Jobs about commands complete on the store's thread (home NULL), in the order of
 * the commits: that is the order of queues and of events.
 */
#include "channel/command_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"
#include "channel/command_check.h"

#define WHY_SIZE 256
#define PAGE 1000
#define SWEEP_MAX 256			/* ends in one sweep */
#define MESSAGE_SHOWN 1000		/* bytes of it in an event */

static struct command *
command_of(struct strtab_node *n)
{
	return n == NULL ? NULL : CT_CONTAINER(n, struct command, node);
}

static struct command_queue *
queue_of(struct strtab_node *n)
{
	return n == NULL ? NULL : CT_CONTAINER(n, struct command_queue, node);
}

struct command *
command_find(struct command_table *t, const char *id)
{
	return command_of(strtab_find(&t->by_id, id));
}

/* ---- jobs ------------------------------------------------------------------ */

struct command_job *
command_job_new(struct command_table *t, const char *id, const char *message,
    const char *result)
{
	size_t m = strlen(message) + 1, n = strlen(result) + 1;
	struct command_job *j = mem_calloc(1, sizeof(*j) + m + n);

	if (j == NULL)
		return NULL;
	j->table = t;
	j->job.bytes = sizeof(*j) + m + n;
	(void)snprintf(j->id, sizeof(j->id), "%s", id);
	j->message = memcpy(j->text, message, m);
	j->result = memcpy(j->text + m, result, n);
	return j;
}

void
command_job_free(struct command_job *j)
{
	mem_free(j);
}

static void
answered(struct mail *m)
{
	struct command_added *a = CT_CONTAINER(m, struct command_added, mail);

	a->fn(a);
}

void
command_answer(struct command_job *j, int error)
{
	struct command_added *a = j->added;

	if (a == NULL)
		return;
	j->added = NULL;
	a->error = error;
	(void)snprintf(a->id, sizeof(a->id), "%s", j->id);
	a->mail.fn = answered;
	mailbox_post(a->home, &a->mail);
}

static int
submit(struct command_job *j)
{
	int r = store_submit(j->table->deps.store, &j->job);

	return r == -ESHUTDOWN ? -EAGAIN : r;
}

/* ---- events ---------------------------------------------------------------- */

void
command_publish(struct command_table *t, enum event_type type,
    const char *endpoint, const char *id, const char *verb, const char *key,
    const char *value, const char *message)
{
	/* A byte of a text is at most six in JSON. */
	char text[6 * MESSAGE_SHOWN + 512];
	struct outbuf out = { .p = (uint8_t *)text, .cap = sizeof(text) };
	struct event ev = { .type = type, .endpoint = endpoint };
	struct json_out o;

	jout_init(&o, &out);
	jout_object(&o, NULL);
	jout_string(&o, "id", id);
	jout_string(&o, "verb", verb);
	if (key != NULL)
		jout_raw(&o, key, value, strlen(value));
	if (message[0] != '\0')
		jout_string_n(&o, "message", message,
		    command_cut(message, MESSAGE_SHOWN));
	jout_object_end(&o);
	if (!jout_ok(&o))
		return;
	ev.detail = text;
	ev.detail_n = out.n;
	event_emit(t->deps.bus, &ev);
	event_kick(t->deps.bus);
}

/* ---- the table, under its lock ----------------------------------------------- */

static int
get_queue(struct command_table *t, const char *endpoint,
    struct command_queue **ret)
{
	struct command_queue *q = queue_of(strtab_find(&t->queues, endpoint));
	size_t n = strlen(endpoint) + 1;

	if (q == NULL) {
		q = mem_calloc(1, sizeof(*q) + n);
		if (q == NULL)
			return -ENOMEM;
		memcpy(q->endpoint, endpoint, n);
		list_init(&q->commands);
		if (strtab_add(&t->queues, &q->node, q->endpoint) != 0) {
			mem_free(q);
			return -ENOMEM;
		}
	}
	*ret = q;
	return 0;
}

static void
drop_queue(struct command_table *t, struct command_queue *q)
{
	if (q->n > 0)
		return;
	t->stalled -= q->stalled;
	strtab_remove(&t->queues, &q->node);
	mem_free(q);
}

/* Adds one that is not in its queue yet. */
static int
insert(struct command_table *t, const struct store_command *row,
    enum command_kind kind, struct command **ret)
{
	size_t id_n = strlen(row->id) + 1, verb_n = strlen(row->verb) + 1;
	size_t args_n = strlen(row->args) + 1, by_n = strlen(row->by) + 1;
	struct command *c = mem_calloc(1, sizeof(*c) + id_n + verb_n + args_n +
	    by_n);
	struct command_queue *q;
	char *at;
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = get_queue(t, row->endpoint, &q);
	if (r != 0) {
		mem_free(c);
		return r;
	}
	at = memcpy(c->text, row->id, id_n);
	c->verb = memcpy(at += id_n, row->verb, verb_n);
	c->args = memcpy(at += verb_n, row->args, args_n);
	c->by = memcpy(at += args_n, row->by, by_n);
	r = strtab_add(&t->by_id, &c->node, c->text);
	if (r != 0) {
		drop_queue(t, q);
		mem_free(c);
		return r;
	}
	c->queue = q;
	q->n++;
	c->kind = kind;
	c->deadline_ms = row->deadline_ms;
	c->order = row->order;
	c->storing = true;
	list_init(&c->link);
	list_append(&t->all, &c->all);
	if (c->deadline_ms < t->next_deadline)
		t->next_deadline = c->deadline_ms;
	t->wakes += kind == COMMAND_WAKE;
	*ret = c;
	return 0;
}

void
command_remove(struct command_table *t, struct command *c)
{
	struct command_queue *q = c->queue;

	list_remove(&c->link);
	list_remove(&c->all);
	strtab_remove(&t->by_id, &c->node);
	t->wakes -= c->kind == COMMAND_WAKE;
	q->n--;
	drop_queue(t, q);
	mem_free(c);
}

/* It is durable: from now on it is delivered. */
static void
enqueue(struct command *c, uint64_t order)
{
	c->storing = false;
	c->order = order;
	list_append(&c->queue->commands, &c->link);
}

/* ---- adding ---------------------------------------------------------------- */

static int
run_add(struct store_job *job, struct store_db *db)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);
	struct command_table *t = j->table;
	struct store_command row = {
		.id = j->id, .endpoint = j->endpoint, .verb = j->verb,
		.created_ms = clock_wall_ms(), .state = COMMAND_QUEUED,
		.result = "", .message = ""
	};
	struct command *c;

	/* It stays where it is while it is being stored. */
	pthread_mutex_lock(&t->lock);
	c = command_find(t, j->id);
	row.args = c->args;
	row.by = c->by;
	row.deadline_ms = c->deadline_ms;
	pthread_mutex_unlock(&t->lock);
	row.changed_ms = row.created_ms;
	return store_command_add(db, &row, &j->order);
}

/* Counts it; returns err. */
static int
refuse(struct command_table *t, enum command_refusal why, int err)
{
	atomic_fetch_add_explicit(&t->refused[why], 1, memory_order_relaxed);
	return err;
}

static void
added(struct store_job *job)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);
	struct command_table *t = j->table;
	enum command_kind kind;
	struct command *c;

	pthread_mutex_lock(&t->lock);
	c = command_find(t, j->id);
	kind = c->kind;
	if (job->error != 0)
		command_remove(t, c);
	else
		enqueue(c, j->order);
	pthread_mutex_unlock(&t->lock);
	if (job->error != 0)
		(void)refuse(t, job->error == -EEXIST ?
		    COMMAND_REFUSED_EXISTS : COMMAND_REFUSED_STORE,
		    job->error);
	else
		command_publish(t, EVENT_COMMAND_QUEUED, j->endpoint, j->id,
		    j->verb, NULL, NULL, "");
	command_answer(j, job->error);
	if (job->error != 0) {
		command_job_free(j);
	} else if (kind == COMMAND_WAKE) {
		wake_try(t, j->id);
		command_job_free(j);
	} else {
		command_look(j);
	}
}

/* "" becomes an id that nobody has had: the time, the process' order. */
static void
make_id(struct command_table *t, const char *wanted, char *to)
{
	if (wanted[0] != '\0')
		(void)snprintf(to, COMMAND_ID_MAX + 1, "%s", wanted);
	else
		(void)snprintf(to, COMMAND_ID_MAX + 1, "c%llx-%llx",
		    (unsigned long long)clock_wall_ms(),
		    (unsigned long long)++t->made);
}

/* Under the lock. */
static int
room_for(struct command_table *t, const struct command_request *r, char *why)
{
	struct command_queue *q = queue_of(strtab_find(&t->queues,
	    r->endpoint));

	if (r->id[0] != '\0' && command_find(t, r->id) != NULL)
		return refuse(t, COMMAND_REFUSED_EXISTS, -EEXIST);
	if (q != NULL && q->n >= t->rules.queue_max) {
		(void)snprintf(why, WHY_SIZE, "%u commands of this endpoint "
		    "are open already", q->n);
		return refuse(t, COMMAND_REFUSED_QUEUE, -EDQUOT);
	}
	if (t->by_id.count >= t->rules.open_max) {
		(void)snprintf(why, WHY_SIZE, "%zu commands are open already",
		    t->by_id.count);
		return refuse(t, COMMAND_REFUSED_OPEN, -EDQUOT);
	}
	return 0;
}

int
command_put(struct command_table *t, const struct command_request *r,
    enum command_kind kind, char *why, struct command_added *a)
{
	struct store_command row = {
		.endpoint = r->endpoint, .verb = r->verb, .args = r->args,
		.by = r->by, .deadline_ms = r->deadline_ms
	};
	char id[COMMAND_ID_MAX + 1];
	struct command_job *j;
	struct command *c;
	int err;

	pthread_mutex_lock(&t->lock);
	err = room_for(t, r, why);
	if (err == 0) {
		make_id(t, r->id, id);
		row.id = id;
		err = insert(t, &row, kind, &c);
		if (err != 0)
			(void)refuse(t, COMMAND_REFUSED_MEMORY, err);
	}
	pthread_mutex_unlock(&t->lock);
	if (err != 0)
		return err;
	j = command_job_new(t, id, "", "");
	err = j == NULL ? -ENOMEM : 0;
	if (err == 0) {
		(void)snprintf(j->endpoint, sizeof(j->endpoint), "%s",
		    r->endpoint);
		(void)snprintf(j->verb, sizeof(j->verb), "%s", r->verb);
		j->added = a;
		j->job.run = run_add;
		j->job.done = added;
		j->job.bytes += strlen(r->args);
		err = submit(j);
	}
	if (err != 0) {
		command_job_free(j);
		pthread_mutex_lock(&t->lock);
		command_remove(t, command_find(t, id));
		pthread_mutex_unlock(&t->lock);
		(void)refuse(t, err == -ENOMEM ? COMMAND_REFUSED_MEMORY :
		    COMMAND_REFUSED_BUSY, err);
	}
	return err;
}

int
command_add(struct command_table *t, const struct command_request *r,
    char *why, struct command_added *a)
{
	struct command_rules rules;
	struct endpoint_facts facts;
	int err;

	why[0] = '\0';
	pthread_mutex_lock(&t->lock);
	rules = t->rules;
	pthread_mutex_unlock(&t->lock);
	err = command_check(r, &rules, clock_wall_ms(), why);
	if (err != 0)
		return refuse(t, COMMAND_REFUSED_INVALID, err);
	if (endpoint_get(t->deps.endpoints, r->endpoint, &facts) != 0) {
		(void)snprintf(why, WHY_SIZE, "no such endpoint");
		return refuse(t, COMMAND_REFUSED_ENDPOINT, -ENOENT);
	}
	return command_put(t, r, strcmp(r->verb, "wake") == 0 ? COMMAND_WAKE :
	    COMMAND_FOR_DEVICE, why, a);
}

/* ---- cancelling ------------------------------------------------------------ */

static void
found(void *ctx, const struct store_command *row)
{
	*(enum store_command_state *)ctx = row->state;
}

static int
run_cancel(struct store_job *job, struct store_db *db)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);
	enum store_command_state state = COMMAND_QUEUED;
	int r = store_command_get(db, j->id, found, &state);

	if (r == 0 && state >= COMMAND_OK)
		r = -EALREADY;
	return r != 0 ? r : store_command_cancelling(db, j->id);
}

static void
cancel_stored(struct store_job *job)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);
	struct command_table *t = j->table;
	struct command *c;

	pthread_mutex_lock(&t->lock);
	c = command_find(t, j->id);
	if (job->error == 0 && c != NULL) {
		c->cancelling = true;
		c->cancel_on = 0;
		(void)snprintf(j->endpoint, sizeof(j->endpoint), "%s",
		    c->queue->endpoint);
	}
	pthread_mutex_unlock(&t->lock);
	command_answer(j, job->error);
	if (j->endpoint[0] != '\0')
		command_look(j);
	else
		command_job_free(j);
}

int
command_cancel(struct command_table *t, const char *id,
    struct command_added *a)
{
	struct command_job *j;
	int r;

	if (!command_id_valid(id))
		return -ENOENT;
	j = command_job_new(t, id, "before it was delivered", "");
	if (j == NULL)
		return -ENOMEM;
	j->added = a;
	j->unsent_only = true;
	r = command_end(j, COMMAND_CANCELLED);
	if (r != -ENOENT)
		return r;
	j = command_job_new(t, id, "", "");
	if (j == NULL)
		return -ENOMEM;
	j->added = a;
	j->job.run = run_cancel;
	j->job.done = cancel_stored;
	r = submit(j);
	if (r != 0)
		command_job_free(j);
	return r;
}

/* ---- the clock --------------------------------------------------------------- */

/* Ids of what has to be looked at: SWEEP_MAX at most. */
struct swept {
	char id[SWEEP_MAX][COMMAND_ID_MAX + 1];
	unsigned n;
};

static void
note(struct swept *s, const struct command *c)
{
	if (s->n < SWEEP_MAX)
		memcpy(s->id[s->n++], c->text, strlen(c->text) + 1);
}

/* Under the lock. */
static void
find_expired(struct command_table *t, int64_t wall_ms, struct swept *s)
{
	int64_t next = INT64_MAX;
	struct list *it;

	LIST_FOREACH(it, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		/* One whose end could not be stored is tried again. */
		if (c->deadline_ms < next)
			next = c->deadline_ms;
		if (c->deadline_ms <= wall_ms && !c->ending && !c->storing)
			note(s, c);
	}
	t->next_deadline = next;
}

static void
find_wakes(struct command_table *t, struct swept *s)
{
	struct list *it;

	LIST_FOREACH(it, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		if (c->kind == COMMAND_WAKE && !c->ending && !c->storing &&
		    !c->relayed)
			note(s, c);
	}
}

static void
find_stalled(struct command_table *t, struct swept *s)
{
	struct list *it;

	LIST_FOREACH(it, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		if (!c->queue->stalled || c->storing)
			continue;
		c->queue->stalled = false;
		t->stalled--;
		note(s, c);
	}
}

static void
look_again(struct command_table *t, const char *id)
{
	struct command_job *j = command_job_new(t, id, "", "");
	struct command *c;

	if (j == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	c = command_find(t, id);
	if (c != NULL)
		(void)snprintf(j->endpoint, sizeof(j->endpoint), "%s",
		    c->queue->endpoint);
	pthread_mutex_unlock(&t->lock);
	command_look(j);
}

void
command_table_sweep(struct command_table *t, int64_t wall_ms)
{
	struct swept *s = mem_calloc(3, sizeof(*s));

	if (s == NULL)
		return;			/* next time */
	pthread_mutex_lock(&t->lock);
	if (wall_ms >= t->next_deadline)
		find_expired(t, wall_ms, &s[0]);
	if (t->wakes > 0)
		find_wakes(t, &s[1]);
	if (t->stalled > 0)
		find_stalled(t, &s[2]);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < s[0].n; i++)
		(void)command_end_with(t, s[0].id[i], COMMAND_EXPIRED, "");
	for (unsigned i = 0; i < s[1].n; i++)
		wake_try(t, s[1].id[i]);
	for (unsigned i = 0; i < s[2].n; i++)
		look_again(t, s[2].id[i]);
	mem_free(s);
}

/* ---- life ---------------------------------------------------------------------- */

struct loading {
	struct command_table *table;
	uint64_t after;
	unsigned n;
	int error;
};

static enum command_kind
kind_of(const struct store_command *row)
{
	if (strcmp(row->verb, "wake") != 0)
		return COMMAND_FOR_DEVICE;
	return strncmp(row->by, COMMAND_RELAY_OF,
	    strlen(COMMAND_RELAY_OF)) == 0 ? COMMAND_RELAYED : COMMAND_WAKE;
}

static bool
load(void *ctx, const struct store_command *row)
{
	struct loading *l = ctx;
	struct command *c;

	l->n++;
	l->after = row->order;
	l->error = insert(l->table, row, kind_of(row), &c);
	if (l->error != 0)
		return false;
	enqueue(c, row->order);
	c->accepted = row->state == COMMAND_ACCEPTED;
	c->cancelling = row->cancelling;
	/* Whether the last daemon sent it nobody knows. */
	c->sent = c->kind != COMMAND_WAKE;
	return true;
}

/* A wake whose relay was asked before the start waits for that. */
static void
join_relays(struct command_table *t)
{
	struct command *of;
	struct list *it;

	LIST_FOREACH(it, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		if (c->kind != COMMAND_RELAYED)
			continue;
		of = command_find(t, c->by + strlen(COMMAND_RELAY_OF));
		if (of != NULL && of->kind == COMMAND_WAKE)
			of->relayed = true;
	}
}

static int
load_all(struct command_table *t)
{
	struct loading l = { .table = t };
	struct store_command_filter f = {
		.endpoint = "", .open_only = true, .limit = PAGE
	};
	int r;

	do {
		l.n = 0;
		f.after = l.after;
		r = store_command_list(store_reader(t->deps.store), &f, load,
		    &l);
	} while (r == 0 && l.error == 0 && l.n == PAGE);
	join_relays(t);
	return r != 0 ? r : l.error;
}

int
command_table_new(const struct command_deps *deps,
    const struct command_rules *rules, char *why, struct command_table **ret)
{
	struct command_table *t = mem_calloc(1, sizeof(*t));
	int r;

	if (t == NULL)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->all);
	t->next_deadline = INT64_MAX;
	t->rules = *rules;
	t->deps = *deps;
	r = load_all(t);
	if (r != 0) {
		(void)snprintf(why, WHY_SIZE, "open commands cannot be read: "
		    "%s", strerror(-r));
		command_table_free(&t);
		return r;
	}
	if (t->by_id.count > 0)
		log_info("open commands of the last run count=%zu",
		    t->by_id.count);
	*ret = t;
	return 0;
}

void
command_table_free(struct command_table **pt)
{
	struct command_table *t = *pt;
	struct strtab_node *n;

	if (t == NULL)
		return;
	while ((n = strtab_any(&t->by_id)) != NULL)
		command_remove(t, command_of(n));
	strtab_fini(&t->by_id);
	strtab_fini(&t->queues);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
	*pt = NULL;
}

void
command_table_set_workers(struct command_table *t,
    struct channel_worker *const *workers)
{
	t->workers = workers;
}

void
command_table_set_rules(struct command_table *t,
    const struct command_rules *rules)
{
	pthread_mutex_lock(&t->lock);
	t->rules = *rules;
	pthread_mutex_unlock(&t->lock);
}

void
command_table_forget(struct command_table *t, const char *endpoint)
{
	struct list *it, *next;

	pthread_mutex_lock(&t->lock);
	LIST_FOREACH_SAFE(it, next, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		/* One that is being stored stays until that has ended. */
		if (!c->storing && strcmp(c->queue->endpoint, endpoint) == 0)
			command_remove(t, c);
	}
	pthread_mutex_unlock(&t->lock);
}

size_t
command_table_open(struct command_table *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->by_id.count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

const char *
command_refusal_name(enum command_refusal why)
{
	static const char *const names[COMMAND_REFUSALS] = {
		[COMMAND_REFUSED_INVALID] = "invalid",
		[COMMAND_REFUSED_ENDPOINT] = "endpoint",
		[COMMAND_REFUSED_EXISTS] = "exists",
		[COMMAND_REFUSED_QUEUE] = "queue",
		[COMMAND_REFUSED_OPEN] = "open",
		[COMMAND_REFUSED_BUSY] = "busy",
		[COMMAND_REFUSED_STORE] = "store",
		[COMMAND_REFUSED_MEMORY] = "memory"
	};

	return names[why];
}

uint64_t
command_table_refused(const struct command_table *t, enum command_refusal why)
{
	return atomic_load_explicit(&t->refused[why], memory_order_relaxed);
}
