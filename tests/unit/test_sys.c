/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon needs of the system (core/daemon/sys.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/tmpdir.h"
#include "base/file.h"
#include "base/mem.h"
#include "daemon/sys.h"

static const char *dir;
static char path[300], why[SYS_WHY_SIZE];

static int
set_up(void **state)
{
	(void)state;
	dir = tmpdir_make();
	why[0] = '\0';
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
a_directory_is_made_or_found(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(sys_dir(in_dir("d"), 0700, why), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(sys_dir(path, 0700, why), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(file_write_atomic(in_dir("f"), "", 0, 0600), 0);
	assert_int_equal(sys_dir(path, 0700, why), -ENOTDIR);
	assert_non_null(strstr(why, "/f: Not a directory"));
	assert_int_equal(sys_dir(in_dir("no/such"), 0700, why), -ENOENT);
}

/* In another process: what a second daemon hears. */
static int
second_daemon(char *to, size_t cap)
{
	int pipe_fd[2], status, fd, r;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(pipe_fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		r = sys_lock(dir, why, &fd);
		if (write(pipe_fd[1], why, strlen(why) + 1) < 0)
			_exit(99);
		_exit(r == 0 ? 0 : r == -EBUSY ? 1 : 2);
	}
	(void)close(pipe_fd[1]);
	n = read(pipe_fd[0], to, cap);
	assert_true(n > 0 && to[n - 1] == '\0');
	(void)close(pipe_fd[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
a_second_holder_is_refused_and_told_by_whom(void **state)
{
	char told[SYS_WHY_SIZE], pid[40];
	int fd = -1;

	(void)state;
	assert_int_equal(sys_lock(dir, why, &fd), 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(second_daemon(told, sizeof(told)), 1);
	(void)snprintf(pid, sizeof(pid), "(pid %ld)", (long)getpid());
	assert_non_null(strstr(told, pid));
	assert_non_null(strstr(told, "in use by another cleatd"));
	/* It ends with the holder. */
	(void)close(fd);
	assert_int_equal(second_daemon(told, sizeof(told)), 0);
}

/* A process that has been given a lock, until its pipe ends. */
static pid_t
next_process(int fd, int *ret_pipe)
{
	int pipe_fd[2], told[2];
	char c = 0;
	pid_t child;

	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(pipe(told), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)close(pipe_fd[1]);
		if (sys_lock_adopt(dir, fd, why) != 0)
			_exit(1);
		sys_lock_sign(fd);
		if (write(told[1], &c, 1) != 1)
			_exit(2);
		_exit(read(pipe_fd[0], &c, 1) == 0 ? 0 : 3);
	}
	(void)close(pipe_fd[0]);
	(void)close(told[1]);
	assert_int_equal(read(told[0], &c, 1), 1);
	(void)close(told[0]);
	*ret_pipe = pipe_fd[1];
	return child;
}

static void
a_lock_that_was_passed_on_outlives_its_first_holder(void **state)
{
	char told[SYS_WHY_SIZE], pid[40];
	int fd = -1, end, status;
	pid_t child;

	(void)state;
	assert_int_equal(sys_lock(dir, why, &fd), 0);
	child = next_process(fd, &end);
	(void)close(fd);
	/* A descriptor of the file that is closed takes no lock with it. */
	fd = open(in_dir("lock"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(second_daemon(told, sizeof(told)), 1);
	(void)snprintf(pid, sizeof(pid), "(pid %ld)", (long)child);
	assert_non_null(strstr(told, pid));
	(void)close(end);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(second_daemon(told, sizeof(told)), 0);
}

static void
only_the_lock_itself_is_adopted(void **state)
{
	int fd = -1, other, stolen;

	(void)state;
	assert_int_equal(sys_lock_adopt(dir, 0, why), -ENOENT);
	assert_int_equal(sys_lock(dir, why, &fd), 0);
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	assert_int_equal(sys_lock_adopt(dir, fd, why), 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	/* The file, but not the description that has the lock. */
	stolen = open(in_dir("lock"), O_RDWR | O_CLOEXEC);
	assert_true(stolen >= 0);
	assert_int_equal(sys_lock_adopt(dir, stolen, why), -EBUSY);
	assert_non_null(strstr(why, "held by somebody else"));
	other = open(in_dir("other"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(other >= 0);
	assert_int_equal(sys_lock_adopt(dir, other, why), -ESTALE);
	assert_non_null(strstr(why, "not that file"));
	(void)close(other);
	(void)close(fd);
	assert_int_equal(sys_lock_adopt(dir, stolen, why), -ENOLCK);
	assert_int_equal(sys_lock_adopt(dir, -1, why), -EBADF);
	(void)close(stolen);
	(void)unlink(in_dir("other"));
}

/* As after a full disk, or of a hand that edited it. */
static void
a_holder_that_did_not_sign_has_no_name(void **state)
{
	static const char *const texts[] = { "", "x\n", "12", "-4\n", "12 \n" };
	char told[SYS_WHY_SIZE];
	int fd = -1;

	(void)state;
	assert_int_equal(sys_lock(dir, why, &fd), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, texts[i], strlen(texts[i]), 0),
		    strlen(texts[i]));
		assert_int_equal(second_daemon(told, sizeof(told)), 1);
		assert_non_null(strstr(told, "in use by another cleatd"));
		assert_null(strstr(told, "pid"));
	}
	(void)close(fd);
}

static void
a_lock_that_cannot_be_had_is_not_taken_for_one_in_use(void **state)
{
	int fd = 4711;

	(void)state;
	/* Also as root, whom modes do not stop. */
	assert_int_equal(symlink("/nowhere", in_dir("lock")), 0);
	assert_int_equal(sys_lock(dir, why, &fd), -ELOOP);
	assert_int_equal(fd, 4711);
	assert_non_null(strstr(why, "/lock: "));
	(void)unlink(path);
	assert_int_equal(mkdir(in_dir("lock"), 0700), 0);
	assert_int_equal(sys_lock(dir, why, &fd), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	if (geteuid() == 0 && seteuid(65534) == 0) {
		int r = sys_lock(dir, why, &fd);

		assert_int_equal(seteuid(0), 0);
		assert_int_equal(r, -EACCES);
		assert_non_null(strstr(why, "Permission denied"));
	}
}

static void
the_epoch_rises_by_one_each_time(void **state)
{
	uint64_t epoch = 0;
	uint8_t *text;
	size_t n;

	(void)state;
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(sys_epoch(dir, why, &epoch), 0);
		assert_int_equal(epoch, i);
		/* It is on disk before it is returned. */
		assert_int_equal(file_read(in_dir("epoch"), 100, &text, &n),
		    0);
		assert_int_equal(strtoull((char *)text, NULL, 10), i);
		mem_free(text);
	}
}

static void
damaged(const char *text, size_t n)
{
	uint64_t epoch = 4711;
	uint8_t *after;
	size_t after_n;

	assert_int_equal(file_write_atomic(in_dir("epoch"), text, n, 0600),
	    0);
	assert_int_equal(sys_epoch(dir, why, &epoch), -EINVAL);
	assert_int_equal(epoch, 4711);
	assert_non_null(strstr(why, "/epoch is damaged: write into it"));
	assert_int_equal(file_read(path, 10000, &after, &after_n), 0);
	assert_int_equal(after_n, n);
	mem_free(after);
}

static void
a_damaged_epoch_is_named_with_its_remedy(void **state)
{
	char huge[200];
	uint64_t epoch;

	(void)state;
	damaged("", 0);
	damaged("12", 2);
	damaged("12\n\n", 4);
	damaged("-1\n", 3);
	damaged(" 1\n", 3);
	damaged("abc\n", 4);
	damaged("12\0\n", 4);
	damaged("12\n\0x\n", 6);
	damaged("99999999999999999999\n", 21);
	damaged("18446744073709551615\n", 21);
	memset(huge, '1', sizeof(huge));
	damaged(huge, sizeof(huge));
	/* And the remedy works. */
	assert_int_equal(file_write_atomic(path, "1000\n", 5, 0600), 0);
	assert_int_equal(sys_epoch(dir, why, &epoch), 0);
	assert_int_equal(epoch, 1001);
}

static void
an_epoch_that_cannot_be_written_is_not_used(void **state)
{
	uint64_t epoch = 4711;

	(void)state;
	for (unsigned long n = 1; n < 20; n++) {
		int r;

		(void)mem_fail_nth(n);
		r = sys_epoch(dir, why, &epoch);
		(void)mem_fail_nth(0);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(epoch, 4711);
	}
	assert_int_equal(epoch, 1);
	assert_int_equal(sys_epoch("/nonexistent", why, &epoch), -ENOENT);
	assert_int_equal(epoch, 1);
}

static int
manager(const struct sockaddr_un *at, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)at, len), 0);
	return fd;
}

static void
the_service_manager_is_told(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char got[100];
	int fd;

	(void)state;
	assert_true(strlen(in_dir("n")) < sizeof(at.sun_path));
	memcpy(at.sun_path, path, strlen(path) + 1);
	fd = manager(&at, sizeof(at));
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	sys_notify("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
	assert_memory_equal(got, "READY=1", 7);
	(void)close(fd);
	/* The abstract name space. */
	(void)snprintf(path, sizeof(path), "@cleat-test-%ld", (long)getpid());
	memset(at.sun_path, 0, sizeof(at.sun_path));
	memcpy(at.sun_path + 1, path + 1, strlen(path) - 1);
	fd = manager(&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
	    strlen(path)));
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	sys_notify("STOPPING=1");
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 10);
	(void)close(fd);
	/* Nobody there, nonsense, nothing: no harm. */
	sys_notify("READY=1");
	assert_int_equal(setenv("NOTIFY_SOCKET", "relative", 1), 0);
	sys_notify("READY=1");
	memset(path, 'x', 200);
	path[0] = '/';
	path[200] = '\0';
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	sys_notify("READY=1");
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	sys_notify("READY=1");
}

static void
the_watchdog_is_fed_at_half_its_time_if_it_is_ours(void **state)
{
	char pid[32];

	(void)state;
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	assert_int_equal(sys_watchdog_ms(), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	assert_int_equal(sys_watchdog_ms(), 15000);
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(sys_watchdog_ms(), 15000);
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid() + 1);
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(sys_watchdog_ms(), 0);
	(void)unsetenv("WATCHDOG_PID");
	assert_int_equal(setenv("WATCHDOG_USEC", "nonsense", 1), 0);
	assert_int_equal(sys_watchdog_ms(), 0);
	(void)unsetenv("WATCHDOG_USEC");
}

static void
all_files_that_are_allowed_can_be_opened(void **state)
{
	struct rlimit l, before;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	l = before;
	l.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
	assert_int_equal(sys_files_max(), before.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* In a child: it cannot be undone. */
static int
dumpable_after(bool allowed)
{
	struct rlimit l = { 1, 1 };
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		sys_core_dumps(allowed);
		if (!allowed && (getrlimit(RLIMIT_CORE, &l) != 0 ||
		    l.rlim_max != 0))
			_exit(9);
		_exit(prctl(PR_GET_DUMPABLE));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
core_dumps_are_off_unless_allowed(void **state)
{
	(void)state;
	assert_int_equal(dumpable_after(false), 0);
	assert_int_equal(dumpable_after(true), prctl(PR_GET_DUMPABLE));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_directory_is_made_or_found),
		T(a_second_holder_is_refused_and_told_by_whom),
		T(a_lock_that_was_passed_on_outlives_its_first_holder),
		T(only_the_lock_itself_is_adopted),
		T(a_holder_that_did_not_sign_has_no_name),
		T(a_lock_that_cannot_be_had_is_not_taken_for_one_in_use),
		T(the_epoch_rises_by_one_each_time),
		T(a_damaged_epoch_is_named_with_its_remedy),
		T(an_epoch_that_cannot_be_written_is_not_used),
		T(the_service_manager_is_told),
		T(the_watchdog_is_fed_at_half_its_time_if_it_is_ours),
		T(all_files_that_are_allowed_can_be_opened),
		T(core_dumps_are_off_unless_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
