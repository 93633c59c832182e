/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded byte queue (core/base/buf.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static void
bytes_come_out_in_order(void **state)
{
	struct buf *b = NULL;
	uint8_t in = 0, out = 0, piece[97];
	unsigned long seed = 7;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		size_t n;

		seed = seed * 6364136223846793005u + 1;
		n = (seed >> 33) % sizeof(piece);
		if ((seed >> 50) % 2 == 0) {
			for (size_t i = 0; i < n; i++)
				piece[i] = (uint8_t)(in + i);
			if (buf_append(&b, piece, n, 3000) == 0)
				in = (uint8_t)(in + n);
			assert_true(buf_len(b) <= 3000);
		} else {
			if (n > buf_len(b))
				n = buf_len(b);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(buf_data(b)[i],
				    (uint8_t)(out + i));
			out = (uint8_t)(out + n);
			buf_consume(&b, n);
		}
	}
	buf_free(&b);
	buf_free(&b);
}

static void
the_limit_is_exact_and_nothing_is_appended_beyond(void **state)
{
	struct buf *b = NULL;

	(void)state;
	assert_int_equal(buf_append(&b, "abcd", 4, 3), -ENOBUFS);
	assert_null(b);
	assert_int_equal(buf_append(&b, "abc", 3, 3), 0);
	assert_int_equal(buf_append(&b, "d", 1, 3), -ENOBUFS);
	assert_int_equal(buf_append(&b, "d", SIZE_MAX, 3), -ENOBUFS);
	assert_int_equal(buf_append(&b, "d", 1, 2), -ENOBUFS);
	assert_int_equal(buf_append(&b, "", 0, 0), 0);
	assert_int_equal(buf_len(b), 3);
	buf_consume(&b, 1);
	assert_int_equal(buf_append(&b, "d", 1, 3), 0);
	assert_memory_equal(buf_data(b), "bcd", 3);
	buf_consume(&b, 3);
	assert_null(b);
}

static void
an_empty_queue_costs_nothing(void **state)
{
	struct buf *b = NULL;

	(void)state;
	assert_int_equal(buf_len(b), 0);
	assert_null(buf_data(b));
	buf_consume(&b, 0);
	assert_int_equal(buf_append(&b, NULL, 0, 10), 0);
	assert_null(b);
}

static void
short_memory_changes_nothing(void **state)
{
	static const uint8_t big[4000];
	struct buf *b = NULL;

	(void)state;
	(void)mem_fail_nth(1);
	assert_int_equal(buf_append(&b, "abc", 3, 9999), -ENOMEM);
	assert_null(b);
	assert_int_equal(buf_append(&b, "abc", 3, 9999), 0);
	(void)mem_fail_nth(1);
	assert_int_equal(buf_append(&b, big, sizeof(big), 9999), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(buf_len(b), 3);
	assert_memory_equal(buf_data(b), "abc", 3);
	assert_int_equal(buf_append(&b, big, sizeof(big), 9999), 0);
	assert_int_equal(buf_len(b), 4003);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_in_order),
		cmocka_unit_test(
		    the_limit_is_exact_and_nothing_is_appended_beyond),
		cmocka_unit_test(an_empty_queue_costs_nothing),
		cmocka_unit_test(short_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
