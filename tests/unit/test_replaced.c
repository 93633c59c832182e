/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of the process are no longer on the
 * disk (core/daemon/replaced.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/tmpdir.h"
#include "daemon/replaced.h"

#define AT "7f00-7f01 r-xp 00001000 fe:00 1234                     "

static const char *dir;
static char path[300], found[20000];

static int
set_up(void **state)
{
	(void)state;
	dir = tmpdir_make();
	found[0] = '\0';
	return dir == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tmpdir_remove();
	return 0;
}

static const char *
in_dir(const char *name)
{
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
add(void *arg, const char *text)
{
	size_t n = strlen(found);

	(void)arg;
	(void)snprintf(found + n, sizeof(found) - n, "%s|", text);
}

static void
write_text(const char *name, const char *text, size_t n)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0700);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	assert_int_equal(close(fd), 0);
}

static void
of_text(const char *text, const char *wanted)
{
	found[0] = '\0';
	write_text("maps", text, strlen(text));
	assert_int_equal(replaced_each(in_dir("maps"), add, NULL), 0);
	assert_string_equal(found, wanted);
}

static void
code_of_a_file_that_is_gone_is_told(void **state)
{
	(void)state;
	of_text(AT "/usr/lib/a.so (deleted)\n", "/usr/lib/a.so|");
	of_text(AT "/usr/sbin/d (deleted)\n" AT "/l/a.so\n" AT
	    "/l/b c.so (deleted)\n", "/usr/sbin/d|/l/b c.so|");
}

static void
the_parts_of_a_file_are_one(void **state)
{
	(void)state;
	of_text(AT "/l/a.so (deleted)\n" AT "/l/a.so (deleted)\n" AT
	    "/l/b.so (deleted)\n", "/l/a.so|/l/b.so|");
}

static void
what_is_there_or_no_program_is_not_told(void **state)
{
	(void)state;
	of_text("", "");
	of_text(AT "/usr/lib/a.so\n", "");
	of_text("1-2 r--p 0 fe:00 1 /usr/lib/a.so (deleted)\n", "");
	of_text("1-2 rw-s 0 fe:00 1 /dev/zero (deleted)\n", "");
	of_text("1-2 r-xs 0 fe:00 1 /tmp/ffiAbCd (deleted)\n", "");
	of_text(AT "/memfd:x (deleted)\n", "");
	of_text(AT "[vdso]\n", "");
	of_text(AT "/ (deleted)", "");
	of_text("/\n \nr-xp\n-\n - /\n", "");
}

static void
a_path_may_be_as_long_as_the_system_lets_it(void **state)
{
	static char text[4 * 4300], name[4096];
	size_t n = 0;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	for (unsigned i = 0; i < 3; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "%s%s%s\n%s/%u (deleted)\n", AT, name, " (deleted)",
		    AT, i);
	write_text("maps", text, n);
	assert_int_equal(replaced_each(in_dir("maps"), add, NULL), 0);
	assert_int_equal(strlen(found), 3 * (4095 + 1) + 3 * 3);
}

/* A short line before it lets one in that fills most of what is read. */
static void
a_longer_path_is_passed_over(void **state)
{
	static char text[3 * 4300], name[4301];
	size_t n;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	n = (size_t)snprintf(text, sizeof(text), "%s%.4000s (deleted)\n"
	    "%s%s (deleted)\n%s/a (deleted)\n", AT, name, AT, name, AT);
	write_text("maps", text, n);
	assert_int_equal(replaced_each(in_dir("maps"), add, NULL), 0);
	assert_int_equal(strlen(found), 4000 + 1 + 3);
	assert_string_equal(found + 4000, "|/a|");
}

static void
a_list_that_is_none_is_an_error(void **state)
{
	static char text[20000];

	(void)state;
	assert_int_equal(replaced_each(in_dir("none"), add, NULL), -ENOENT);
	assert_int_equal(replaced_each(dir, add, NULL), -EISDIR);
	memset(text, 'x', sizeof(text));
	write_text("maps", text, sizeof(text));
	assert_int_equal(replaced_each(in_dir("maps"), add, NULL),
	    -ENAMETOOLONG);
	assert_string_equal(found, "");
}

static void
the_kernel_says_it_of_a_library_that_an_update_replaces(void **state)
{
	char wanted[310], new[300];
	void *p;
	int fd;

	(void)state;
	write_text("new", "new", 3);
	(void)snprintf(new, sizeof(new), "%s", path);
	write_text("lib.so", "old", 3);
	(void)snprintf(wanted, sizeof(wanted), "%s|", path);
	fd = open(path, O_RDONLY);
	p = mmap(NULL, 3, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		skip();			/* a file system without programs */
	assert_int_equal(replaced_each(REPLACED_MAPS, add, NULL), 0);
	assert_null(strstr(found, wanted));
	assert_int_equal(rename(new, path), 0);
	assert_int_equal(replaced_each(REPLACED_MAPS, add, NULL), 0);
	assert_non_null(strstr(found, wanted));
	(void)munmap(p, 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(code_of_a_file_that_is_gone_is_told),
		TEST(the_parts_of_a_file_are_one),
		TEST(what_is_there_or_no_program_is_not_told),
		TEST(a_path_may_be_as_long_as_the_system_lets_it),
		TEST(a_longer_path_is_passed_over),
		TEST(a_list_that_is_none_is_an_error),
		TEST(the_kernel_says_it_of_a_library_that_an_update_replaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
