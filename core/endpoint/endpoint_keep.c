/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the endpoint table has to be stored.  An endpoint that changes is put
 * on its shard's list and the keeper is nudged; the keeper collects, commits
 * and says how that ended.  What has changed again meanwhile, or was not
 * committed, is on the list once more.
 */
#include "endpoint/endpoint_priv.h"

#include <errno.h>

#include "base/check.h"
#include "base/id.h"

/* Of a shard in one commit: jobs of others wait behind it. */
#define COLLECT_MAX 512

static void
enlist(struct endpoint_shard *s, struct endpoint *e)
{
	e->listed = true;
	e->next_dirty = NULL;
	*s->dirty_end = e;
	s->dirty_end = &e->next_dirty;
	s->nudge = true;
}

void
endpoint_mark(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e)
{
	if (t->keeper.nudge == NULL || e->forgotten)
		return;
	e->dirty = true;
	if (!e->listed)
		enlist(s, e);
}

void
endpoint_table_keep(struct endpoint_table *t,
    const struct endpoint_keeper *keeper)
{
	t->keeper = *keeper;
}

/* Under the lock: the oldest of the list become those under way. */
static void
take(struct endpoint_shard *s)
{
	struct endpoint **pe = &s->dirty;

	CT_ASSERT(s->flushing == NULL);
	for (unsigned n = 0; *pe != NULL && n < COLLECT_MAX; n++)
		pe = &(*pe)->next_dirty;
	s->flushing = s->dirty;
	s->dirty = *pe;
	*pe = NULL;
	if (s->dirty == NULL)
		s->dirty_end = &s->dirty;
}

static int
save_shard(struct endpoint_shard *s, endpoint_save_fn *save, void *ctx)
{
	struct endpoint_facts f;
	struct endpoint *e;
	bool wanted;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	take(s);
	pthread_mutex_unlock(&s->lock);
	/* The list is ours alone; what is in it is not. */
	for (e = s->flushing; e != NULL && r == 0; e = e->next_dirty) {
		pthread_mutex_lock(&s->lock);
		wanted = !e->forgotten && !e->leaving;
		endpoint_fill_facts(&f, e);
		if (!e->leaving) {
			e->dirty = false;
			e->uncollected = 0;
		}
		pthread_mutex_unlock(&s->lock);
		if (!wanted)
			continue;
		r = save(ctx, &f);
		if (r != 0) {
			pthread_mutex_lock(&s->lock);
			e->dirty = true;
			pthread_mutex_unlock(&s->lock);
		}
	}
	return r;
}

/* Those who wait for what was collected now: nothing of theirs is left. */
static void
take_waiters(struct endpoint_table *t)
{
	struct endpoint_waiter **pw, *w;
	struct endpoint_shard *s;
	bool clean;

	pthread_mutex_lock(&t->wait_lock);
	for (pw = &t->waiting; (w = *pw) != NULL;) {
		s = endpoint_shard_of(t, w->endpoint->hash);
		pthread_mutex_lock(&s->lock);
		clean = !w->endpoint->dirty;
		pthread_mutex_unlock(&s->lock);
		if (!clean) {
			pw = &w->next;
			continue;
		}
		*pw = w->next;
		w->next = t->flushing;
		t->flushing = w;
	}
	pthread_mutex_unlock(&t->wait_lock);
}

int
endpoint_table_collect(struct endpoint_table *t, endpoint_save_fn *save,
    void *ctx)
{
	int r = 0;

	for (int i = 0; i < ENDPOINT_SHARDS && r == 0; i++)
		r = save_shard(&t->shard[i], save, ctx);
	take_waiters(t);
	return r;
}

/* Under the lock. */
static void
settle_shard(struct endpoint_shard *s, int error)
{
	struct endpoint *e, *next;

	for (e = s->flushing; e != NULL; e = next) {
		next = e->next_dirty;
		if (error != 0)
			e->dirty = !e->forgotten;
		else if (!e->leaving)
			e->unstored = e->uncollected;
		e->listed = false;
		if (e->dirty)
			enlist(s, e);
	}
	s->flushing = NULL;
	/* A disk that fails is tried again with the next change, or flush. */
	s->nudge = error == 0 && s->dirty != NULL;
}

void
endpoint_table_settled(struct endpoint_table *t, int error)
{
	struct endpoint_waiter *w, *next;
	struct endpoint_shard *s;

	for (int i = 0; i < ENDPOINT_SHARDS; i++) {
		s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		settle_shard(s, error);
		endpoint_leave(t, s);
	}
	w = t->flushing;
	t->flushing = NULL;
	for (; w != NULL; w = next) {
		next = w->next;
		w->fn(w, error);
	}
}

void
endpoint_wait(struct endpoint_table *t, struct endpoint *e,
    struct endpoint_waiter *w)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);
	bool stored;

	pthread_mutex_lock(&s->lock);
	stored = t->keeper.nudge == NULL || (!e->dirty && !e->listed);
	pthread_mutex_unlock(&s->lock);
	if (stored) {
		w->fn(w, 0);
		return;
	}
	w->endpoint = e;
	pthread_mutex_lock(&t->wait_lock);
	w->next = t->waiting;
	t->waiting = w;
	pthread_mutex_unlock(&t->wait_lock);
	t->keeper.nudge(t->keeper.ctx);
}

void
endpoint_table_give_up(struct endpoint_table *t)
{
	struct endpoint_waiter *w, *next;

	pthread_mutex_lock(&t->wait_lock);
	w = t->waiting;
	t->waiting = NULL;
	pthread_mutex_unlock(&t->wait_lock);
	for (; w != NULL; w = next) {
		next = w->next;
		w->fn(w, -ESHUTDOWN);
	}
}

/* ---- at the start ------------------------------------------------------ */

/* What was there when the last run died was seen until shortly before. */
static int64_t
last_seen(const struct endpoint_facts *f, const struct endpoint_start *start)
{
	int64_t alive = start->last_alive_ms - start->dead_ms;

	if (!start->killed || (f->presence.state != PRESENCE_ONLINE &&
	    f->presence.state != PRESENCE_SUSPECT))
		return f->last_seen_ms;
	return f->last_seen_ms > alive ? f->last_seen_ms : alive;
}

/* What a database says that another program wrote to is not
 * believed blindly. */
static void
take_state(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e, const struct endpoint_facts *f)
{
	unsigned state = f->presence.state;

	if (state >= PRESENCE_STATES)
		state = PRESENCE_DISCONNECTED;
	if (f->number == 0)
		state = PRESENCE_UNLINKED;
	e->reason = f->presence.reason < REASON_COUNT ? f->presence.reason :
	    REASON_NONE;
	e->intent = f->presence.intent <= INTENT_SLEEP ? f->presence.intent :
	    INTENT_NONE;
	e->until = endpoint_wall(f->asleep_until_ms);
	endpoint_set_state(t, s, e, (enum presence_state)state, f->since_ms);
}

int
endpoint_table_load(struct endpoint_table *t, const struct endpoint_facts *f,
    const struct endpoint_start *start)
{
	uint32_t hash;
	struct endpoint_shard *s;
	struct endpoint *e;
	int r = 0;

	if (!id_valid(f->id))
		return -EINVAL;
	hash = strtab_hash(f->id);
	s = endpoint_shard_of(t, hash);
	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, f->id);
	if (e == NULL)
		r = endpoint_add(t, s, hash, f->id, &e);
	else if (e->forgotten)		/* its channel came in vain */
		endpoint_recall(t, s, e);
	else
		r = -EEXIST;
	if (r == 0) {
		e->number = f->number;
		e->revision = f->revision;
		e->unstored = 0;
		e->seen = endpoint_wall(last_seen(f, start));
		take_state(t, s, e, f);
		if (endpoint_apply(t, s, e, PRESENCE_IN_START, 0))
			e->revision++;
		if (start->killed) {
			e->number += ENDPOINT_LEAP_NUMBERS;
			e->revision += ENDPOINT_LEAP_REVISIONS;
			e->unstored = ENDPOINT_LEAP_NUMBERS;
			endpoint_mark(t, s, e);
		}
	}
	endpoint_leave(t, s);
	return r;
}

void
endpoint_table_loaded(struct endpoint_table *t,
    const struct endpoint_start *start)
{
	uint64_t earlier = start->epoch - 1;

	t->first_number = earlier * ENDPOINT_LEAP_NUMBERS;
	t->first_revision = earlier * ENDPOINT_LEAP_REVISIONS;
}

bool
endpoint_table_behind(struct endpoint_table *t)
{
	struct endpoint_shard *s;
	bool behind = false;

	for (int i = 0; i < ENDPOINT_SHARDS && !behind; i++) {
		s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		behind = s->dirty != NULL || s->flushing != NULL;
		pthread_mutex_unlock(&s->lock);
	}
	return behind;
}
