/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's channels by id (core/channel/table.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "channel/channel_priv.h"

#define MANY 3000u

static struct channel *many;

static int
set_up(void **state)
{
	(void)state;
	many = calloc(MANY, sizeof(*many));
	for (unsigned i = 0; many != NULL && i < MANY; i++)
		many[i].id = (uint64_t)(i + 1) << 8 | (i & 3);
	return many == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	free(many);
	return 0;
}

static void
nothing_is_found_in_an_empty_table(void **state)
{
	struct channel_table t = { 0 };

	(void)state;
	assert_null(channel_table_find(&t, 1));
	channel_table_fini(&t);
}

static void
what_was_added_is_found_until_it_is_removed(void **state)
{
	struct channel_table t = { 0 };

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(channel_table_add(&t, &many[i]), 0);
	assert_int_equal(t.count, MANY);
	/* Every second one goes; closing gaps must lose none of the rest. */
	for (unsigned i = 0; i < MANY; i += 2)
		channel_table_remove(&t, &many[i]);
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(channel_table_find(&t, many[i].id),
		    i % 2 == 0 ? NULL : &many[i]);
	for (unsigned i = 1; i < MANY; i += 2)
		channel_table_remove(&t, &many[i]);
	assert_int_equal(t.count, 0);
	channel_table_fini(&t);
}

/* A small full cycle of adding and removing in every order of a seed. */
static void
random_churn_agrees_with_a_plain_list(void **state)
{
	struct channel_table t = { 0 };
	bool there[64] = { false };
	unsigned seed = 1, k;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1103515245u + 12345u;
		k = seed >> 16 & 63;
		if (there[k])
			channel_table_remove(&t, &many[k]);
		else
			assert_int_equal(channel_table_add(&t, &many[k]), 0);
		there[k] = !there[k];
		k = seed >> 8 & 63;
		assert_ptr_equal(channel_table_find(&t, many[k].id),
		    there[k] ? &many[k] : NULL);
	}
	for (k = 0; k < 64; k++)
		if (there[k])
			channel_table_remove(&t, &many[k]);
	channel_table_fini(&t);
}

static void
without_memory_nothing_changes(void **state)
{
	struct channel_table t = { 0 };
	unsigned i;

	(void)state;
	(void)mem_fail_nth(1);
	assert_int_equal(channel_table_add(&t, &many[0]), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(t.count, 0);
	for (i = 0; (i + 1) * 4 <= 64 * 3; i++)
		assert_int_equal(channel_table_add(&t, &many[i]), 0);
	(void)mem_fail_nth(1);
	assert_int_equal(channel_table_add(&t, &many[i]), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(t.count, i);
	assert_null(channel_table_find(&t, many[i].id));
	while (i > 0) {
		assert_ptr_equal(channel_table_find(&t, many[i - 1].id),
		    &many[i - 1]);
		channel_table_remove(&t, &many[--i]);
	}
	channel_table_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_found_in_an_empty_table),
		cmocka_unit_test(what_was_added_is_found_until_it_is_removed),
		cmocka_unit_test(random_churn_agrees_with_a_plain_list),
		cmocka_unit_test(without_memory_nothing_changes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
