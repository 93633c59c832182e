/* SPDX-License-Identifier: Apache-2.0 */
/* The list of errors (core/conf/errors.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"

static void
all_are_kept_up_to_the_limit_and_the_rest_counted(void **state)
{
	struct conf_errors e = { .n = 0 };

	(void)state;
	for (int i = 0; i < CONF_ERRORS_MAX + 5; i++)
		conf_error(&e, "error %d", i);
	assert_int_equal(e.n, CONF_ERRORS_MAX);
	assert_int_equal(e.more, 5);
	assert_string_equal(e.line[63], "error 63");
	conf_errors_fini(&e);
	assert_int_equal(e.n, 0);
	assert_int_equal(e.more, 0);
}

static void
short_memory_is_counted(void **state)
{
	struct conf_errors e = { .n = 0 };

	(void)state;
	(void)mem_fail_nth(1);
	conf_error(&e, "a");
	conf_error(&e, "b");
	(void)mem_fail_nth(0);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.more, 1);
	assert_string_equal(e.line[0], "b");
	conf_errors_fini(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    all_are_kept_up_to_the_limit_and_the_rest_counted),
		cmocka_unit_test(short_memory_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
