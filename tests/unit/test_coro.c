/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/coro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct walk {
	int steps, at;
	uint8_t sum;
};

static void
count(void *arg)
{
	struct walk *w = arg;

	for (w->at = 0; w->at < w->steps; w->at++) {
		assert_ptr_equal(coro_current_arg(), w);
		coro_yield();
	}
}

/* Deep enough to need most of the stack, and keeps it over a yield. */
static void
deep(void *arg)
{
	struct walk *w = arg;
	volatile uint8_t area[40 * 1024];
	size_t i;

	for (i = 0; i < sizeof(area); i++)
		area[i] = (uint8_t)i;
	coro_yield();
	for (i = 0; i < sizeof(area); i++)
		w->sum = (uint8_t)(w->sum + (area[i] == (uint8_t)i));
}

static void
test_goes_on_where_it_left(void **state)
{
	struct coro_pool *pool = NULL;
	struct coro *a = NULL, *b = NULL;
	struct walk wa = {.steps = 3}, wb = {.steps = 5};
	int i;

	(void)state;
	assert_int_equal(coro_pool_new(1, &pool), 0);
	assert_int_equal(coro_new(pool, count, &wa, &a), 0);
	assert_int_equal(coro_new(pool, count, &wb, &b), 0);
	assert_int_equal(coro_pool_used(pool), 2);
	for (i = 0; i < 3; i++) {
		assert_false(coro_resume(a));
		assert_false(coro_resume(b));
		assert_int_equal(wa.at, i);
		assert_int_equal(wb.at, i);
		assert_null(coro_current_arg());
	}
	assert_true(coro_resume(a));
	coro_free(&a);
	assert_null(a);
	assert_false(coro_resume(b));
	assert_false(coro_resume(b));
	assert_true(coro_resume(b));
	coro_free(&b);
	coro_pool_free(&pool);
	assert_null(pool);
}

static void
test_stacks_hold_40_kib_and_are_used_again(void **state)
{
	struct coro_pool *pool = NULL;
	struct coro *c = NULL, *first = NULL;
	struct walk w;
	int i;

	(void)state;
	assert_int_equal(coro_pool_new(4, &pool), 0);
	for (i = 0; i < 100; i++) {
		memset(&w, 0, sizeof(w));
		assert_int_equal(coro_new(pool, deep, &w, &c), 0);
		if (i == 0)
			first = c;
		assert_ptr_equal(c, first);
		assert_false(coro_resume(c));
		assert_true(coro_resume(c));
		assert_int_equal(w.sum, (uint8_t)(40 * 1024));
		coro_free(&c);
	}
	coro_pool_free(&pool);
}

static void
test_unstarted_can_be_freed(void **state)
{
	struct coro_pool *pool = NULL;
	struct coro *c[8] = {NULL};
	struct walk w = {.steps = 1};
	int i;

	(void)state;
	assert_int_equal(coro_pool_new(2, &pool), 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(coro_new(pool, count, &w, &c[i]), 0);
	for (i = 0; i < 8; i++)
		coro_free(&c[i]);
	coro_free(&c[0]);
	assert_int_equal(coro_pool_used(pool), 0);
	coro_pool_free(&pool);
	coro_pool_free(&pool);
}

static void
test_allocation_failures(void **state)
{
	struct coro_pool *pool = NULL;
	struct coro *c = NULL;
	struct walk w = {.steps = 0};

	(void)state;
	mem_fail_nth(1);
	assert_int_equal(coro_pool_new(2, &pool), -ENOMEM);
	mem_fail_nth(0);
	assert_null(pool);
	assert_int_equal(coro_pool_new(2, &pool), 0);
	mem_fail_nth(1);
	assert_int_equal(coro_new(pool, count, &w, &c), -ENOMEM);
	mem_fail_nth(0);
	assert_null(c);
	assert_int_equal(coro_pool_used(pool), 0);
	coro_pool_free(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_on_where_it_left),
		cmocka_unit_test(test_stacks_hold_40_kib_and_are_used_again),
		cmocka_unit_test(test_unstarted_can_be_freed),
		cmocka_unit_test(test_allocation_failures),
	};

	return cmocka_run_group_tests_name("coro", tests, NULL, NULL);
}
