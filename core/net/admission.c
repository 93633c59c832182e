/* SPDX-License-Identifier: Apache-2.0 */
/* Counts connections in all and by address: a peer can grow both (decision
 * 0010). */
#include "net/admission.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "net/rate.h"
#include "tls/digest.h"

#define BUCKETS_MIN 64

struct entry {
	struct entry *next;
	struct addr key;
	uint32_t n;
};

struct admission {
	pthread_mutex_t lock;		/* bucket, buckets_n, entries_n, n */
	_Atomic uint32_t limit, per_address;
	_Atomic size_t count;
	struct entry **bucket;
	size_t buckets_n, entries_n;
	uint64_t seed;
	_Atomic uint32_t rate, burst;
	struct rate_table *rates;
};

static bool
counts_by_address(const struct addr *a)
{
	static const struct addr none;

	return memcmp(a, &none, sizeof(none)) != 0;
}

/* What an address is counted as. */
static struct addr
key_of(const struct addr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct addr key = *a;

	if (memcmp(a->b, mapped, sizeof(mapped)) != 0 &&
	    !addr_is_loopback(a))
		memset(key.b + 8, 0, 8);
	return key;
}

/* Seeded, so that nobody chooses addresses that meet in one bucket. */
static size_t
hash_of(const struct admission *a, const struct addr *key)
{
	uint64_t h = a->seed, part;

	for (size_t i = 0; i < sizeof(key->b); i += sizeof(part)) {
		memcpy(&part, key->b + i, sizeof(part));
		h = (h ^ part) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return (size_t)(h * 0xbf58476d1ce4e5b9u >> 32);
}

int
admission_new(uint32_t limit, uint32_t per_address, struct admission **ret)
{
	struct admission *a = mem_calloc(1, sizeof(*a));

	if (a == NULL)
		return -ENOMEM;
	a->bucket = mem_calloc(BUCKETS_MIN, sizeof(a->bucket[0]));
	if (a->bucket == NULL) {
		mem_free(a);
		return -ENOMEM;
	}
	a->buckets_n = BUCKETS_MIN;
	if (digest_random(&a->seed, sizeof(a->seed)) != 0)
		a->seed = (uint64_t)(uintptr_t)a;	/* weaker, works */
	if (rate_table_new(a->seed, &a->rates) != 0) {
		mem_free(a->bucket);
		mem_free(a);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&a->lock, NULL);	/* cannot fail here */
	admission_set_limits(a, limit, per_address);
	*ret = a;
	return 0;
}

void
admission_free(struct admission **pa)
{
	struct admission *a = *pa;

	*pa = NULL;
	if (a == NULL)
		return;
	CT_ASSERT(a->entries_n == 0 && atomic_load(&a->count) == 0);
	(void)pthread_mutex_destroy(&a->lock);
	rate_table_free(&a->rates);
	mem_free(a->bucket);
	mem_free(a);
}

void
admission_set_limits(struct admission *a, uint32_t limit, uint32_t per_address)
{
	atomic_store(&a->limit, limit);
	atomic_store(&a->per_address, per_address);
}

void
admission_set_rate(struct admission *a, uint32_t rate, uint32_t burst)
{
	atomic_store(&a->rate, rate);
	atomic_store(&a->burst, burst);
}

bool
admission_pass(struct admission *a, const struct addr *who, uint64_t now_ms)
{
	const struct rate_limit l = {
		.rate = atomic_load(&a->rate), .burst = atomic_load(&a->burst)
	};
	struct addr key = key_of(who);

	return l.rate == 0 || !counts_by_address(who) ||
	    rate_table_take(a->rates, &key, &l, now_ms);
}

int
admission_enter(struct admission *a)
{
	size_t now = atomic_load(&a->count);

	do {
		if (now >= atomic_load(&a->limit))
			return -EUSERS;
	} while (!atomic_compare_exchange_weak(&a->count, &now, now + 1));
	return 0;
}

static struct entry **
find(const struct admission *a, const struct addr *key)
{
	struct entry **pe;

	pe = &a->bucket[hash_of(a, key) & (a->buckets_n - 1)];
	while (*pe != NULL && memcmp(&(*pe)->key, key, sizeof(*key)) != 0)
		pe = &(*pe)->next;
	return pe;
}

/* Doubles the table; without memory the chains just grow longer. */
static void
grow(struct admission *a)
{
	struct entry **old = a->bucket, *e, *next;
	size_t old_n = a->buckets_n;
	struct entry **bucket = mem_calloc(old_n * 2, sizeof(bucket[0]));

	if (bucket == NULL)
		return;
	a->bucket = bucket;
	a->buckets_n = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		for (e = old[i]; e != NULL; e = next) {
			struct entry **to = &bucket[hash_of(a, &e->key) &
			    (a->buckets_n - 1)];

			next = e->next;
			e->next = *to;
			*to = e;
		}
	}
	mem_free(old);
}

static int
claim_locked(struct admission *a, const struct addr *key, uint32_t most)
{
	struct entry *e = *find(a, key);

	if (e == NULL) {
		if (most == 0)
			return -EDQUOT;
		if (a->entries_n >= a->buckets_n)
			grow(a);
		e = mem_calloc(1, sizeof(*e));
		if (e == NULL)
			return -ENOMEM;
		e->key = *key;
		*find(a, key) = e;
		a->entries_n++;
	} else if (e->n >= most) {
		return -EDQUOT;
	}
	e->n++;
	return 0;
}

int
admission_claim(struct admission *a, const struct addr *who)
{
	struct addr key = key_of(who);
	int error;

	if (!counts_by_address(who))
		return 0;
	(void)pthread_mutex_lock(&a->lock);
	error = claim_locked(a, &key, atomic_load(&a->per_address));
	(void)pthread_mutex_unlock(&a->lock);
	return error;
}

int
admission_receive(struct admission *a, const struct addr *who)
{
	struct addr key = key_of(who);
	int error = 0;

	if (counts_by_address(who)) {
		(void)pthread_mutex_lock(&a->lock);
		error = claim_locked(a, &key, UINT32_MAX);
		(void)pthread_mutex_unlock(&a->lock);
	}
	if (error == 0)
		atomic_fetch_add(&a->count, 1);
	return error;
}

static void
unclaim(struct admission *a, const struct addr *who)
{
	struct addr key = key_of(who);
	struct entry **pe, *e;

	(void)pthread_mutex_lock(&a->lock);
	pe = find(a, &key);
	e = *pe;
	CT_ASSERT(e != NULL && e->n > 0);
	if (--e->n == 0) {
		*pe = e->next;
		a->entries_n--;
		mem_free(e);
	}
	(void)pthread_mutex_unlock(&a->lock);
}

void
admission_leave(struct admission *a, const struct addr *who)
{
	if (who != NULL && counts_by_address(who))
		unclaim(a, who);
	CT_ASSERT(atomic_fetch_sub(&a->count, 1) > 0);
}

bool
admission_full(const struct admission *a)
{
	return atomic_load(&a->count) >= atomic_load(&a->limit);
}

size_t
admission_count(const struct admission *a)
{
	return atomic_load(&a->count);
}

size_t
admission_of(struct admission *a, const struct addr *who)
{
	struct addr key = key_of(who);
	struct entry *e;
	size_t n;

	(void)pthread_mutex_lock(&a->lock);
	e = *find(a, &key);
	n = e == NULL ? 0 : e->n;
	(void)pthread_mutex_unlock(&a->lock);
	return n;
}
