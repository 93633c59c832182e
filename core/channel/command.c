/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How commands get into the table (command_table.c) and how they are cancelled
 * (decision 0014).  What decides an outcome is in command_end.c, what a worker
 * does in command_deliver.c, what the clock does in command_sweep.c.
 *
 * Jobs about commands complete on the store's thread (home NULL), in the order
 * of the commits: that is the order of queues and of events.
 */
#include "channel/command_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "channel/command_check.h"

#define MESSAGE_SHOWN 1000		/* bytes of it in an event */

/* ---- jobs -------------------------------------------------------------- */

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

/* ---- events ------------------------------------------------------------ */

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

/* ---- adding ------------------------------------------------------------ */

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
		command_enqueue(c, j->order);
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
	struct command_queue *q = command_queue_find(t, r->endpoint);

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
		err = command_insert(t, &row, kind, &c);
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

/* ---- cancelling -------------------------------------------------------- */

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

	if (!id_word_valid(id))
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
