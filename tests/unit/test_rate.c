/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets (core/net/rate.c). */
#include "net/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static unsigned
taken(struct rate *r, const struct rate_limit *l, uint64_t now, unsigned most)
{
	unsigned n = 0;

	while (n < most && rate_take(r, l, now))
		n++;
	return n;
}

static void
a_burst_at_once_and_then_the_rate(void **state)
{
	const struct rate_limit l = { .rate = 10, .burst = 5 };
	struct rate r = { 0 };

	(void)state;
	assert_int_equal(taken(&r, &l, 1000, 100), 5);
	assert_int_equal(taken(&r, &l, 1099, 100), 0);
	assert_int_equal(taken(&r, &l, 1100, 100), 1);
	assert_int_equal(taken(&r, &l, 1400, 100), 3);
	assert_int_equal(taken(&r, &l, 100000, 100), 5);
}

static void
rate_0_is_no_limit_and_burst_0_is_one(void **state)
{
	const struct rate_limit none = { .rate = 0, .burst = 1 };
	const struct rate_limit one = { .rate = 1000000, .burst = 0 };
	struct rate r = { 0 };

	(void)state;
	assert_int_equal(taken(&r, &none, 5, 100), 100);
	assert_int_equal(taken(&r, &one, 5, 100), 1);
	assert_int_equal(taken(&r, &one, 6, 100), 1);
}

static void
a_clock_that_lags_behind_takes_nothing_away(void **state)
{
	const struct rate_limit l = { .rate = 1, .burst = 2 };
	struct rate r = { 0 };

	(void)state;
	assert_int_equal(taken(&r, &l, 9000, 1), 1);
	assert_int_equal(taken(&r, &l, 8990, 9), 0);
	assert_int_equal(taken(&r, &l, 9000, 9), 1);
}

static struct addr
address(unsigned n)
{
	struct addr a = { .b = { [10] = 0xff, [11] = 0xff, [12] = 10 } };

	a.b[13] = (uint8_t)(n >> 16);
	a.b[14] = (uint8_t)(n >> 8);
	a.b[15] = (uint8_t)n;
	return a;
}

static void
addresses_have_a_bucket_each(void **state)
{
	const struct rate_limit l = { .rate = 1, .burst = 3 };
	struct rate_table *t = NULL;
	struct addr a = address(1), b = address(2);

	(void)state;
	assert_int_equal(rate_table_new(7, &t), 0);
	for (int i = 0; i < 3; i++)
		assert_true(rate_table_take(t, &a, &l, 50));
	assert_false(rate_table_take(t, &a, &l, 50));
	assert_true(rate_table_take(t, &b, &l, 50));
	assert_false(rate_table_take(t, &a, &l, 1049));
	assert_true(rate_table_take(t, &a, &l, 1050));
	rate_table_free(&t);
	assert_null(t);
	rate_table_free(&t);
}

/* The memory is fixed: too many addresses are treated more laxly, never more
 * strictly, and who has used up most is kept longest. */
static void
too_many_addresses_push_out_the_fullest(void **state)
{
	const struct rate_limit l = { .rate = 1, .burst = 100 };
	struct rate_table *t = NULL;
	struct addr bad = address(0), a;

	(void)state;
	assert_int_equal(rate_table_new(7, &t), 0);
	for (int i = 0; i < 100; i++)
		assert_true(rate_table_take(t, &bad, &l, 50));
	for (unsigned i = 1; i < 100000; i++) {
		a = address(i);
		assert_true(rate_table_take(t, &a, &l, 50));
	}
	assert_false(rate_table_take(t, &bad, &l, 50));
	rate_table_free(&t);
}

static void
short_memory_is_told(void **state)
{
	struct rate_table *t = NULL;

	(void)state;
	(void)mem_fail_nth(1);
	assert_int_equal(rate_table_new(7, &t), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_null(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_at_once_and_then_the_rate),
		cmocka_unit_test(rate_0_is_no_limit_and_burst_0_is_one),
		cmocka_unit_test(a_clock_that_lags_behind_takes_nothing_away),
		cmocka_unit_test(addresses_have_a_bucket_each),
		cmocka_unit_test(too_many_addresses_push_out_the_fullest),
		cmocka_unit_test(short_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
