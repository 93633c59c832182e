/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a command ends: by one job, whoever wants it.  The store decides which
 * outcome counts, once (decision 0014); who comes second is told.
 */
#include "channel/command_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* In the order of enum store_command_state from COMMAND_OK on. */
static const char *const outcome_json[] = {
	"\"ok\"", "\"error\"", "\"expired\"", "\"cancelled\"",
	"\"interrupted\""
};

struct row {
	struct command_job *job;
	enum store_command_state state;
	int64_t deadline_ms;
	bool own;
};

static void
take_row(void *ctx, const struct store_command *c)
{
	struct row *r = ctx;
	struct command_job *j = r->job;

	r->state = c->state;
	r->deadline_ms = c->deadline_ms;
	r->own = strcmp(c->endpoint, j->endpoint) == 0;
	(void)snprintf(j->endpoint, sizeof(j->endpoint), "%s", c->endpoint);
	(void)snprintf(j->verb, sizeof(j->verb), "%s", c->verb);
}

static int
run(struct store_job *job, struct store_db *db)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);
	int64_t now = clock_wall_ms();
	struct row row = { .job = j };
	int r = store_command_get(db, j->id, take_row, &row);

	if (r != 0)
		return r;
	if (j->from_device && !row.own)
		return -ENOENT;
	/* "After it the outcome is `expired`, whatever the device says." */
	if (j->from_device && row.state < COMMAND_OK &&
	    now >= row.deadline_ms) {
		j->to = COMMAND_EXPIRED;
		j->message = j->result = "";
	}
	r = store_command_set(db, j->id, j->to, j->result, j->message, now,
	    &j->final);
	if (r == -EALREADY)
		return 0;
	j->decided = r == 0;
	j->final = j->to;
	return r;
}

static void
release(struct completion *d)
{
	command_job_free(CT_CONTAINER(d, struct command_job, completion));
}

/* Under the lock: it has not ended after all.  Meanwhile it was kept from its
 * device. */
static void
go_on(struct command_table *t, struct command *c)
{
	c->ending = c->waking = false;
	command_stall(t, c->queue);
}

/* Store's thread.  What it was, for a relayed wake, in by[]. */
static void
forget(struct command_job *j, int error, char *by, size_t by_size)
{
	struct command_table *t = j->table;
	struct command *c;

	pthread_mutex_lock(&t->lock);
	c = command_find(t, j->id);
	if (c != NULL && error != 0)
		go_on(t, c);
	if (c != NULL && error == 0) {
		if (c->kind == COMMAND_RELAYED)
			(void)snprintf(by, by_size, "%s", c->by);
		command_remove(t, c);
	}
	pthread_mutex_unlock(&t->lock);
}

static void
done(struct store_job *job)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);
	struct command_table *t = j->table;
	char by[COMMAND_ID_MAX + sizeof(COMMAND_RELAY_OF)] = "";

	/* A device that speaks of somebody else's command ends nothing; else
	 * its endpoint was forgotten, with all its commands. */
	if (job->error != -ENOENT || !j->from_device)
		forget(j, job->error == -ENOENT ? 0 : job->error, by,
		    sizeof(by));
	if (job->error == 0 && j->decided)
		command_publish(t, EVENT_COMMAND_DONE, j->endpoint, j->id,
		    j->verb, "outcome", outcome_json[j->final - COMMAND_OK],
		    j->final == j->to ? j->message : "");
	if (by[0] != '\0' && job->error == 0)
		wake_relay_ended(t, by, j->final, j->endpoint);
	command_answer(j, job->error != 0 ? job->error :
	    j->decided ? 0 : -EALREADY);
	if (!j->has_completion) {
		command_job_free(j);
		return;
	}
	j->completion.error = job->error;
	j->completion.value = (uint64_t)(j->final - COMMAND_OK) + 1;
	completion_post(&j->completion);
}

/* Under the lock, with which a worker also takes it to send it.  A device may
 * speak of one that has ended: the store knows.  For all others there is
 * nothing to end, or somebody is at it. */
static int
may_end(const struct command_job *j, const struct command *c)
{
	if (j->from_device)
		return 0;
	if (c == NULL || c->ending || (j->unsent_only && c->sent &&
	    c->kind != COMMAND_WAKE))
		return -ENOENT;
	if (c->storing)
		return j->unsent_only ? -EAGAIN : -ENOENT;
	return 0;
}

int
command_end(struct command_job *j, enum store_command_state to)
{
	struct command_table *t = j->table;
	struct command *c;
	int r;

	j->to = to;
	j->job.run = run;
	j->job.done = done;
	j->completion.release = release;
	pthread_mutex_lock(&t->lock);
	c = command_find(t, j->id);
	r = may_end(j, c);
	if (r == 0 && !j->from_device)
		c->ending = true;
	pthread_mutex_unlock(&t->lock);
	if (r == 0)
		r = store_submit(t->deps.store, &j->job);
	if (r == 0)
		return 0;
	if (r != -ENOENT) {
		pthread_mutex_lock(&t->lock);
		c = command_find(t, j->id);
		if (c != NULL && !j->from_device)
			go_on(t, c);
		pthread_mutex_unlock(&t->lock);
	}
	command_job_free(j);
	return r == -ESHUTDOWN ? -EAGAIN : r;
}

int
command_end_with(struct command_table *t, const char *id,
    enum store_command_state to, const char *message)
{
	struct command_job *j = command_job_new(t, id, message, "");

	return j == NULL ? -EAGAIN : command_end(j, to);
}
