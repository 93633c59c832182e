/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint table itself.  A shard is a chained hash table whose nodes come
 * from a slab; ids of up to 22 bytes live in the node.
 */
#include "endpoint/endpoint_priv.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define FIRST_BUCKETS 64

struct endpoint_shard *
endpoint_shard_of(struct endpoint_table *t, uint32_t hash)
{
	return &t->shard[hash & (ENDPOINT_SHARDS - 1)];
}

int
endpoint_table_new(struct event_bus *bus, struct endpoint_table **ret)
{
	struct endpoint_table *t = mem_calloc(1, sizeof(*t));
	struct endpoint_shard *s;

	if (t == NULL)
		return -ENOMEM;
	t->bus = bus;
	pthread_mutex_init(&t->wait_lock, NULL);
	pthread_mutex_init(&t->clone_lock, NULL);
	for (int i = 0; i < ENDPOINT_SHARDS; i++) {
		s = &t->shard[i];
		pthread_mutex_init(&s->lock, NULL);
		slab_init(&s->slab, sizeof(struct endpoint));
		s->dirty_end = &s->dirty;
		s->due = ENDPOINT_NEVER;
	}
	*ret = t;
	return 0;
}

static void
shard_free(struct endpoint_shard *s)
{
	struct endpoint *e, *next;

	for (size_t i = 0; i < s->buckets; i++)
		for (e = s->bucket[i]; e != NULL; e = next) {
			next = e->next;
			if (e->id.at.is_long)
				mem_free(e->id.at.heap);
			slab_put(&s->slab, e);
		}
	mem_free(s->bucket);
	slab_fini(&s->slab);
	pthread_mutex_destroy(&s->lock);
}

void
endpoint_table_free(struct endpoint_table **pt)
{
	struct endpoint_table *t = *pt;

	if (t == NULL)
		return;
	CT_ASSERT(t->waiting == NULL && t->flushing == NULL);
	for (int i = 0; i < ENDPOINT_SHARDS; i++)
		shard_free(&t->shard[i]);
	clone_fini(t);
	pthread_mutex_destroy(&t->clone_lock);
	pthread_mutex_destroy(&t->wait_lock);
	mem_free(t);
	*pt = NULL;
}

void
endpoint_table_set_closer(struct endpoint_table *t,
    void (*fn)(void *ctx, struct endpoint_closing *), void *ctx)
{
	t->close = fn;
	t->close_ctx = ctx;
}

static struct endpoint **
bucket_of(struct endpoint_shard *s, uint32_t hash)
{
	return &s->bucket[(hash / ENDPOINT_SHARDS) & (s->buckets - 1)];
}

/* Doubles the buckets when they are full on average.  Failing is harmless as
 * long as there is a table at all. */
static int
shard_grow(struct endpoint_shard *s)
{
	size_t n = s->buckets == 0 ? FIRST_BUCKETS : s->buckets * 2;
	struct endpoint **old = s->bucket, *e, *next, **to;
	size_t old_n = s->buckets;

	if (s->count < s->buckets)
		return 0;
	s->bucket = mem_calloc(n, sizeof(*s->bucket));
	if (s->bucket == NULL) {
		s->bucket = old;
		return old == NULL ? -ENOMEM : 0;
	}
	s->buckets = n;
	for (size_t i = 0; i < old_n; i++)
		for (e = old[i]; e != NULL; e = next) {
			next = e->next;
			to = bucket_of(s, e->hash);
			e->next = *to;
			*to = e;
		}
	mem_free(old);
	return 0;
}

struct endpoint *
endpoint_find(struct endpoint_shard *s, uint32_t hash, const char *id)
{
	struct endpoint *e;

	if (s->buckets == 0)
		return NULL;
	for (e = *bucket_of(s, hash); e != NULL; e = e->next)
		if (e->hash == hash && strcmp(endpoint_text(e), id) == 0)
			return e;
	return NULL;
}

static int
insert(struct endpoint_shard *s, uint32_t hash, const char *id,
    struct endpoint **ret)
{
	size_t n = strlen(id) + 1;
	struct endpoint *e, **to;

	if (shard_grow(s) != 0)
		return -ENOMEM;
	e = slab_get(&s->slab);
	if (e == NULL)
		return -ENOMEM;
	if (n < ENDPOINT_SHORT_ID) {
		memcpy(e->id.here, id, n);
	} else if ((e->id.at.heap = mem_dup(id, n)) != NULL) {
		e->id.at.is_long = true;
	} else {
		slab_put(&s->slab, e);
		return -ENOMEM;
	}
	e->hash = hash;
	e->state = PRESENCE_UNLINKED;
	e->since = endpoint_wall(clock_wall_ms());
	to = bucket_of(s, hash);
	e->next = *to;
	*to = e;
	s->count++;
	s->by_state[PRESENCE_UNLINKED]++;
	*ret = e;
	return 0;
}

/* The limit is the table's: shards are not filled evenly. */
int
endpoint_add(struct endpoint_table *t, struct endpoint_shard *s, uint32_t hash,
    const char *id, struct endpoint **ret)
{
	int r = -ENOSPC;

	if (atomic_fetch_add(&t->count, 1) < ENDPOINTS_MAX)
		r = insert(s, hash, id, ret);
	if (r != 0) {
		atomic_fetch_sub(&t->count, 1);
		return r;
	}
	(*ret)->number = t->first_number;
	(*ret)->revision = t->first_revision;
	return 0;
}

uint64_t
endpoint_wall(int64_t ms)
{
	if (ms < 0)
		return 0;
	return (uint64_t)(ms > ENDPOINT_WALL_MAX ? ENDPOINT_WALL_MAX : ms);
}

void
endpoint_set_state(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e, enum presence_state state, int64_t since_ms)
{
	s->by_state[e->state]--;
	s->by_state[state]++;
	if (e->state == PRESENCE_UNKNOWN)
		atomic_fetch_sub(&t->unknown, 1);
	if (state == PRESENCE_UNKNOWN)
		atomic_fetch_add(&t->unknown, 1);
	e->state = state;
	e->since = endpoint_wall(since_ms);
	if (state == PRESENCE_ASLEEP && (int64_t)e->until < s->due)
		s->due = (int64_t)e->until;
}

bool
endpoint_apply(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e, enum presence_input input, unsigned arg)
{
	struct presence p = {
		.state = (uint8_t)e->state, .reason = (uint8_t)e->reason,
		.intent = (uint8_t)e->intent
	};
	bool changed = presence_apply(&p, input, arg);

	if (changed || p.intent != e->intent)
		endpoint_mark(t, s, e);
	e->reason = p.reason;
	e->intent = p.intent;
	if (p.state != e->state)
		endpoint_set_state(t, s, e, (enum presence_state)p.state,
		    clock_wall_ms());
	return changed;
}

enum event_type
endpoint_event_type(const struct endpoint *e)
{
	static const enum event_type type[PRESENCE_STATES] = {
		[PRESENCE_UNKNOWN] = EVENT_ENDPOINT_UNKNOWN,
		[PRESENCE_ONLINE] = EVENT_ENDPOINT_ONLINE,
		[PRESENCE_SUSPECT] = EVENT_ENDPOINT_SUSPECT,
		[PRESENCE_OFFLINE] = EVENT_ENDPOINT_OFFLINE,
		[PRESENCE_ASLEEP] = EVENT_ENDPOINT_ASLEEP,
		[PRESENCE_DISCONNECTED] = EVENT_ENDPOINT_DISCONNECTED,
		[PRESENCE_UNLINKED] = EVENT_ENDPOINT_UNLINKED
	};

	return type[e->state];
}

void
endpoint_fill_event(struct event *ev, const struct endpoint *e,
    enum event_type type)
{
	*ev = (struct event){
		.type = type,
		.endpoint = endpoint_text(e),
		.channel = e->number,
		.revision = e->revision,
		.state = (enum presence_state)e->state,
		.security = (enum channel_security)e->security,
		.reason = (enum presence_reason)e->reason,
		.rtt_us = e->rtt_us
	};
}

void
endpoint_publish_state(struct endpoint_table *t, struct endpoint *e)
{
	struct event ev;

	e->revision++;
	endpoint_fill_event(&ev, e, endpoint_event_type(e));
	ev.since_ms = (int64_t)e->since;	/* as the store has it */
	event_emit(t->bus, &ev);
}

void
endpoint_fill_facts(struct endpoint_facts *f, const struct endpoint *e)
{
	*f = (struct endpoint_facts){
		.id = endpoint_text(e),
		.place = endpoint_place(e),
		.number = e->number, .revision = e->revision,
		.credential = e->credential,
		.presence = { .state = (uint8_t)e->state,
		    .reason = (uint8_t)e->reason,
		    .intent = (uint8_t)e->intent },
		.security = (enum channel_security)e->security,
		.since_ms = (int64_t)e->since,
		.last_seen_ms = (int64_t)e->seen,
		.asleep_until_ms = (int64_t)e->until,
		.rtt_us = e->rtt_us
	};
}

void
endpoint_leave(struct endpoint_table *t, struct endpoint_shard *s)
{
	bool nudge = s->nudge;

	s->nudge = false;
	pthread_mutex_unlock(&s->lock);
	if (nudge)
		t->keeper.nudge(t->keeper.ctx);
}

bool
endpoint_said(struct endpoint_table *t, const char *id, uint32_t said)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;
	bool same = false;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && !e->forgotten) {
		same = said != 0 && e->said == (said & 0xffffff);
		e->said = said & 0xffffff;
	}
	pthread_mutex_unlock(&s->lock);
	return same;
}

int
endpoint_known(struct endpoint_table *t, const char *id)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && !e->forgotten)
		r = -EEXIST;
	else if (e == NULL)
		r = endpoint_add(t, s, hash, id, &e);
	else
		endpoint_recall(t, s, e);
	if (r == 0) {
		endpoint_mark(t, s, e);
		endpoint_publish_state(t, e);
	}
	endpoint_leave(t, s);
	event_kick(t->bus);
	return r == -EEXIST ? 0 : r;
}

int
endpoint_forget_begin(struct endpoint_table *t, const char *id)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;
	int r = -ENOENT;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && !e->forgotten && !e->leaving) {
		e->leaving = true;
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void
endpoint_forget_cancel(struct endpoint_table *t, const char *id)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && e->leaving) {
		e->leaving = false;
		endpoint_mark(t, s, e);
	}
	endpoint_leave(t, s);
	/* What it was refused meanwhile is begun again. */
	(void)endpoint_kick(t, id, 1013, "try again");
}

void
endpoint_blot_out(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e)
{
	/* Its channel, if it has one, is nobody's now. */
	endpoint_let_go(s, e);
	e->intent = e->reason = 0;
	e->until = e->seen = 0;
	endpoint_set_state(t, s, e, PRESENCE_UNLINKED, clock_wall_ms());
	s->by_state[PRESENCE_UNLINKED]--;
	e->forgotten = true;
	e->leaving = false;
	e->said = 0;
	e->dirty = false;
	atomic_fetch_add(&t->forgotten, 1);
}

int
endpoint_forget(struct endpoint_table *t, const char *id)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;
	struct event ev;
	int r = -ENOENT;

	(void)endpoint_kick(t, id, ENDPOINT_KICK_FORGOTTEN, "forgotten");
	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && !e->forgotten) {
		endpoint_blot_out(t, s, e);
		e->revision++;
		endpoint_fill_event(&ev, e, EVENT_ENDPOINT_FORGOTTEN);
		ev.state = PRESENCE_UNLINKED;
		event_emit(t->bus, &ev);
		r = 0;
	}
	endpoint_leave(t, s);
	event_kick(t->bus);
	return r;
}

void
endpoint_recall(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e)
{
	if (!e->forgotten)
		return;
	e->forgotten = false;
	s->by_state[PRESENCE_UNLINKED]++;
	atomic_fetch_sub(&t->forgotten, 1);
}

int
endpoint_get(struct endpoint_table *t, const char *id,
    struct endpoint_facts *ret)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;
	int r = -ENOENT;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && !e->forgotten && !e->leaving) {
		endpoint_fill_facts(ret, e);
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

const char *
endpoint_id(const struct endpoint *e)
{
	return endpoint_text(e);
}

size_t
endpoint_table_count(struct endpoint_table *t)
{
	return atomic_load(&t->count) - atomic_load(&t->forgotten);
}
