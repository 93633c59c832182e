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
		assert_true(backoff_next(&b, 1006, UINT32_MAX) <= 8500);
}

static void
full_jitter_uses_the_whole_window(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 64000);
	for (int i = 0; i < 20; i++)
		(void)backoff_next(&b, 1006, 0);
	assert_int_equal(backoff_next(&b, 1006, 0), 500);
	assert_in_range(backoff_next(&b, 1006, 1u << 31), 32000, 33000);
	assert_in_range(backoff_next(&b, 1006, UINT32_MAX), 64000, 64500);
}

static void
a_restart_spreads_over_the_servers_window_at_once(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 120000);
	backoff_succeeded(&b, 2000, 60000);
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
success_starts_small_again(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, 1000, 120000);
	for (int i = 0; i < 20; i++)
		(void)backoff_next(&b, 1006, 0);
	backoff_succeeded(&b, 0, 0);
	assert_true(backoff_next(&b, 1006, UINT32_MAX) <= 1500);
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
		cmocka_unit_test(success_starts_small_again),
		cmocka_unit_test(odd_hints_are_made_sane)
	};

	return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
