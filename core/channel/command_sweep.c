/* SPDX-License-Identifier: Apache-2.0 */
/* What the clock does to open commands: each second, from main. */
#include "channel/command_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define SWEEP_MAX 256

/* Ids of what has to be looked at. */
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
		    !c->waking)
			note(s, c);
	}
}

static void
find_stalled(struct command_table *t, struct swept *s)
{
	uint64_t now = clock_mono_ms();
	struct list *it;

	LIST_FOREACH(it, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		if (!c->queue->stalled || c->storing ||
		    c->queue->later_ms > now)
			continue;
		if (s->n == SWEEP_MAX)
			break;		/* the next sweep's */
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

/* All of them, in portions, until the store takes no more. */
static void
end_expired(struct command_table *t, int64_t wall_ms, struct swept *s)
{
	bool taken = true;

	do {
		s->n = 0;
		pthread_mutex_lock(&t->lock);
		if (wall_ms >= t->next_deadline)
			find_expired(t, wall_ms, s);
		pthread_mutex_unlock(&t->lock);
		for (unsigned i = 0; i < s->n && taken; i++)
			taken = command_end_with(t, s->id[i],
			    COMMAND_EXPIRED, "") != -EAGAIN;
	} while (taken && s->n == SWEEP_MAX);
}

void
command_table_sweep(struct command_table *t, int64_t wall_ms)
{
	struct swept *s = mem_calloc(2, sizeof(*s));

	if (s == NULL)
		return;			/* next time */
	end_expired(t, wall_ms, s);
	s->n = 0;
	pthread_mutex_lock(&t->lock);
	if (t->wakes > 0)
		find_wakes(t, &s[0]);
	if (t->stalled > 0)
		find_stalled(t, &s[1]);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < s[0].n; i++)
		wake_try(t, s[0].id[i]);
	for (unsigned i = 0; i < s[1].n; i++)
		look_again(t, s[1].id[i]);
	mem_free(s);
}
