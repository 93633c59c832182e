/* SPDX-License-Identifier: Apache-2.0 */
/* Generations of files: what is there after installing, going back, failing and
 * being killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cert/install.h"

static char dir[256], why[CERT_WHY_SIZE], gen[CERT_GENERATION_SIZE];

static int
set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/install.XXXXXX",
	    tmp == NULL ? "/tmp" : tmp);
	return mkdtemp(dir) == NULL;
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Two files with the same text. */
static int
put(const char *text)
{
	const struct cert_install_file files[] = {
		{ "chain.pem", text, strlen(text) },
		{ "key.pem", text, strlen(text) }
	};
	const struct cert_install_spec spec = { .dir = dir, .files = files,
	    .files_n = 2 };

	return cert_install(&spec, why, gen);
}

static void
must_put(const char *text)
{
	if (put(text) != 0)
		fail_msg("%s", why);
}

static size_t
read_current(const char *name, char *to, size_t cap)
{
	char path[400];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/current/%s", dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	n = read(fd, to, cap - 1);
	close(fd);
	assert_true(n >= 0);
	to[n] = '\0';
	return (size_t)n;
}

static void
expect(const char *text)
{
	char got[64];

	(void)read_current("chain.pem", got, sizeof(got));
	assert_string_equal(got, text);
	(void)read_current("key.pem", got, sizeof(got));
	assert_string_equal(got, text);
}

static unsigned
count(void)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void
expect_mode(const char *name, unsigned mode)
{
	struct stat st;
	char path[400];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void
it_keeps_one_generation_before(void **state)
{
	(void)state;
	assert_int_equal(cert_install_current(dir, why, gen), -ENOENT);
	assert_non_null(strstr(why, dir));
	must_put("one");
	assert_string_equal(gen, "g-000001");
	expect("one");
	must_put("two");
	must_put("three");
	expect("three");
	assert_int_equal(count(), 3);	/* current and two generations */
	expect_mode("current/key.pem", 0600);
	expect_mode("current", 0700);
	assert_int_equal(cert_install_current(dir, why, gen), 0);
	assert_string_equal(gen, "g-000003");
}

static void
it_goes_back_once(void **state)
{
	(void)state;
	assert_int_equal(cert_install_rollback(dir, why, gen), -ENOENT);
	must_put("one");
	assert_int_equal(cert_install_rollback(dir, why, gen), -ENOENT);
	must_put("two");
	assert_int_equal(cert_install_rollback(dir, why, gen), 0);
	assert_string_equal(gen, "g-000001");
	expect("one");
	assert_int_equal(cert_install_rollback(dir, why, gen), -ENOENT);
	expect("one");
	must_put("three");		/* never the number of another */
	assert_string_equal(gen, "g-000003");
	assert_int_equal(cert_install_rollback(dir, why, gen), 0);
	expect("one");
}

static void
it_makes_the_directory(void **state)
{
	(void)state;
	assert_int_equal(rmdir(dir), 0);
	must_put("one");
	expect_mode("", 0700);
}

/* Or the next one would take its owner for the one that was meant. */
static void
a_directory_that_cannot_be_given_away_is_not_left(void **state)
{
	const struct cert_install_file f = { "x", "x", 1 };
	const struct cert_install_spec spec = { .dir = dir, .files = &f,
	    .files_n = 1, .has_owner = true, .uid = 4711, .gid = 4711 };
	bool root = geteuid() == 0;
	char in[300];
	int r;

	(void)state;
	(void)snprintf(in, sizeof(in), "%s", dir);
	(void)snprintf(dir, sizeof(dir), "%.240s/made", in);
	if (root) {
		assert_int_equal(chown(in, 65534, 65534), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	r = cert_install(&spec, why, gen);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, -EPERM);
	assert_int_equal(access(dir, F_OK), -1);
	(void)snprintf(dir, sizeof(dir), "%.255s", in);
}

static void
it_refuses_a_directory_that_others_write(void **state)
{
	(void)state;
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(put("one"), -EPERM);
	assert_non_null(strstr(why, "chmod"));
	assert_int_equal(chmod(dir, 0700), 0);
	must_put("one");
}

static void
it_waits_for_nobody(void **state)
{
	int fd;

	(void)state;
	must_put("one");
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(put("two"), -EBUSY);
	assert_int_equal(cert_install_rollback(dir, why, gen), -EBUSY);
	close(fd);
	expect("one");
	must_put("two");
}

static void
it_leaves_what_is_not_its_own(void **state)
{
	char path[400];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/current", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(put("one"), -EINVAL);
	assert_int_equal(cert_install_current(dir, why, gen), -EINVAL);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/etc", path), 0);
	assert_int_equal(put("one"), -EINVAL);
	assert_int_equal(unlink(path), 0);
	must_put("one");
}

static void
a_full_disk_changes_nothing(void **state)
{
	struct rlimit was, none;

	(void)state;
	must_put("one");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = was;
	none.rlim_cur = 5;
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(put("longer than that"), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_non_null(strstr(why, "cannot be written"));
	expect("one");
	assert_int_equal(count(), 2);
	must_put("two");
	expect("two");
}

static _Noreturn void
install_for_ever(int i)
{
	char text[32];

	for (unsigned n = 0;; n++) {
		(void)snprintf(text, sizeof(text), "%d.%u", i, n);
		if (put(text) != 0)
			_exit(1);
	}
}

/* Whole, whichever it is, and the next installation works. */
static void
a_kill_at_any_moment_leaves_a_whole_one(void **state)
{
	struct timespec t = { .tv_nsec = 0 };
	char chain[64], key[64];
	pid_t pid;

	(void)state;
	must_put("0");
	for (int i = 0; i < 40; i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			install_for_ever(i);
		t.tv_nsec = 1000000L + 137000L * i;
		(void)nanosleep(&t, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_true(read_current("chain.pem", chain,
		    sizeof(chain)) > 0);
		(void)read_current("key.pem", key, sizeof(key));
		assert_string_equal(chain, key);
	}
	must_put("last");
	expect("last");
	must_put("very last");
	assert_int_equal(count(), 3);	/* nothing is left over */
	assert_int_equal(cert_install_rollback(dir, why, gen), 0);
	expect("last");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_keeps_one_generation_before),
		TEST(it_goes_back_once),
		TEST(it_makes_the_directory),
		TEST(a_directory_that_cannot_be_given_away_is_not_left),
		TEST(it_refuses_a_directory_that_others_write),
		TEST(it_waits_for_nobody),
		TEST(it_leaves_what_is_not_its_own),
		TEST(a_full_disk_changes_nothing),
		TEST(a_kill_at_any_moment_leaves_a_whole_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
