/* SPDX-License-Identifier: Apache-2.0 */
/* core/event/ring.c: numbers, refusals and order over several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "event/ring.h"

static int things[16];

static void
sizes_are_powers_of_two(void **state)
{
	struct ring *r = NULL;

	(void)state;
	assert_int_equal(ring_new(0, &r), -EINVAL);
	assert_int_equal(ring_new(1, &r), -EINVAL);
	assert_int_equal(ring_new(6, &r), -EINVAL);
	assert_int_equal(ring_new(RING_SIZE_MAX * 2, &r), -EINVAL);
	assert_null(r);
	ring_free(&r);
}

static void
a_short_memory_makes_no_ring(void **state)
{
	struct ring *r = NULL;
	unsigned long n;

	(void)state;
	for (n = 1; ; n++) {
		mem_fail_nth(n);
		if (ring_new(8, &r) == 0)
			break;
		assert_null(r);
	}
	mem_fail_nth(0);
	assert_int_equal(n, 3);
	ring_free(&r);
}

static void
refused_pushes_use_up_numbers_where_they_happened(void **state)
{
	struct ring *r;
	uint64_t seq;
	uint32_t pos;
	void *p;
	int i;

	(void)state;
	assert_int_equal(ring_new(4, &r), 0);
	assert_false(ring_pop(r, &p, &seq));
	for (i = 0; i < 4; i++)
		assert_true(ring_push(r, &things[i], &pos));
	assert_false(ring_push(r, &things[4], &pos));	/* 5 */
	assert_false(ring_push(r, &things[5], &pos));	/* 6 */
	assert_true(ring_pop(r, &p, &seq));
	assert_ptr_equal(p, &things[0]);
	assert_int_equal(seq, 1);
	assert_true(ring_push(r, &things[6], &pos));	/* 7 */
	assert_int_equal(ring_waiting(r), 4);
	ring_skip(r);					/* 8 */
	for (i = 1; i < 4; i++) {
		assert_true(ring_pop(r, &p, &seq));
		assert_int_equal(seq, i + 1);
	}
	/* The refused ones are not settled before what waits. */
	assert_int_equal(ring_settle(r), 4);
	assert_int_equal(ring_dropped(r), 0);
	assert_true(ring_pop(r, &p, &seq));
	assert_ptr_equal(p, &things[6]);
	assert_int_equal(seq, 7);
	assert_int_equal(ring_dropped(r), 2);
	assert_int_equal(ring_settle(r), 8);
	assert_int_equal(ring_dropped(r), 3);
	assert_true(ring_push(r, &things[7], &pos));
	assert_true(ring_pop(r, &p, &seq));
	assert_int_equal(seq, 9);
	ring_free(&r);
}

#define PRODUCERS 3
#define EACH 60000

struct item {
	uint32_t producer, number;
	uint64_t cause;			/* stamp of the shared counter */
};

struct producer {
	struct ring *ring;
	uint32_t number;
	_Atomic uint64_t *clock;
	pthread_mutex_t *lock;		/* NULL: not ordered with others */
	uint64_t refused;
};

static void *
produce(void *arg)
{
	struct producer *me = arg;
	struct item *it;
	uint32_t i, pos;

	for (i = 0; i < EACH; i++) {
		it = malloc(sizeof(*it));
		if (me->lock != NULL)
			(void)pthread_mutex_lock(me->lock);
		*it = (struct item){ me->number, i,
		    atomic_fetch_add(me->clock, 1) };
		if (!ring_push(me->ring, it, &pos)) {
			me->refused++;
			free(it);
		}
		if (me->lock != NULL)
			(void)pthread_mutex_unlock(me->lock);
		if (i % 64 == 0)
			(void)sched_yield();
	}
	return NULL;
}

/* With `lock`, what is emitted under one lock comes in that order (as a shard
 * of endpoints does); and every number is a pointer or counted as refused. */
static void
run_producers(bool locked)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct producer p[PRODUCERS];
	uint64_t seq, last_seq = 0, got = 0, refused = 0, cause = 0;
	int64_t last[PRODUCERS] = { -1, -1, -1 };
	pthread_t t[PRODUCERS];
	_Atomic uint64_t ticks = 1;
	struct ring *r;
	struct item *it;
	void *v;
	int i;

	assert_int_equal(ring_new(256, &r), 0);
	for (i = 0; i < PRODUCERS; i++) {
		p[i] = (struct producer){ r, (uint32_t)i, &ticks,
		    locked ? &lock : NULL, 0 };
		assert_int_equal(pthread_create(&t[i], NULL, produce, &p[i]),
		    0);
	}
	while (ring_settle(r) < PRODUCERS * EACH) {
		if (!ring_pop(r, &v, &seq)) {
			(void)sched_yield();
			continue;
		}
		it = v;
		assert_true(seq > last_seq);
		assert_true(it->number > last[it->producer] ||
		    last[it->producer] < 0);
		if (locked) {
			/* The number is exactly the time of the push. */
			assert_true(it->cause > cause);
			assert_int_equal(it->cause, seq);
			cause = it->cause;
		}
		last_seq = seq;
		last[it->producer] = it->number;
		got++;
		free(it);
	}
	for (i = 0; i < PRODUCERS; i++) {
		(void)pthread_join(t[i], NULL);
		refused += p[i].refused;
	}
	assert_int_equal(got + refused, PRODUCERS * EACH);
	assert_int_equal(ring_dropped(r), refused);
	ring_free(&r);
}

static void
each_thread_keeps_its_order(void **state)
{
	(void)state;
	run_producers(false);
}

static void
one_lock_keeps_the_order_over_threads(void **state)
{
	(void)state;
	run_producers(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_two),
		cmocka_unit_test(a_short_memory_makes_no_ring),
		cmocka_unit_test(
		    refused_pushes_use_up_numbers_where_they_happened),
		cmocka_unit_test(each_thread_keeps_its_order),
		cmocka_unit_test(one_lock_keeps_the_order_over_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
