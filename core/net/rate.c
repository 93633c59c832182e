/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets, each as the one time at which it is full again: a token moves
 * that time by 1/rate, and it may not be further away than a whole burst.
 */
#include "net/rate.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"

#define SETS 512u			/* a power of 2 */
#define WAYS 4u
#define SECOND UINT64_C(1000000000)	/* ns */
#define MS UINT64_C(1000000)

struct place {
	struct addr key;
	uint64_t full_ns;
};

struct rate_table {
	pthread_mutex_t lock;
	uint64_t seed;
	struct place set[SETS][WAYS];
};

/* 0: no token; else when it is full again. */
static uint64_t
take(uint64_t full_ns, const struct rate_limit *l, uint64_t now_ns)
{
	uint64_t each = SECOND / l->rate;
	uint64_t burst = l->burst == 0 ? 1 : l->burst;

	if (full_ns < now_ns)
		full_ns = now_ns;
	return full_ns - now_ns > (burst - 1) * each ? 0 : full_ns + each;
}

bool
rate_take(struct rate *r, const struct rate_limit *l, uint64_t now_ms)
{
	uint64_t is, next;

	if (l->rate == 0)
		return true;
	is = atomic_load(&r->full_ns);
	do {
		next = take(is, l, now_ms * MS);
		if (next == 0)
			return false;
	} while (!atomic_compare_exchange_weak(&r->full_ns, &is, next));
	return true;
}

int
rate_table_new(uint64_t seed, struct rate_table **ret)
{
	struct rate_table *t = mem_calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&t->lock, NULL);	/* cannot fail here */
	t->seed = seed;
	*ret = t;
	return 0;
}

void
rate_table_free(struct rate_table **pt)
{
	struct rate_table *t = *pt;

	*pt = NULL;
	if (t == NULL)
		return;
	(void)pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

/* Seeded, so that nobody chooses addresses that meet in one place. */
static struct place *
set_of(struct rate_table *t, const struct addr *key)
{
	uint64_t h = t->seed, part;

	for (size_t i = 0; i < sizeof(key->b); i += sizeof(part)) {
		memcpy(&part, key->b + i, sizeof(part));
		h = (h ^ part) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return t->set[h * UINT64_C(0xbf58476d1ce4e5b9) >> 32 & (SETS - 1)];
}

bool
rate_table_take(struct rate_table *t, const struct addr *key,
    const struct rate_limit *l, uint64_t now_ms)
{
	struct place *set = set_of(t, key), *p = &set[0];
	uint64_t next;

	if (l->rate == 0)
		return true;
	(void)pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < WAYS; i++) {
		if (memcmp(&set[i].key, key, sizeof(*key)) == 0) {
			p = &set[i];
			break;
		}
		if (set[i].full_ns < p->full_ns)
			p = &set[i];
	}
	if (memcmp(&p->key, key, sizeof(*key)) != 0)
		*p = (struct place){ .key = *key };
	next = take(p->full_ns, l, now_ms * MS);
	if (next != 0)
		p->full_ns = next;
	(void)pthread_mutex_unlock(&t->lock);
	return next != 0;
}
