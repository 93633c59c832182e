/* SPDX-License-Identifier: Apache-2.0 */
/* See upgrade_spawn.h. */
#include "daemon/upgrade_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/upgrade.h"

extern char **environ;

#define KILL_MS 10000

int
upgrade_own_binary(char *to, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", to, cap - 1);

	if (n < 0)
		return -errno;
	to[n] = '\0';
	return 0;
}

/* Whoever can write it could be us; so only those who can be us already. */
static int
open_binary(const char *path, char *why, int *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r = fd < 0 || fstat(fd, &st) != 0 ? -errno : 0;
	const char *wrong = NULL;

	if (r != 0)
		wrong = strerror(-r);
	else if (!S_ISREG(st.st_mode))
		wrong = "not a regular file";
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		wrong = "it belongs to somebody else; expected root";
	else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		wrong = "others can write it";
	else if ((st.st_mode & (S_ISUID | S_ISGID)) != 0)
		wrong = "it changes its user or group";
	if (wrong == NULL) {
		*ret = fd;
		return 0;
	}
	(void)snprintf(why, UPGRADE_WHY_SIZE, "%.300s: %s", path, wrong);
	if (fd >= 0)
		(void)close(fd);
	return r != 0 ? r : -EACCES;
}

/* Out of the way of those numbers that the other side expects. */
static int
aside(int *fd)
{
	int up = fcntl(*fd, F_DUPFD_CLOEXEC, 10);

	if (up < 0)
		return -errno;
	(void)close(*fd);
	*fd = up;
	return 0;
}

/* By descriptor: what was looked at is what is executed. */
static int
execute(int socket, int binary, const char *path, const char *conf_path,
    pid_t *ret)
{
	char file[32];
	char *argv[] = { (char *)(uintptr_t)path, (char *)(uintptr_t)"-c",
	    (char *)(uintptr_t)conf_path,
	    (char *)(uintptr_t)"--take-over", NULL };
	posix_spawn_file_actions_t actions;
	int r;

	(void)snprintf(file, sizeof(file), "/proc/self/fd/%d",
	    UPGRADE_BINARY_FD);
	r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, socket,
	    UPGRADE_SOCKET_FD);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, binary,
		    UPGRADE_BINARY_FD);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(&actions,
		    UPGRADE_BINARY_FD + 1);
	if (r == 0)
		r = posix_spawn(ret, file, &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int
upgrade_spawn(const char *binary, const char *conf_path, char *why,
    pid_t *ret_pid, int *ret_socket)
{
	int pair[2] = { -1, -1 }, exe = -1;
	int r = open_binary(binary, why, &exe);

	if (r != 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
	    (r = aside(&exe)) != 0 || (r = aside(&pair[1])) != 0) {
		if (r == 0)
			r = -errno;
	} else {
		r = execute(pair[1], exe, binary, conf_path, ret_pid);
	}
	(void)close(exe);
	if (pair[1] >= 0)
		(void)close(pair[1]);
	if (r == 0) {
		*ret_socket = pair[0];
		return 0;
	}
	if (pair[0] >= 0)
		(void)close(pair[0]);
	(void)snprintf(why, UPGRADE_WHY_SIZE, "%.300s cannot be started: %s",
	    binary, strerror(-r));
	return r;
}

int
upgrade_pidfd(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : (int)fd;
}

bool
upgrade_ended(int pidfd, int wait_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, wait_ms) == 1;
}

void
upgrade_pass_signal(int pidfd, int number)
{
	siginfo_t si = { .si_signo = number, .si_code = SI_QUEUE };

	si.si_pid = getpid();
	si.si_uid = getuid();
	(void)syscall(SYS_pidfd_send_signal, pidfd, number, &si, 0);
}

void
upgrade_kill(int pidfd)
{
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	(void)upgrade_ended(pidfd, KILL_MS);
}

void
upgrade_kill_child(pid_t pid)
{
	(void)kill(pid, SIGKILL);
}
