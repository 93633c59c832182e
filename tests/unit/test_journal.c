/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of commands (tools/agent/journal.c, log_file.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "journal.h"
#include "../lib/tmpdir.h"

static char path[512];

static void
new_place(void)
{
	(void)snprintf(path, sizeof(path), "%s/journal", tmpdir_make());
}

static struct journal *
open_it(void)
{
	struct journal *j = NULL;

	assert_int_equal(journal_open(path, &j), 0);
	return j;
}

static void
a_command_is_recorded_once_and_told_until_it_counts(void **state)
{
	struct journal *j;

	(void)state;
	new_place();
	j = open_it();
	assert_int_equal(journal_record(j, "a"), 0);
	assert_int_equal(journal_record(j, "a"), -EEXIST);
	assert_int_equal(journal_record(j, "b c"), -EINVAL);
	assert_int_equal(journal_outcome(j, "x", "{}"), -ENOENT);
	assert_int_equal(journal_outcome(j, "a", "{\"outcome\":\"ok\"}"), 0);
	assert_int_equal(journal_outcome(j, "a", "{}"), -EALREADY);
	journal_close(&j);
	j = open_it();
	assert_int_equal(journal_find(j, "a")->state, JOURNAL_DONE);
	assert_string_equal(journal_find(j, "a")->outcome,
	    "{\"outcome\":\"ok\"}");
	assert_int_equal(journal_final(j, "a"), 0);
	journal_close(&j);
	j = open_it();
	assert_int_equal(journal_find(j, "a")->state, JOURNAL_FINAL);
	assert_int_equal(journal_record(j, "a"), -EEXIST);
	journal_close(&j);
	tmpdir_remove();
}

/* Whatever is left of the file, each entry is as after some prefix of what was
 * done, and what has no outcome is interrupted. */
static void
a_file_cut_at_any_byte_is_a_prefix_of_what_was_done(void **state)
{
	uint8_t *all;
	size_t n, last = 0;
	struct journal *j;

	(void)state;
	new_place();
	j = open_it();
	assert_int_equal(journal_record(j, "a"), 0);
	assert_int_equal(journal_record(j, "b"), 0);
	assert_int_equal(journal_outcome(j, "a", "{\"outcome\":\"ok\"}"), 0);
	assert_int_equal(journal_final(j, "a"), 0);
	journal_close(&j);
	assert_int_equal(file_read(path, 65536, &all, &n), 0);
	for (size_t cut = 0; cut <= n; cut++) {
		const struct journal_entry *a, *b;
		size_t now;

		assert_int_equal(file_write_atomic(path, all, cut, 0600), 0);
		j = open_it();
		a = journal_find(j, "a");
		b = journal_find(j, "b");
		assert_true(b == NULL || a != NULL);
		now = (a != NULL) + (b != NULL);
		if (a != NULL && a->state == JOURNAL_FINAL)
			now = 4;
		else if (a != NULL && strcmp(a->outcome,
		    "{\"outcome\":\"ok\"}") == 0)
			now = 3;
		assert_true(now >= last);
		last = now;
		if (b != NULL)
			assert_string_equal(b->outcome,
			    "{\"outcome\":\"interrupted\"}");
		/* And it can be written behind the cut. */
		assert_int_equal(journal_record(j, "c"), 0);
		journal_close(&j);
		j = open_it();
		assert_non_null(journal_find(j, "c"));
		journal_close(&j);
	}
	assert_int_equal(last, 4);
	mem_free(all);
	tmpdir_remove();
}

static void
a_flipped_bit_ends_the_file_there(void **state)
{
	uint8_t *all;
	size_t n;
	struct journal *j;

	(void)state;
	new_place();
	j = open_it();
	assert_int_equal(journal_record(j, "a"), 0);
	assert_int_equal(journal_record(j, "b"), 0);
	journal_close(&j);
	assert_int_equal(file_read(path, 65536, &all, &n), 0);
	all[n - 2] ^= 1;
	assert_int_equal(file_write_atomic(path, all, n, 0600), 0);
	j = open_it();
	assert_non_null(journal_find(j, "a"));
	assert_null(journal_find(j, "b"));
	journal_close(&j);
	mem_free(all);
	tmpdir_remove();
}

static void
open_ones_are_limited_and_final_ones_forgotten_in_the_end(void **state)
{
	struct journal *j;
	char id[16];
	size_t n = 0;

	(void)state;
	new_place();
	j = open_it();
	for (unsigned i = 0; i < JOURNAL_OPEN_MAX; i++) {
		(void)snprintf(id, sizeof(id), "c%u", i);
		assert_int_equal(journal_record(j, id), 0);
	}
	assert_int_equal(journal_record(j, "more"), -EBUSY);
	for (unsigned i = 0; i < JOURNAL_FINAL_MAX + 200; i++) {
		(void)snprintf(id, sizeof(id), "c%u", i);
		assert_int_equal(journal_final(j, id), 0);
		(void)snprintf(id, sizeof(id), "c%u", i + JOURNAL_OPEN_MAX);
		assert_int_equal(journal_record(j, id), 0);
	}
	while (journal_at(j, n) != NULL)
		n++;
	assert_int_equal(n, JOURNAL_FINAL_MAX + JOURNAL_OPEN_MAX);
	assert_null(journal_find(j, "c0"));
	journal_close(&j);
	tmpdir_remove();
}

static void
outcomes_are_limited_but_small_ones_are_always_kept(void **state)
{
	char *big = mem_alloc(1024 * 1024 + 1), id[16];
	struct journal *j;
	unsigned n = 0;

	(void)state;
	memset(big, ' ', 1024 * 1024);
	big[1024 * 1024] = '\0';
	new_place();
	j = open_it();
	for (int r = 0; r == 0; n += r == 0) {
		(void)snprintf(id, sizeof(id), "c%u", n);
		assert_int_equal(journal_record(j, id), 0);
		r = journal_outcome(j, id, big);
		assert_true(r == 0 || r == -EFBIG);
	}
	assert_int_equal(n, JOURNAL_OUTCOMES_BYTES / (1024 * 1024));
	assert_int_equal(journal_outcome(j, id, "{\"outcome\":\"ok\"}"), 0);
	/* Also after a restart; one that is told makes room. */
	journal_close(&j);
	j = open_it();
	assert_int_equal(journal_record(j, "more"), 0);
	assert_int_equal(journal_outcome(j, "more", big), -EFBIG);
	assert_int_equal(journal_final(j, "c0"), 0);
	assert_int_equal(journal_final(j, id), 0);
	assert_int_equal(journal_outcome(j, "more", big), 0);
	journal_close(&j);
	mem_free(big);
	tmpdir_remove();
}

/* How many descriptors can be opened from now on; 8: as many as ever. */
static void
leave_free(unsigned n)
{
	static struct rlimit was;
	struct rlimit now;
	int fd[2] = { 0, 0 };

	if (was.rlim_cur == 0)
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = was;
	if (n < 8) {
		/* The lowest free one bounds what is below it. */
		assert_int_equal(pipe(fd), 0);
		now.rlim_cur = (rlim_t)fd[0] + n;
		(void)close(fd[0]);
		(void)close(fd[1]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void
without_descriptors_nothing_goes_into_a_file_that_is_gone(void **state)
{
	char *big = mem_alloc(700 * 1024 + 1);
	struct stat before, after;
	struct journal *j;

	(void)state;
	memset(big, ' ', 700 * 1024);
	big[700 * 1024] = '\0';
	for (unsigned n = 0; n < 4; n++) {
		new_place();
		j = open_it();
		assert_int_equal(journal_record(j, "a"), 0);
		assert_int_equal(journal_outcome(j, "a", big), 0);
		assert_int_equal(stat(path, &before), 0);
		leave_free(n);
		assert_int_equal(journal_final(j, "a"), 0);	/* compacts */
		assert_int_equal(journal_record(j, "b"), 0);
		leave_free(8);
		assert_int_equal(stat(path, &after), 0);
		assert_int_equal(after.st_size < before.st_size, n >= 2);
		journal_close(&j);
		j = open_it();
		assert_int_equal(journal_find(j, "a")->state, JOURNAL_FINAL);
		assert_non_null(journal_find(j, "b"));
		journal_close(&j);
		tmpdir_remove();
	}
	mem_free(big);
}

static void
short_memory_records_nothing_and_breaks_nothing(void **state)
{
	struct journal *j = NULL;
	int r = -ENOMEM;

	(void)state;
	new_place();
	for (unsigned long k = 1; r != 0; k++) {
		(void)mem_fail_nth(k);
		r = journal_open(path, &j);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
	r = -ENOMEM;
	for (unsigned long k = 1; r != 0; k++) {
		(void)mem_fail_nth(k);
		r = journal_record(j, "a");
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		assert_true((journal_find(j, "a") != NULL) == (r == 0));
	}
	r = -ENOMEM;
	for (unsigned long k = 1; r != 0; k++) {
		(void)mem_fail_nth(k);
		r = journal_outcome(j, "a", "{}");
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
	journal_close(&j);
	j = open_it();
	assert_string_equal(journal_find(j, "a")->outcome, "{}");
	journal_close(&j);
	tmpdir_remove();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_command_is_recorded_once_and_told_until_it_counts),
		cmocka_unit_test(
		    a_file_cut_at_any_byte_is_a_prefix_of_what_was_done),
		cmocka_unit_test(a_flipped_bit_ends_the_file_there),
		cmocka_unit_test(
		    open_ones_are_limited_and_final_ones_forgotten_in_the_end),
		cmocka_unit_test(
		    outcomes_are_limited_but_small_ones_are_always_kept),
		cmocka_unit_test(
		    without_descriptors_nothing_goes_into_a_file_that_is_gone),
		cmocka_unit_test(
		    short_memory_records_nothing_and_breaks_nothing)
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
