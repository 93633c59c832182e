/* SPDX-License-Identifier: Apache-2.0 */
/* Times and spans of cleatctl (tools/ctl/when.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "when.h"

static const char *
age(int64_t then, int64_t now)
{
	static char to[WHEN_SIZE];

	when_age(then, now, to);
	return to;
}

static void
an_age_is_the_largest_unit_alone(void **state)
{
	(void)state;
	assert_string_equal(age(0, 999), "now");
	assert_string_equal(age(0, 1000), "1s ago");
	assert_string_equal(age(0, 59999), "59s ago");
	assert_string_equal(age(0, 60000), "1m ago");
	assert_string_equal(age(0, 3 * 3600000 + 5), "3h ago");
	assert_string_equal(age(0, 100 * 86400000ll), "100d ago");
	assert_string_equal(age(90000, 0), "in 1m");
	assert_string_equal(age(7200000, 1), "in 2h");	/* just asked for */
	assert_string_equal(age(500, 0), "now");
}

static void
a_time_is_read_exactly(void **state)
{
	static const char *const bad[] = { "", "2026", "2026-11-21T04:50:36",
		"2026-11-21 04:50:36Z", "2026-02-30T00:00:00Z",
		"2026-11-21T04:50:36.Z", "2026-11-21T04:50:36+01:00",
		"2026-11-21T24:00:00Z", "2026-11-21T04:50:36.1234567890Z",
		"2026-00-21T04:50:36Z", "2026-11-21T04:50:36Zx" };
	int64_t ms = 7;

	(void)state;
	assert_int_equal(when_parse("1970-01-01T00:00:01.5Z", &ms), 0);
	assert_int_equal(ms, 1500);
	assert_int_equal(when_parse("2026-11-21T04:50:36.123Z", &ms), 0);
	assert_int_equal(ms, 1795236636123);
	assert_int_equal(when_parse("2024-02-29T00:00:00Z", &ms), 0);
	ms = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(when_parse(bad[i], &ms), -EINVAL);
	assert_int_equal(ms, 7);
}

static void
a_time_is_shown_as_it_is_here(void **state)
{
	char to[WHEN_SIZE];

	(void)state;
	(void)setenv("TZ", "XYZ-2", 1);
	tzset();
	when_local(1795236636123, to);
	assert_string_equal(to, "2026-11-21 06:50:36");
	when_local(-1, to);
	assert_string_equal(to, "1970-01-01 01:59:59");
}

static void
a_span_has_its_unit(void **state)
{
	static const char *const bad[] = { "", "5", "s", "-1s", "1.5s", "5 m",
		"5min", "0x1s" };
	uint64_t ms = 7;

	(void)state;
	assert_int_equal(when_span_parse("1500ms", &ms), 0);
	assert_int_equal(ms, 1500);
	assert_int_equal(when_span_parse("2h", &ms), 0);
	assert_int_equal(ms, 7200000);
	assert_int_equal(when_span_parse("30d", &ms), 0);
	assert_int_equal(ms, 2592000000);
	assert_int_equal(when_span_parse("0", &ms), 0);
	assert_int_equal(ms, 0);
	ms = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(when_span_parse(bad[i], &ms), -EINVAL);
	assert_int_equal(when_span_parse("99999999999999999999s", &ms),
	    -ERANGE);
	assert_int_equal(when_span_parse("36526d", &ms), -ERANGE);
	assert_int_equal(ms, 7);
}

static void
a_span_is_shown_by_its_two_largest_units(void **state)
{
	char to[WHEN_SIZE];

	(void)state;
	when_span(45000, to);
	assert_string_equal(to, "45s");
	when_span(3 * 3600000 + 12 * 60000, to);
	assert_string_equal(to, "3h 12m");
	when_span(4 * 86400000ull + 6 * 3600000, to);
	assert_string_equal(to, "4d 6h");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_age_is_the_largest_unit_alone),
		cmocka_unit_test(a_time_is_read_exactly),
		cmocka_unit_test(a_time_is_shown_as_it_is_here),
		cmocka_unit_test(a_span_has_its_unit),
		cmocka_unit_test(a_span_is_shown_by_its_two_largest_units)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
