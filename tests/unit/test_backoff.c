/* SPDX-License-Identifier: Apache-2.0 */
/* When a device comes back (client/backoff.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backoff.h"

static void
windows_double_up_to_the_largest(void **state)
{
	struct backoff b;
	uint32_t last = 0, wait;

	(void)state;
	backoff_init(&b, 1000, 8000);
	for (int i = 0; i < 3; i++) {
		wait = backoff_next(&b, 1006, UINT32_MAX);
		assert_true(wait > last);
		last = wait;
	}
	for (int i = 0; i < 10; i++)
		assert_true(backoff_next(&b, 1006, UINT32_MAX) <= 8000);
}

static void
full_jitter_uses_the_whole_window(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 64000);
	for (int i = 0; i < 20; i++)
		(void)backoff_next(&b, 1006, 0);
	assert_int_equal(backoff_next(&b, 1006, 0), 0);
	assert_in_range(backoff_next(&b, 1006, 1u << 31), 32000, 33000);
	assert_in_range(backoff_next(&b, 1006, UINT32_MAX), 63990, 64000);
}

static void
a_restart_spreads_over_the_servers_window_at_once(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 120000);
	backoff_hint(&b, 2000, 60000);
	assert_int_equal(backoff_next(&b, 1012, 0), 2000);
	assert_in_range(backoff_next(&b, 1012, UINT32_MAX), 59990, 60000);
	assert_in_range(backoff_next(&b, 1013, UINT32_MAX), 59990, 60000);
}

static void
superseded_waits_at_least_a_minute(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1, 10);
	assert_true(backoff_next(&b, 4003, 0) >= BACKOFF_SUPERSEDED_MS);
}

static void
a_long_channel_starts_small_again_a_short_one_does_not(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 120000);
	for (int i = 0; i < 20; i++)
		(void)backoff_next(&b, 1006, 0);
	backoff_lasted(&b, 120000);
	assert_in_range(backoff_next(&b, 1006, UINT32_MAX), 119990, 120000);
	backoff_lasted(&b, 120001);
	assert_in_range(backoff_next(&b, 1006, UINT32_MAX), 990, 1000);
}

static void
a_hint_does_not_forget_the_failures(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 120000);
	for (int i = 0; i < 20; i++)
		(void)backoff_next(&b, 1006, 0);
	backoff_hint(&b, 500, 60000);
	assert_in_range(backoff_next(&b, 1006, UINT32_MAX), 59990, 60000);
}

static void
a_refusal_waits_for_the_largest_window(void **state)
{
	static const uint16_t codes[] = { 4001, 4004, 4005 };
	struct backoff b;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		backoff_init(&b, 1000, 100000);
		assert_int_equal(backoff_next(&b, codes[i], 0), 100000);
		assert_in_range(backoff_next(&b, codes[i], UINT32_MAX),
		    124990, 125000);
	}
}

static void
odd_hints_are_made_sane(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 5000, 1000);
	assert_int_equal(b.max_ms, 5000);
	backoff_init(&b, UINT32_MAX, UINT32_MAX);
	for (int i = 0; i < 3; i++)
		(void)backoff_next(&b, 1012, UINT32_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_double_up_to_the_largest),
		cmocka_unit_test(full_jitter_uses_the_whole_window),
		cmocka_unit_test(
		    a_restart_spreads_over_the_servers_window_at_once),
		cmocka_unit_test(superseded_waits_at_least_a_minute),
		cmocka_unit_test(
		    a_long_channel_starts_small_again_a_short_one_does_not),
		cmocka_unit_test(a_hint_does_not_forget_the_failures),
		cmocka_unit_test(a_refusal_waits_for_the_largest_window),
		cmocka_unit_test(odd_hints_are_made_sane)
	};

	return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
