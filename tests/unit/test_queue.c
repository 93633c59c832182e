/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry that waits (tools/agent/queue.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "queue.h"
#include "../lib/tmpdir.h"

static char path[512];

static struct queue *
open_it(size_t max)
{
	struct queue *q = NULL;

	assert_int_equal(queue_open(path, max, &q), 0);
	return q;
}

static void
next_is(struct queue *q, uint64_t after, uint64_t seq, const char *json)
{
	char *text = NULL;

	assert_int_equal(queue_after(q, after, &text), seq);
	if (seq != 0)
		assert_string_equal(text, json);
	mem_free(text);
}

static void
numbers_go_on_from_the_servers_and_survive_a_restart(void **state)
{
	struct queue *q;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/queue", tmpdir_make());
	q = open_it(1000);
	assert_int_equal(queue_add(q, "[1]"), 0);
	assert_int_equal(queue_add(q, "[2]"), 0);
	assert_int_equal(queue_sync(q), 0);
	next_is(q, 0, 0, NULL);
	assert_int_equal(queue_start(q, 500), 0);
	next_is(q, 0, 501, "[1]");
	next_is(q, 501, 502, "[2]");
	next_is(q, 502, 0, NULL);
	assert_int_equal(queue_stored(q, 501), 0);
	queue_close(&q);
	q = open_it(1000);
	assert_int_equal(queue_start(q, 501), 0);
	next_is(q, 0, 502, "[2]");
	assert_int_equal(queue_add(q, "[3]"), 0);
	next_is(q, 502, 503, "[3]");
	assert_int_equal(queue_stored(q, 503), 0);
	assert_int_equal(queue_count(q), 0);
	queue_close(&q);
	q = open_it(1000);
	assert_int_equal(queue_add(q, "[4]"), 0);
	next_is(q, 0, 504, "[4]");
	/* A server that knows more than we ever sent. */
	assert_int_equal(queue_start(q, 9000), 1);
	next_is(q, 0, 9001, "[4]");
	queue_close(&q);
	tmpdir_remove();
}

/* Found by fuzzing: sums of such numbers are none of the protocol's. */
static void
numbers_that_nobody_reaches_are_refused(void **state)
{
	static const char file[] = "f7d1a664 D -1 [1]\n";
	struct queue *q;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/queue", tmpdir_make());
	assert_int_equal(file_write_atomic(path, file, strlen(file), 0600), 0);
	q = open_it(1000);
	assert_int_equal(queue_count(q), 0);
	assert_int_equal(queue_start(q, UINT64_MAX - 4), -ERANGE);
	assert_int_equal(queue_start(q, INT64_MAX), -ERANGE);
	assert_int_equal(queue_add(q, "[1]"), 0);
	next_is(q, 0, 0, NULL);
	assert_int_equal(queue_start(q, INT64_MAX / 2), 0);
	next_is(q, 0, (uint64_t)INT64_MAX / 2 + 1, "[1]");
	queue_close(&q);
	tmpdir_remove();
}

static void
when_it_is_full_the_oldest_goes_and_is_counted(void **state)
{
	struct queue *q;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/queue", tmpdir_make());
	q = open_it(10);
	assert_int_equal(queue_start(q, 0), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(queue_add(q, "[1,2]"), 0);
	assert_int_equal(queue_count(q), 2);
	assert_int_equal(queue_dropped(q), 3);
	next_is(q, 0, 4, "[1,2]");
	assert_int_equal(queue_add(q, "[\"0123456789\"]"), -EMSGSIZE);
	queue_close(&q);
	tmpdir_remove();
}

static void
the_file_stays_short(void **state)
{
	struct queue *q;
	uint8_t *all;
	size_t n;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/queue", tmpdir_make());
	q = open_it(100000);
	assert_int_equal(queue_start(q, 7), 0);
	for (unsigned i = 1; i <= 5000; i++) {
		assert_int_equal(queue_add(q, "[\"0123456789012345678\"]"), 0);
		if (i > 5)
			assert_int_equal(queue_stored(q, 7 + i - 5), 0);
	}
	next_is(q, 0, 7 + 4996, "[\"0123456789012345678\"]");
	queue_close(&q);
	assert_int_equal(file_read(path, 1000000, &all, &n), 0);
	assert_true(n < 100000);
	mem_free(all);
	q = open_it(100000);
	assert_int_equal(queue_count(q), 5);
	next_is(q, 0, 7 + 4996, "[\"0123456789012345678\"]");
	queue_close(&q);
	tmpdir_remove();
}

static void
a_file_cut_at_any_byte_loses_only_its_end(void **state)
{
	struct queue *q;
	uint8_t *all;
	size_t n, count = 0;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/queue", tmpdir_make());
	q = open_it(1000);
	assert_int_equal(queue_start(q, 0), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(queue_add(q, "[0]"), 0);
	queue_close(&q);
	assert_int_equal(file_read(path, 65536, &all, &n), 0);
	for (size_t cut = 0; cut <= n; cut++) {
		assert_int_equal(file_write_atomic(path, all, cut, 0600), 0);
		q = open_it(1000);
		assert_true(queue_count(q) >= count);
		count = queue_count(q);
		assert_int_equal(queue_start(q, 0), 0);
		assert_int_equal(queue_add(q, "[1]"), 0);
		next_is(q, count, count + 1, "[1]");
		queue_close(&q);
	}
	assert_int_equal(count, 4);
	mem_free(all);
	tmpdir_remove();
}

static void
short_memory_loses_nothing_that_was_taken(void **state)
{
	struct queue *q = NULL;
	int r = -ENOMEM;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/queue", tmpdir_make());
	for (unsigned long k = 1; r != 0; k++) {
		(void)mem_fail_nth(k);
		r = queue_open(path, 1000, &q);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
	r = -ENOMEM;
	for (unsigned long k = 1; r != 0; k++) {
		(void)mem_fail_nth(k);
		r = queue_add(q, "[1]");
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(queue_count(q), r == 0);
	}
	queue_close(&q);
	q = open_it(1000);
	assert_int_equal(queue_count(q), 1);
	queue_close(&q);
	tmpdir_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    numbers_go_on_from_the_servers_and_survive_a_restart),
		cmocka_unit_test(numbers_that_nobody_reaches_are_refused),
		cmocka_unit_test(
		    when_it_is_full_the_oldest_goes_and_is_counted),
		cmocka_unit_test(the_file_stays_short),
		cmocka_unit_test(a_file_cut_at_any_byte_loses_only_its_end),
		cmocka_unit_test(short_memory_loses_nothing_that_was_taken)
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
