/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks and time as text (core/base/clock.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/clock.h"

static uint64_t
mono_42(void)
{
	return 42;
}

static int64_t
wall_43(void)
{
	return 43;
}

static void
monotonic_time_does_not_go_back(void **state)
{
	uint64_t a = clock_mono_ms(), b = clock_mono_ms();

	(void)state;
	assert_true(b >= a);
}

static void
coarse_time_is_the_same_clock(void **state)
{
	uint64_t before = clock_mono_ms();
	uint64_t coarse = clock_mono_coarse_ms();

	(void)state;
	/* As of the last tick, of which there are 100 a second or more. */
	assert_in_range(coarse, before - 20, clock_mono_ms());
}

static void
wall_time_is_unix_time(void **state)
{
	int64_t now = (int64_t)time(NULL);

	(void)state;
	assert_in_range(clock_wall_ms() / 1000, now, now + 2);
}

static void
a_test_may_replace_both(void **state)
{
	(void)state;
	clock_replace(mono_42, wall_43);
	assert_int_equal(clock_mono_ms(), 42);
	assert_int_equal(clock_mono_coarse_ms(), 42);
	assert_int_equal(clock_wall_ms(), 43);
	clock_replace(NULL, NULL);
	assert_true(clock_wall_ms() > 1000000);
}

static void
time_is_written_by_rfc_3339(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 1795216660123, "2026-11-20T23:17:40.123Z" },
		{ 1709210096007, "2024-02-29T12:34:56.007Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
		{ INT64_MIN, "0000-01-01T00:00:00.000Z" },
	};
	char text[CLOCK_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		clock_text(cases[i].ms, text);
		assert_string_equal(text, cases[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(monotonic_time_does_not_go_back),
		cmocka_unit_test(coarse_time_is_the_same_clock),
		cmocka_unit_test(wall_time_is_unix_time),
		cmocka_unit_test(a_test_may_replace_both),
		cmocka_unit_test(time_is_written_by_rfc_3339),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
