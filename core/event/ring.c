/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring.  Each place has a turn: t = free for push t, t + 1 = holds push t.
 * One 64-bit word holds (refused so far, pushes so far), and both kinds advance
 * it by compare-and-swap.  So a refusal has its exact place in the order, and
 * the number of a push is the sum of both halves when it got its place.  The
 * halves are 32 bits and wrap; the taking side extends them, which is right as
 * long as fewer than 2^32 are refused between two pops.
 */
#include "event/ring.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/mem.h"

struct place {
	_Atomic uint32_t turn;
	uint32_t refused;		/* so far, when this was pushed */
	void *p;
};

struct ring {
	/* A cache line of its own: every pushing thread writes it. */
	_Alignas(64) _Atomic uint64_t word;
	_Alignas(64) uint64_t taken;	/* the rest: the taking thread */
	uint64_t dropped;
	uint32_t refused;		/* lower half of `dropped` */
	uint32_t mask;
	struct place *place;
	void *base;			/* what mem_alloc() gave */
};

int
ring_new(uint32_t size, struct ring **ret)
{
	struct ring *r;
	uint32_t i;
	void *base;

	if (size < 2 || size > RING_SIZE_MAX || (size & (size - 1)) != 0)
		return -EINVAL;
	if ((base = mem_calloc(1, sizeof(*r) + 64)) == NULL)
		return -ENOMEM;
	r = (void *)(((uintptr_t)base + 63) & ~(uintptr_t)63);
	r->base = base;
	r->place = mem_calloc(size, sizeof(*r->place));
	if (r->place == NULL) {
		mem_free(base);
		return -ENOMEM;
	}
	for (i = 0; i < size; i++)
		atomic_init(&r->place[i].turn, i);
	r->mask = size - 1;
	*ret = r;
	return 0;
}

void
ring_free(struct ring **rp)
{
	struct ring *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	mem_free(r->place);
	mem_free(r->base);
}

static uint64_t
word(uint32_t refused, uint32_t pushed)
{
	return (uint64_t)refused << 32 | pushed;
}

bool
ring_push(struct ring *r, void *p, uint32_t *ret_pos)
{
	uint64_t w = atomic_load_explicit(&r->word, memory_order_relaxed);

	for (;;) {
		uint32_t pos = (uint32_t)w, refused = (uint32_t)(w >> 32);
		struct place *s = &r->place[pos & r->mask];
		uint32_t turn = atomic_load_explicit(&s->turn,
		    memory_order_acquire);
		int32_t ahead = (int32_t)(turn - pos);

		if (ahead > 0) {	/* `w` is old */
			w = atomic_load_explicit(&r->word,
			    memory_order_relaxed);
			continue;
		}
		if (!atomic_compare_exchange_weak_explicit(&r->word, &w,
		    ahead == 0 ? word(refused, pos + 1) :
		    word(refused + 1, pos),
		    memory_order_acq_rel, memory_order_relaxed))
			continue;
		if (ahead < 0)
			return false;
		s->refused = refused;
		s->p = p;
		atomic_store_explicit(&s->turn, pos + 1, memory_order_release);
		*ret_pos = pos + 1;
		return true;
	}
}

void
ring_skip(struct ring *r)
{
	uint64_t w = atomic_load_explicit(&r->word, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&r->word, &w,
	    word((uint32_t)(w >> 32) + 1, (uint32_t)w),
	    memory_order_acq_rel, memory_order_relaxed))
		;
}

static void
catch_up(struct ring *r, uint32_t refused)
{
	r->dropped += (uint32_t)(refused - r->refused);
	r->refused = refused;
}

bool
ring_ready(struct ring *r)
{
	uint32_t head = (uint32_t)r->taken;

	return atomic_load_explicit(&r->place[head & r->mask].turn,
	    memory_order_acquire) == head + 1;
}

bool
ring_pop(struct ring *r, void **ret_p, uint64_t *ret_seq)
{
	uint32_t head = (uint32_t)r->taken;
	struct place *s = &r->place[head & r->mask];

	if (!ring_ready(r))
		return false;
	catch_up(r, s->refused);
	*ret_p = s->p;
	atomic_store_explicit(&s->turn, head + r->mask + 1,
	    memory_order_release);
	r->taken++;
	*ret_seq = r->taken + r->dropped;
	return true;
}

uint32_t
ring_waiting(struct ring *r)
{
	return (uint32_t)atomic_load_explicit(&r->word,
	    memory_order_acquire) - (uint32_t)r->taken;
}

uint64_t
ring_settle(struct ring *r)
{
	uint64_t w = atomic_load_explicit(&r->word, memory_order_acquire);

	if ((uint32_t)w == (uint32_t)r->taken)
		catch_up(r, (uint32_t)(w >> 32));
	return r->taken + r->dropped;
}

uint64_t
ring_dropped(const struct ring *r)
{
	return r->dropped;
}
