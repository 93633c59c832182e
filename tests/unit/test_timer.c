/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel against a plain reference (core/base/timer.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/timer.h"

#define TIMERS 400

struct item {
	struct timer t;
	bool armed;
	uint64_t from, to;		/* it may fire in this span only */
	unsigned fired;
};

static struct timer_wheel wheel;
static struct item items[TIMERS];
static uint64_t now, ran;		/* this and the previous run */
static uint64_t seed;

static uint64_t
rnd(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 24;
}

static void
arm(struct item *it, uint64_t in_ms)
{
	timer_set(&wheel, &it->t, now, in_ms);
	it->armed = true;
	it->from = now + in_ms;
	it->to = now + in_ms + TIMER_TICK_MS;
}

static void
on_fire(struct timer *t)
{
	struct item *it = (struct item *)t;
	struct item *other = &items[rnd() % TIMERS];

	assert_true(it->armed);
	assert_false(timer_running(t));
	assert_true(now >= it->from);	/* never early */
	assert_true(ran < it->to);	/* not missed by the run before */
	it->armed = false;
	it->fired++;
	switch (rnd() % 4) {
	case 0:
		arm(it, rnd() % 3000);
		break;
	case 1:
		timer_stop(&wheel, &other->t);
		other->armed = false;
		break;
	case 2:
		arm(other, rnd() % 40);
		break;
	default:
		break;
	}
}

static void
begin(uint64_t at, uint64_t with_seed)
{
	memset(items, 0, sizeof(items));
	for (int i = 0; i < TIMERS; i++)
		timer_init(&items[i].t, on_fire);
	now = ran = at;
	seed = with_seed;
	timer_wheel_init(&wheel, at);
}

static void
advance(uint64_t to)
{
	now = to;
	timer_wheel_run(&wheel, now);
	ran = now;
}

static void
no_timer_is_overdue(void)
{
	for (int i = 0; i < TIMERS; i++) {
		assert_int_equal(items[i].armed, timer_running(&items[i].t));
		if (items[i].armed)
			assert_true(items[i].to > now);
	}
}

static void
random_timers_fire_as_in_a_reference(void **state)
{
	static const uint64_t spans[] = { 20, 1000, 70000, 5000000, 260000000 };

	(void)state;
	for (uint64_t round = 1; round <= 40; round++) {
		begin(rnd() % 1000000007, round);
		for (int step = 0; step < 400; step++) {
			struct item *it = &items[rnd() % TIMERS];
			uint64_t span = spans[rnd() % 5];

			arm(it, rnd() % span);
			if (rnd() % 8 == 0) {
				it = &items[rnd() % TIMERS];
				timer_stop(&wheel, &it->t);
				it->armed = false;
			}
			advance(now + rnd() % (spans[rnd() % 4] / 5));
			no_timer_is_overdue();
		}
	}
}

static void
waiting_as_told_is_at_most_one_tick_late(void **state)
{
	int wait;

	(void)state;
	for (uint64_t round = 1; round <= 30; round++) {
		begin(round * 7919, round);
		for (int i = 0; i < TIMERS; i++)
			arm(&items[i], rnd() % 100000);
		while ((wait = timer_wheel_wait(&wheel, now)) >= 0) {
			advance(now + (uint64_t)wait);
			no_timer_is_overdue();
			if (now > 10000000)
				break;
		}
	}
}

static void
a_zero_delay_fires_within_one_tick(void **state)
{
	(void)state;
	for (uint64_t at = 1600; at < 1632; at++) {
		begin(at, 1);
		arm(&items[0], 0);
		advance(at + TIMER_TICK_MS);
		assert_true(items[0].fired >= 1);
	}
}

static void
an_idle_wheel_never_wants_to_run(void **state)
{
	(void)state;
	begin(123456789, 1);
	assert_int_equal(timer_wheel_wait(&wheel, now), -1);
	arm(&items[0], 1000);
	assert_in_range(timer_wheel_wait(&wheel, now), 1, 1016);
	timer_stop(&wheel, &items[0].t);
	assert_int_equal(timer_wheel_wait(&wheel, now), -1);
	timer_stop(&wheel, &items[0].t);
}

static unsigned plain_fired;

static void
count(struct timer *t)
{
	(void)t;
	plain_fired++;
}

static void
a_delay_beyond_reach_is_clamped_to_74_hours(void **state)
{
	const uint64_t hour = 3600000;
	struct timer t;

	(void)state;
	for (uint64_t at = 0; at < 300 * hour; at += 7 * hour + 13) {
		plain_fired = 0;
		timer_wheel_init(&wheel, at);
		timer_init(&t, count);
		timer_set(&wheel, &t, at, UINT64_MAX);
		timer_wheel_run(&wheel, at + 74 * hour);
		assert_int_equal(plain_fired, 0);
		timer_wheel_run(&wheel, at + 75 * hour);
		assert_int_equal(plain_fired, 1);
	}
}

static struct timer pair[2];

static void
stop_the_other(struct timer *t)
{
	timer_stop(&wheel, t == &pair[0] ? &pair[1] : &pair[0]);
	plain_fired++;
}

static void
a_callback_may_stop_a_timer_of_the_same_tick(void **state)
{
	(void)state;
	timer_wheel_init(&wheel, 0);
	plain_fired = 0;
	for (int i = 0; i < 2; i++) {
		timer_init(&pair[i], stop_the_other);
		timer_set(&wheel, &pair[i], 0, 100);
	}
	timer_wheel_run(&wheel, 1000);
	assert_int_equal(plain_fired, 1);
	assert_int_equal(timer_wheel_wait(&wheel, 1000), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_timers_fire_as_in_a_reference),
		cmocka_unit_test(waiting_as_told_is_at_most_one_tick_late),
		cmocka_unit_test(a_zero_delay_fires_within_one_tick),
		cmocka_unit_test(an_idle_wheel_never_wants_to_run),
		cmocka_unit_test(a_delay_beyond_reach_is_clamped_to_74_hours),
		cmocka_unit_test(a_callback_may_stop_a_timer_of_the_same_tick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
