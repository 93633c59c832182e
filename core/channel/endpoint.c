/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint table.  A shard is a chained hash table whose nodes come from a
 * slab; ids of up to 23 bytes live in the node.
 */
#include "channel/endpoint.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/slab.h"

#define SHARDS 16			/* a power of two */
#define FIRST_BUCKETS 64
#define SHORT_ID 24
#define FIGURES_SLICE 512		/* buckets under the lock at a time */

struct endpoint {
	struct endpoint *next;		/* in its bucket */
	char *id;			/* short_id, or on the heap */
	char short_id[SHORT_ID];
	uint64_t channel_id;		/* live channel; 0 none */
	uint64_t number;		/* of the last channel */
	uint64_t revision;
	int64_t asleep_until;		/* wall ms, with INTENT_SLEEP */
	struct endpoint *next_sleeper;
	uint32_t hash;
	uint32_t rtt_us;
	uint16_t worker;
	uint8_t security;		/* enum channel_security */
	bool sleeper;			/* in the shard's list of sleepers */
	struct presence presence;
};

struct shard {
	pthread_mutex_t lock;		/* guards all below and its endpoints */
	struct endpoint **bucket;
	size_t buckets, count;
	struct endpoint *sleepers;
	struct slab slab;
};

struct endpoint_table {
	struct event_bus *bus;
	_Atomic size_t count;		/* in all shards */
	struct shard shard[SHARDS];
};

bool
endpoint_id_valid(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-");

	return n > 0 && n <= ENDPOINT_ID_MAX && id[n] == '\0';
}

/* FNV-1a with a final mix; ids are chosen by the operator, not by an attacker:
 * an id is looked up only after it was proven. */
static uint32_t
hash_id(const char *id)
{
	uint32_t h = 2166136261u;

	for (; *id != '\0'; id++)
		h = (h ^ (uint8_t)*id) * 16777619u;
	h ^= h >> 15;
	h *= 0x2c1b3c6du;
	return h ^ (h >> 13);
}

static struct shard *
shard_of(struct endpoint_table *t, uint32_t hash)
{
	return &t->shard[hash & (SHARDS - 1)];
}

int
endpoint_table_new(struct event_bus *bus, struct endpoint_table **ret)
{
	struct endpoint_table *t = mem_calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->bus = bus;
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&t->shard[i].lock, NULL);
		slab_init(&t->shard[i].slab, sizeof(struct endpoint));
	}
	*ret = t;
	return 0;
}

static void
shard_free(struct shard *s)
{
	struct endpoint *e, *next;

	for (size_t i = 0; i < s->buckets; i++)
		for (e = s->bucket[i]; e != NULL; e = next) {
			next = e->next;
			if (e->id != e->short_id)
				mem_free(e->id);
			slab_put(&s->slab, e);
		}
	mem_free(s->bucket);
	slab_fini(&s->slab);
	pthread_mutex_destroy(&s->lock);
}

void
endpoint_table_free(struct endpoint_table **pt)
{
	if (*pt == NULL)
		return;
	for (int i = 0; i < SHARDS; i++)
		shard_free(&(*pt)->shard[i]);
	mem_free(*pt);
	*pt = NULL;
}

static struct endpoint **
bucket_of(struct shard *s, uint32_t hash)
{
	return &s->bucket[(hash / SHARDS) & (s->buckets - 1)];
}

/* Doubles the buckets when they are full on average.  Failing is harmless as
 * long as there is a table at all. */
static int
shard_grow(struct shard *s)
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

static struct endpoint *
find(struct shard *s, uint32_t hash, const char *id)
{
	struct endpoint *e;

	if (s->buckets == 0)
		return NULL;
	for (e = *bucket_of(s, hash); e != NULL; e = e->next)
		if (e->hash == hash && strcmp(e->id, id) == 0)
			return e;
	return NULL;
}

static int
insert(struct shard *s, uint32_t hash, const char *id, struct endpoint **ret)
{
	size_t n = strlen(id) + 1;
	struct endpoint *e, **to;

	if (shard_grow(s) != 0)
		return -ENOMEM;
	e = slab_get(&s->slab);
	if (e == NULL)
		return -ENOMEM;
	e->id = n <= SHORT_ID ? e->short_id : mem_alloc(n);
	if (e->id == NULL) {
		slab_put(&s->slab, e);
		return -ENOMEM;
	}
	memcpy(e->id, id, n);
	e->hash = hash;
	to = bucket_of(s, hash);
	e->next = *to;
	*to = e;
	s->count++;
	*ret = e;
	return 0;
}

/* The limit is the table's: shards are not filled evenly. */
static int
add(struct endpoint_table *t, struct shard *s, uint32_t hash, const char *id,
    struct endpoint **ret)
{
	int r = -ENOSPC;

	if (atomic_fetch_add(&t->count, 1) < ENDPOINTS_MAX)
		r = insert(s, hash, id, ret);
	if (r != 0)
		atomic_fetch_sub(&t->count, 1);
	return r;
}

static enum event_type
type_of(enum presence_state state)
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

	return type[state];
}

static void
fill(struct event *ev, const struct endpoint *e, enum event_type type)
{
	*ev = (struct event){
		.type = type,
		.endpoint = e->id,
		.channel = e->number,
		.revision = e->revision,
		.state = (enum presence_state)e->presence.state,
		.security = (enum channel_security)e->security,
		.reason = (enum presence_reason)e->presence.reason,
		.rtt_us = e->rtt_us
	};
}

/* Under the shard's lock. */
static void
publish_state(struct endpoint_table *t, struct endpoint *e)
{
	struct event ev;

	e->revision++;
	fill(&ev, e, type_of((enum presence_state)e->presence.state));
	event_emit(t->bus, &ev);
}

int
endpoint_claim(struct endpoint_table *t, const struct endpoint_claim *c,
    struct endpoint **ret, uint64_t *ret_number, struct endpoint_place *ret_old)
{
	uint32_t hash = hash_id(c->id);
	struct shard *s = shard_of(t, hash);
	uint64_t old_number;
	struct endpoint *e;
	struct event ev;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	e = find(s, hash, c->id);
	if (e == NULL)
		r = add(t, s, hash, c->id, &e);
	if (r == 0) {
		old_number = e->number;
		*ret_old = (struct endpoint_place){
			.channel_id = e->channel_id, .worker = e->worker
		};
		e->channel_id = c->place.channel_id;
		e->worker = (uint16_t)c->place.worker;
		e->security = (uint8_t)c->security;
		e->rtt_us = 0;
		e->number++;
		e->revision++;
		(void)presence_apply(&e->presence, PRESENCE_IN_HELLO, 0);
		fill(&ev, e, EVENT_ENDPOINT_ONLINE);
		if (ret_old->channel_id != 0) {
			ev.type = EVENT_ENDPOINT_REPLACED;
			ev.old_channel = old_number;
		}
		ev.peer = c->peer;
		ev.text = c->agent;
		event_emit(t->bus, &ev);
		*ret = e;
		*ret_number = e->number;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Under the lock: the live channel is gone; a sleeper is remembered. */
static void
let_go(struct shard *s, struct endpoint *e)
{
	e->channel_id = 0;
	e->security = SECURITY_NONE;
	if (e->presence.state == PRESENCE_ASLEEP && !e->sleeper) {
		e->sleeper = true;
		e->next_sleeper = s->sleepers;
		s->sleepers = e;
	}
}

void
endpoint_input(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, enum presence_input input, unsigned arg)
{
	struct shard *s = shard_of(t, e->hash);
	bool changed;

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id) {
		changed = presence_apply(&e->presence, input, arg);
		if (input == PRESENCE_IN_END)
			let_go(s, e);
		if (changed)
			publish_state(t, e);
	}
	pthread_mutex_unlock(&s->lock);
}

void
endpoint_sleep(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, int64_t until_wall_ms)
{
	struct shard *s = shard_of(t, e->hash);

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id) {
		e->asleep_until = until_wall_ms;
		(void)presence_apply(&e->presence, PRESENCE_IN_INTENT,
		    INTENT_SLEEP);
	}
	pthread_mutex_unlock(&s->lock);
}

int
endpoint_moved(struct endpoint_table *t, const char *id,
    struct endpoint_place place, struct endpoint **ret)
{
	uint32_t hash = hash_id(id);
	struct shard *s = shard_of(t, hash);
	struct endpoint *e;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	e = find(s, hash, id);
	if (e == NULL) {
		r = -ENOENT;
	} else if (e->channel_id != place.channel_id) {
		r = -ESTALE;
	} else {
		e->worker = (uint16_t)place.worker;
		*ret = e;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void
endpoint_set_rtt(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, uint32_t rtt_us)
{
	struct shard *s = shard_of(t, e->hash);

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id)
		e->rtt_us = rtt_us;
	pthread_mutex_unlock(&s->lock);
}

int
endpoint_publish(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, const char *detail, size_t n)
{
	struct shard *s = shard_of(t, e->hash);
	struct event ev;
	int r = -EPERM;

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id) {
		fill(&ev, e, EVENT_ENDPOINT_MESSAGE);
		ev.detail = detail;
		ev.detail_n = n;
		event_emit(t->bus, &ev);
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void
sweep_shard(struct endpoint_table *t, struct shard *s, int64_t wall_ms,
    uint32_t grace_ms)
{
	struct endpoint **pe = &s->sleepers, *e;

	while ((e = *pe) != NULL) {
		if (e->presence.state == PRESENCE_ASLEEP &&
		    wall_ms - grace_ms < e->asleep_until) {
			pe = &e->next_sleeper;
			continue;
		}
		*pe = e->next_sleeper;
		e->sleeper = false;
		if (presence_apply(&e->presence, PRESENCE_IN_OVERDUE, 0))
			publish_state(t, e);
	}
}

void
endpoint_table_sweep(struct endpoint_table *t, int64_t wall_ms,
    uint32_t grace_ms)
{
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&t->shard[i].lock);
		sweep_shard(t, &t->shard[i], wall_ms, grace_ms);
		pthread_mutex_unlock(&t->shard[i].lock);
	}
	event_kick(t->bus);
}

/* A table that grows meanwhile splits bucket i into i and i + n, both still
 * ahead of a cursor at i: none is missed. */
static void
restate_shard(struct endpoint_table *t, struct shard *s,
    struct endpoint_cursor *at, size_t *left)
{
	struct endpoint *e;
	struct event ev;

	for (; at->bucket < s->buckets && *left > 0; at->bucket++)
		for (e = s->bucket[at->bucket]; e != NULL; e = e->next) {
			fill(&ev, e, type_of(
			    (enum presence_state)e->presence.state));
			event_emit(t->bus, &ev);
			*left -= *left > 0;
		}
	if (at->bucket >= s->buckets) {
		at->shard++;
		at->bucket = 0;
	}
}

bool
endpoint_table_restate(struct endpoint_table *t, struct endpoint_cursor *at,
    size_t max)
{
	struct shard *s;

	while (at->shard < SHARDS && max > 0) {
		s = &t->shard[at->shard];
		pthread_mutex_lock(&s->lock);
		restate_shard(t, s, at, &max);
		pthread_mutex_unlock(&s->lock);
	}
	event_kick(t->bus);
	return at->shard < SHARDS;
}

static void
tally(const struct endpoint *e, struct endpoint_figures *f)
{
	for (; e != NULL; e = e->next) {
		f->state[e->presence.state]++;
		if (e->channel_id != 0)
			f->live[e->security]++;
	}
}

/* An endpoint never leaves its bucket but when the buckets double: then the
 * shard is counted again. */
static void
shard_figures(struct shard *s, struct endpoint_figures *ret)
{
	struct endpoint_figures f = { .state = { 0 } };
	size_t at = 0, buckets = 0, end;
	bool more = true;

	while (more) {
		pthread_mutex_lock(&s->lock);
		if (buckets != s->buckets) {
			buckets = s->buckets;
			at = 0;
			f = (struct endpoint_figures){ .state = { 0 } };
		}
		end = at + FIGURES_SLICE < buckets ? at + FIGURES_SLICE :
		    buckets;
		for (; at < end; at++)
			tally(s->bucket[at], &f);
		more = at < s->buckets;
		pthread_mutex_unlock(&s->lock);
	}
	for (int i = 0; i < PRESENCE_STATES; i++)
		ret->state[i] += f.state[i];
	for (int i = 0; i <= SECURITY_WSS_SAFE; i++)
		ret->live[i] += f.live[i];
}

void
endpoint_table_figures(struct endpoint_table *t, struct endpoint_figures *ret)
{
	*ret = (struct endpoint_figures){ .state = { 0 } };
	for (int i = 0; i < SHARDS; i++)
		shard_figures(&t->shard[i], ret);
}

const char *
endpoint_id(const struct endpoint *e)
{
	return e->id;
}

size_t
endpoint_table_count(struct endpoint_table *t)
{
	return atomic_load(&t->count);
}
