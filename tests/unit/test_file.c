/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files (core/base/file.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static char dir[] = "/tmp/cleat-test-file-XXXXXX";
static char path[sizeof(dir) + 8];

static int
set_up(void **state)
{
	(void)state;
	memcpy(dir + sizeof(dir) - 7, "XXXXXX", 7);
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/f", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);	/* fails when anything was left behind */
}

static void
what_was_written_is_read(void **state)
{
	uint8_t *p = NULL;
	struct stat st;
	size_t n = 0;

	(void)state;
	assert_int_equal(file_write_atomic(path, "a\0b", 3, 0640), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read(path, 3, &p, &n), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(p, "a\0b\0", 4);
	mem_free(p);
	assert_int_equal(file_write_atomic(path, "", 0, 0600), 0);
	assert_int_equal(file_read(path, 3, &p, &n), 0);
	assert_int_equal(n, 0);
	mem_free(p);
}

static void
the_limit_is_exact(void **state)
{
	uint8_t *p = NULL;
	size_t n = 5;

	(void)state;
	assert_int_equal(file_write_atomic(path, "abcd", 4, 0600), 0);
	assert_int_equal(file_read(path, 3, &p, &n), -EFBIG);
	assert_null(p);
	assert_int_equal(n, 5);
	assert_int_equal(file_read(path, 4, &p, &n), 0);
	mem_free(p);
}

static void
what_is_not_a_file_is_refused_at_once(void **state)
{
	uint8_t *p = NULL;
	size_t n;

	(void)state;
	assert_int_equal(file_read(dir, 100, &p, &n), -EISDIR);
	assert_int_equal(file_read("/dev/zero", 100, &p, &n), -ENOTSUP);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read(path, 100, &p, &n), -ENOTSUP);
	assert_int_equal(file_read("/nonexistent/x", 100, &p, &n), -ENOENT);
}

static void
a_file_that_says_no_size_is_read_whole(void **state)
{
	uint8_t *p = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(file_read("/proc/self/status", 65536, &p, &n), 0);
	assert_true(n > 100);
	assert_int_equal(strlen((char *)p), n);
	mem_free(p);
	assert_int_equal(file_read("/proc/self/status", 50, &p, &n), -EFBIG);
}

static void
who_replaces_a_file_goes_on_in_the_new_one(void **state)
{
	uint8_t *p = NULL;
	size_t n = 0;
	int fd = -1;

	(void)state;
	assert_int_equal(file_write_atomic(path, "old", 3, 0600), 0);
	(void)mem_fail_nth(1);
	assert_int_equal(file_replace(path, "new", 3, 0600, &fd), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(fd, -1);
	assert_int_equal(file_replace(path, "new", 3, 0600, &fd), 0);
	assert_int_equal(pwrite(fd, "er", 2, 3), 2);
	assert_int_equal(close(fd), 0);
	assert_int_equal(file_read(path, 8, &p, &n), 0);
	assert_string_equal((char *)p, "newer");
	mem_free(p);
	assert_int_equal(file_sync_name(path), 0);
	assert_int_equal(file_sync_name("/nonexistent/x"), -ENOENT);
}

static void
a_failed_write_leaves_the_old_file(void **state)
{
	uint8_t *p = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(file_write_atomic(path, "old", 3, 0600), 0);
	for (unsigned long i = 1; i <= 2; i++) {
		(void)mem_fail_nth(i);
		assert_int_equal(file_write_atomic(path, "new", 3, 0600),
		    -ENOMEM);
	}
	(void)mem_fail_nth(0);
	assert_int_equal(file_read(path, 3, &p, &n), 0);
	assert_memory_equal(p, "old", 3);
	mem_free(p);
	assert_int_equal(file_write_atomic("/nonexistent/x", "a", 1, 0600),
	    -ENOENT);
	/* Renaming a file over a directory fails after the file was made. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(file_write_atomic(path, "a", 1, 0600), -EISDIR);
	assert_int_equal(rmdir(path), 0);
}

static void
reading_when_memory_is_short(void **state)
{
	uint8_t *p = NULL;
	unsigned long i = 0;
	size_t n;
	int err;

	(void)state;
	do {
		(void)mem_fail_nth(++i);
		err = file_read("/proc/self/status", 65536, &p, &n);
		assert_true(err == 0 || err == -ENOMEM);
	} while (err < 0);
	(void)mem_fail_nth(0);
	assert_true(i > 2);
	mem_free(p);
}

static void
a_new_file_takes_no_name_that_is_taken(void **state)
{
	char to[sizeof(path) + 8];
	uint8_t *p = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(file_write_new(path, "one", 3, 0600), 0);
	assert_int_equal(file_write_new(path, "two", 3, 0600), -EEXIST);
	assert_int_equal(file_read(path, 9, &p, &n), 0);
	assert_memory_equal(p, "one", 4);
	mem_free(p);
	/* Nor one behind a link, or a link to nothing. */
	assert_int_equal(unlink(path), 0);
	(void)snprintf(to, sizeof(to), "%s.to", path);
	assert_int_equal(symlink(to, path), 0);
	assert_int_equal(file_write_new(path, "two", 3, 0600), -EEXIST);
	assert_int_equal(access(to, F_OK), -1);
}

static void
a_line_is_the_same_for_everybody(void **state)
{
	static const char *const texts[] = { "a b", "a b\n", "a b\r\n",
	    "a b\nmore\n", "\357\273\277a b\r\nmore" };
	const char *line = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(file_line(texts[i], strlen(texts[i]), &line,
		    &n), 0);
		assert_int_equal(n, 3);
		assert_memory_equal(line, "a b", 3);
	}
	assert_int_equal(file_line("\n", 1, &line, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(file_line("", 0, &line, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(file_line("a\0b\0", 4, &line, &n), -EILSEQ);
	assert_int_equal(file_line("a\n\0", 3, &line, &n), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_was_written_is_read),
		T(the_limit_is_exact),
		T(what_is_not_a_file_is_refused_at_once),
		T(a_file_that_says_no_size_is_read_whole),
		T(who_replaces_a_file_goes_on_in_the_new_one),
		T(a_failed_write_leaves_the_old_file),
		T(a_line_is_the_same_for_everybody),
		T(a_new_file_takes_no_name_that_is_taken),
		T(reading_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
