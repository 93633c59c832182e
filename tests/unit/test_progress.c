/* SPDX-License-Identifier: Apache-2.0 */
/* How far something is, as a line (tools/ctl/progress.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "progress.h"
#include "text.h"

static const char *
line(size_t width, double percent, const char *text)
{
	static char to[512];
	struct text t = { 0 };

	progress_line(&t, width, percent, text);
	assert_false(t.failed);
	assert_true(text_width(text_str(&t)) <= width);
	assert_true(t.n < sizeof(to));
	memcpy(to, text_str(&t), t.n + 1);
	text_free(&t);
	return to;
}

static void
a_bar_is_as_full_as_it_says(void **state)
{
	(void)state;
	assert_string_equal(line(30, 0, "go"), "[..........]   0%  go");
	assert_string_equal(line(30, 40, "go"), "[####......]  40%  go");
	assert_string_equal(line(30, 100, "go"), "[##########] 100%  go");
	assert_string_equal(line(30, 1e9, "go"), "[##########] 100%  go");
}

static void
without_a_figure_there_is_no_bar(void **state)
{
	(void)state;
	assert_string_equal(line(30, -1, "queued"), "queued");
}

static void
it_is_never_wider_than_it_may_be(void **state)
{
	(void)state;
	for (size_t width = 0; width < 120; width++)
		(void)line(width, 50, "some long \033[2J text of a device "
		    "\346\274\242\345\255\227");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bar_is_as_full_as_it_says),
		cmocka_unit_test(without_a_figure_there_is_no_bar),
		cmocka_unit_test(it_is_never_wider_than_it_may_be)
	};

	text_locale();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
