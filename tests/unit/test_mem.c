/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation, wiping and the n-th failure (core/base/mem.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"

static void
the_nth_call_fails_once(void **state)
{
	void *p[4];

	(void)state;
	(void)mem_fail_nth(3);
	for (int i = 0; i < 4; i++)
		p[i] = mem_alloc(8);
	assert_int_equal(mem_fail_nth(0), 4);
	assert_non_null(p[0]);
	assert_non_null(p[1]);
	assert_null(p[2]);
	assert_non_null(p[3]);
	for (int i = 0; i < 4; i++)
		mem_free(p[i]);
}

static void
every_kind_of_allocation_is_counted(void **state)
{
	char *p;

	(void)state;
	(void)mem_fail_nth(1);
	assert_null(mem_calloc(2, 2));
	(void)mem_fail_nth(1);
	assert_null(mem_strdup("x"));
	(void)mem_fail_nth(1);
	assert_null(mem_dup("x", 1));
	p = mem_alloc(2);
	assert_non_null(p);
	p[0] = 'a';
	(void)mem_fail_nth(1);
	assert_null(mem_realloc(p, 100));
	assert_int_equal(p[0], 'a');
	mem_free(p);
	assert_int_equal(mem_fail_nth(0), 1);
}

static void
nothing_is_counted_when_switched_off(void **state)
{
	(void)state;
	(void)mem_fail_nth(0);
	mem_free(mem_alloc(1));
	assert_int_equal(mem_fail_nth(0), 0);
}

static void
a_product_that_overflows_is_refused(void **state)
{
	volatile size_t huge = SIZE_MAX / 2;

	(void)state;
	assert_null(mem_calloc(huge, 4));
}

static void
no_bytes_is_still_an_object(void **state)
{
	void *p = mem_alloc(0), *q = mem_calloc(0, 8);

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	p = mem_realloc(p, 0);
	assert_non_null(p);
	mem_free(p);
	mem_free(q);
	mem_free(NULL);
	mem_free_wiped(NULL, 10);
}

static void
copies_and_wiping(void **state)
{
	char *s = mem_strdup("secret"), *d = mem_dup("\0b", 2);

	(void)state;
	assert_string_equal(s, "secret");
	assert_memory_equal(d, "\0b", 2);
	mem_wipe(s, 3);
	assert_memory_equal(s, "\0\0\0ret", 7);
	mem_free_wiped(s, 7);
	mem_free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_nth_call_fails_once),
		cmocka_unit_test(every_kind_of_allocation_is_counted),
		cmocka_unit_test(nothing_is_counted_when_switched_off),
		cmocka_unit_test(a_product_that_overflows_is_refused),
		cmocka_unit_test(no_bytes_is_still_an_object),
		cmocka_unit_test(copies_and_wiping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
