/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands on a worker: offered to the live channel in their order, again after
 * every hello until they have an outcome, and what the device says of them.
 */
#include "channel/command_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json_check.h"
#include "base/mem.h"
#include "base/worker.h"
#include "channel/command_check.h"

#define LATER_MS 5000
#define PROGRESS_EVERY_MS 1000
#define PROGRESS_TEXT 256
#define MESSAGE_MAX 4096		/* bytes that are stored */

/* ---- to the device ----------------------------------------------------- */

/* What is next for a channel: a copy, because nobody is called under
 * the lock. */
struct step {
	struct command_queue *queue;
	bool cancel, again;
	int64_t deadline_ms;
	char id[COMMAND_ID_MAX + 1];
	char verb[COMMAND_VERB_MAX + 1];
	char *args;
};

/* Under the lock; marks it as sent here, so that a cancel from now on asks the
 * device. */
static int
take(struct command *cmd, const struct channel *c, struct step *s)
{
	*s = (struct step){
		.cancel = cmd->cancelling, .again = cmd->sent,
		.deadline_ms = cmd->deadline_ms
	};
	(void)snprintf(s->id, sizeof(s->id), "%s", cmd->text);
	(void)snprintf(s->verb, sizeof(s->verb), "%s", cmd->verb);
	if (s->cancel) {
		cmd->cancel_on = c->id;
		return 0;
	}
	s->args = mem_strdup(cmd->args);
	if (s->args == NULL)
		return -ENOMEM;
	cmd->sent_on = c->id;
	cmd->sent = true;
	return 0;
}

/* Whether it has to be said on this channel, and may be now. */
static bool
is_due(const struct command *cmd, const struct channel *c, bool later,
    int64_t wall_ms)
{
	/* One that is over is the sweep's. */
	if (cmd->ending || cmd->kind == COMMAND_WAKE ||
	    cmd->deadline_ms <= wall_ms)
		return false;
	return cmd->cancelling ? cmd->cancel_on != c->id :
	    cmd->sent_on != c->id && !later;
}

/* 0: *s is to be carried out; -ENOENT nothing (more). */
static int
next_step(struct command_table *t, const struct channel *c, struct step *s)
{
	int64_t now = clock_wall_ms();
	struct command_queue *q;
	struct list *it;
	int r = -ENOENT;
	bool later;

	pthread_mutex_lock(&t->lock);
	q = command_queue_find(t, channel_endpoint(c));
	if (q != NULL) {
		later = q->later_on == c->id && q->later_ms > clock_mono_ms();
		LIST_FOREACH(it, &q->commands) {
			struct command *cmd = CT_CONTAINER(it, struct command,
			    link);

			if (!is_due(cmd, c, later, now))
				continue;
			r = take(cmd, c, s);
			if (r == -ENOMEM)
				command_stall(t, q);
			break;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* It was not sent after all.  When nothing tells us to try again, the sweep
 * does. */
static void
put_back(struct command_table *t, struct channel *c, const struct step *s)
{
	struct command *cmd;

	pthread_mutex_lock(&t->lock);
	cmd = command_find(t, s->id);
	if (cmd != NULL && cmd->sent_on == c->id) {
		cmd->sent_on = 0;
		if (!cmd->cancelling)
			cmd->sent = s->again;
		if (!c->want_drained)
			command_stall(t, cmd->queue);
	}
	pthread_mutex_unlock(&t->lock);
}

/* false: no more now. */
static bool
carry_out(struct command_table *t, struct channel *c, const struct step *s)
{
	struct channel_command cmd = {
		.again = s->again, .id = s->id, .verb = s->verb,
		.args = s->args, .deadline_ms = s->deadline_ms
	};
	int r;

	if (s->cancel) {
		if (c->protocol->command_cancel != NULL)
			c->protocol->command_cancel(c, s->id);
		return true;
	}
	r = c->protocol->command == NULL ? -ENOTSUP :
	    c->protocol->command(c, &cmd);
	if (r == 0)
		return true;
	if (r == -EAGAIN) {
		put_back(t, c, s);
		return false;
	}
	r = command_end_with(t, s->id, COMMAND_ERROR, r == -EMSGSIZE ?
	    "it is too long for the device's protocol" :
	    "the device's protocol cannot carry it");
	if (r == -EAGAIN)
		put_back(t, c, s);
	return r != -EAGAIN;
}

void
command_deliver(struct channel *c)
{
	struct command_table *t = c->owner->shared.commands;
	struct step s;
	bool more;

	if (t == NULL || c->endpoint == NULL)
		return;
	do {
		if (c->phase != PHASE_OPEN || c->ended || !channel_is_live(c) ||
		    next_step(t, c, &s) != 0)
			return;
		more = carry_out(t, c, &s);
		mem_free(s.args);
	} while (more);
}

static void
look(struct mail *m)
{
	struct command_job *j = CT_CONTAINER(m, struct command_job, mail);
	struct channel *c = channel_find(j->worker, j->channel);

	/* Not there: whoever is live then has looked, or will at its hello or
	 * when it arrives on another worker. */
	if (c != NULL)
		command_deliver(c);
	command_job_free(j);
}

void
command_look(struct command_job *j)
{
	struct command_deps *d = &j->table->deps;
	struct endpoint_facts facts;

	if (j->table->workers == NULL ||
	    endpoint_get(d->endpoints, j->endpoint, &facts) != 0 ||
	    facts.place.channel_id == 0) {
		command_job_free(j);
		return;
	}
	j->worker = j->table->workers[facts.place.worker];
	j->channel = facts.place.channel_id;
	j->mail.fn = look;
	mailbox_post(&j->worker->worker->mailbox, &j->mail);
}

/* ---- from the device --------------------------------------------------- */

static int
run_accepted(struct store_job *job, struct store_db *db)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);

	return store_command_set(db, j->id, COMMAND_ACCEPTED, "", "",
	    clock_wall_ms(), &j->final);
}

static void
accepted(struct store_job *job)
{
	struct command_job *j = CT_CONTAINER(job, struct command_job, job);
	struct command_table *t = j->table;
	struct command *cmd;

	pthread_mutex_lock(&t->lock);
	cmd = command_find(t, j->id);
	if (cmd != NULL)
		cmd->accepting = false;
	/* Not stored: the device says so again at its next channel. */
	if (job->error != 0 && cmd != NULL)
		cmd->accepted = false;
	pthread_mutex_unlock(&t->lock);
	if (job->error == 0)
		command_publish(t, EVENT_COMMAND_ACCEPTED, j->endpoint, j->id,
		    j->verb, NULL, NULL, "");
	command_job_free(j);
}

/* An open one of this channel's endpoint; under the lock. */
static struct command *
own(struct command_table *t, const struct channel *c, const char *id)
{
	struct command *cmd = id_word_valid(id) ? command_find(t, id) : NULL;

	return cmd != NULL && !cmd->storing && strcmp(cmd->queue->endpoint,
	    channel_endpoint(c)) == 0 ? cmd : NULL;
}

int
channel_command_accepted(struct channel *c, const char *id)
{
	struct command_table *t = c->owner->shared.commands;
	struct command_job *j;
	struct command *cmd;
	bool news = false;
	int r;

	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	if (t == NULL)
		return -EAGAIN;
	j = command_job_new(t, id, "", "");
	if (j == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	cmd = own(t, c, id);
	if (cmd != NULL && !cmd->accepted) {
		news = cmd->accepted = cmd->accepting = true;
		(void)snprintf(j->verb, sizeof(j->verb), "%s", cmd->verb);
		(void)snprintf(j->endpoint, sizeof(j->endpoint), "%s",
		    cmd->queue->endpoint);
	}
	r = cmd == NULL ? -ENOENT : 0;
	pthread_mutex_unlock(&t->lock);
	if (!news) {
		command_job_free(j);
		return r;
	}
	j->job.run = run_accepted;
	j->job.done = accepted;
	r = store_submit(t->deps.store, &j->job);
	if (r == 0)
		return 0;
	pthread_mutex_lock(&t->lock);
	cmd = own(t, c, id);
	if (cmd != NULL)
		cmd->accepted = cmd->accepting = false;
	pthread_mutex_unlock(&t->lock);
	command_job_free(j);
	return -EAGAIN;
}

int
channel_command_later(struct channel *c, const char *id)
{
	struct command_table *t = c->owner->shared.commands;
	struct command *cmd;
	int r = -ENOENT;

	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	if (t == NULL)
		return -EAGAIN;
	pthread_mutex_lock(&t->lock);
	cmd = own(t, c, id);
	if (cmd != NULL && cmd->sent_on == c->id) {
		cmd->sent_on = 0;
		cmd->queue->later_on = c->id;
		cmd->queue->later_ms = clock_mono_ms() + LATER_MS;
		command_stall(t, cmd->queue);
		r = 0;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* Its beginning, if it is longer; to[max + 1]. */
static void
copy_cut(char *to, const char *text, size_t max)
{
	size_t n = command_cut(text, max);

	memcpy(to, text, n);
	to[n] = '\0';
}

int
channel_command_progress(struct channel *c, const char *id, int percent,
    const char *text)
{
	struct command_table *t = c->owner->shared.commands;
	char verb[COMMAND_VERB_MAX + 1], number[16], shown[PROGRESS_TEXT + 1];
	uint64_t now = clock_mono_ms();
	struct command *cmd;
	bool publish;

	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	if (t == NULL)
		return -EAGAIN;
	pthread_mutex_lock(&t->lock);
	cmd = own(t, c, id);
	publish = cmd != NULL && (cmd->progress_ms == 0 ||
	    now - cmd->progress_ms >= PROGRESS_EVERY_MS);
	if (publish) {
		cmd->progress_ms = now;
		(void)snprintf(verb, sizeof(verb), "%s", cmd->verb);
	}
	pthread_mutex_unlock(&t->lock);
	if (cmd == NULL)
		return -ENOENT;
	if (!publish)			/* more than once a second */
		return 0;
	copy_cut(shown, text, PROGRESS_TEXT);
	(void)snprintf(number, sizeof(number), "%d", percent);
	command_publish(t, EVENT_COMMAND_PROGRESS, channel_endpoint(c), id,
	    verb, percent >= 0 && percent <= 100 ? "percent" : NULL, number,
	    shown);
	return 0;
}

int
channel_command_outcome(struct channel *c, uint64_t request,
    const struct channel_outcome *o)
{
	struct command_table *t = c->owner->shared.commands;
	char message[MESSAGE_MAX + 1];
	struct command_job *j;
	int r;

	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	if (t == NULL)
		return -EAGAIN;
	if (!id_word_valid(o->id))
		return -EINVAL;
	if (o->result[0] != '\0' &&
	    json_check_value(o->result, strlen(o->result)) != 0)
		return -EINVAL;
	copy_cut(message, o->message, MESSAGE_MAX);
	j = command_job_new(t, o->id, message, o->result);
	if (j == NULL)
		return -ENOMEM;
	r = completion_begin(c, request, &j->completion);
	if (r != 0) {
		command_job_free(j);
		return r;
	}
	j->has_completion = true;
	j->from_device = true;
	(void)snprintf(j->endpoint, sizeof(j->endpoint), "%s",
	    channel_endpoint(c));
	r = command_end(j, o->state);
	/* Its memory is gone: the channel alone counted it. */
	if (r != 0)
		c->completions--;
	return r;
}
