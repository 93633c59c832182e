/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System matters.  The notify protocol is a datagram to a unix socket named in
 * the environment; libsystemd would bring four libraries for it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* F_OFD_SETLK */
#endif
#include "daemon/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define BARRIER_MS 5000

int
sys_dir(const char *path, unsigned mode, char *why)
{
	struct stat st;
	int r;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno == EEXIST && stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	r = -errno;
	(void)snprintf(why, SYS_WHY_SIZE, "%.180s: %s", path, strerror(-r));
	return r;
}

/* ---- the lock: of an open file description, which can be passed on ----- */

static int
try_lock(int fd)
{
	/* l_pid has to be 0 (fcntl_locking(2)). */
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return errno == EACCES || errno == EAGAIN ? -EBUSY : -errno;
}

/* Who wrote last that it has the lock; 0 unknown. */
static long
lock_owner(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *end;
	long pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	pid = strtol(text, &end, 10);
	return strcmp(end, "\n") == 0 && pid > 0 ? pid : 0;
}

void
sys_lock_sign(int fd)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	/* It is for people.  On a full disk the file is empty, which is better
	 * than the number of somebody else. */
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
		log_debug("the lock does not tell who has it: %s",
		    strerror(errno));
}

static int
open_lock(const char *dir, int flags, char *path, size_t cap)
{
	int fd;

	(void)snprintf(path, cap, "%s/lock", dir);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return fd >= 0 ? fd : -errno;
}

int
sys_lock(const char *dir, char *why, int *ret_fd)
{
	char path[4096], pid[32] = "";
	int fd = open_lock(dir, O_CREAT, path, sizeof(path));
	int r = fd < 0 ? fd : try_lock(fd);
	long owner;

	if (r == 0) {
		sys_lock_sign(fd);
		*ret_fd = fd;
		return 0;
	}
	owner = r == -EBUSY ? lock_owner(fd) : 0;
	if (owner > 0)
		(void)snprintf(pid, sizeof(pid), " (pid %ld)", owner);
	if (r == -EBUSY)
		(void)snprintf(why, SYS_WHY_SIZE, "%.180s is in use by another "
		    "cleatd%s", dir, pid);
	else
		(void)snprintf(why, SYS_WHY_SIZE, "%.180s: %s", path,
		    strerror(-r));
	if (fd >= 0)
		(void)close(fd);
	return r;
}

/* Whether somebody's lock keeps a new description of the file out. */
static int
is_locked(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &whole) != 0)
		return -errno;
	return whole.l_type != F_UNLCK ? 0 : -ENOLCK;
}

/* `own` is a description of our own of what is at that path. */
static int
check_lock(int fd, int own)
{
	struct stat a, b;
	int r;

	if (fstat(fd, &a) != 0 || fstat(own, &b) != 0)
		return -errno;
	if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return -ESTALE;
	r = is_locked(own);
	/* If the lock is that of fd it is there already; if not, -EBUSY. */
	return r != 0 ? r : try_lock(fd);
}

int
sys_lock_adopt(const char *dir, int fd, char *why)
{
	char path[4096];
	int own = open_lock(dir, 0, path, sizeof(path));
	int r = own < 0 ? own : check_lock(fd, own);

	if (own >= 0)
		(void)close(own);
	if (r == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		r = -errno;
	if (r != 0)
		(void)snprintf(why, SYS_WHY_SIZE, "%.160s: the lock that was "
		    "passed on: %s", path, r == -ESTALE ? "not that file" :
		    r == -ENOLCK ? "not locked" : r == -EBUSY ?
		    "held by somebody else" : strerror(-r));
	return r;
}

/* ---- the epoch --------------------------------------------------------- */

static int
parse_epoch(const char *text, size_t n, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *text < '0' || *text > '9' ||
	    strcmp(end, "\n") != 0 || end + 1 != text + n ||
	    *ret == UINT64_MAX)
		return -EINVAL;
	return 0;
}

int
sys_epoch(const char *dir, char *why, uint64_t *ret)
{
	uint64_t epoch = 0;
	uint8_t *text = NULL;
	char path[4096], next[32];
	size_t n;
	int r;

	(void)snprintf(path, sizeof(path), "%s/epoch", dir);
	r = file_read(path, sizeof(next), &text, &n);
	if (r == 0)
		r = parse_epoch((const char *)text, n, &epoch);
	else if (r == -EFBIG)		/* no number is so long */
		r = -EINVAL;
	else if (r == -ENOENT)		/* the first start */
		r = 0;
	mem_free(text);
	if (r == -EINVAL) {
		(void)snprintf(why, SYS_WHY_SIZE, "%.120s is damaged: write "
		    "into it a number higher than any epoch seen on the bus",
		    path);
		return r;
	}
	epoch++;
	n = (size_t)snprintf(next, sizeof(next), "%llu\n",
	    (unsigned long long)epoch);
	if (r == 0)
		r = file_write_atomic(path, next, n, 0600);
	if (r != 0) {
		(void)snprintf(why, SYS_WHY_SIZE, "%.180s: %s", path,
		    strerror(-r));
		return r;
	}
	*ret = epoch;
	return 0;
}

void
sys_core_dumps(bool allowed)
{
	const struct rlimit none = { 0, 0 };

	if (allowed)
		return;
	/* Both, because a core pattern with a pipe knows no limit, and a dump
	 * of what is not dumpable may be configured (suid_dumpable). */
	if (prctl(PR_SET_DUMPABLE, 0) != 0 ||
	    setrlimit(RLIMIT_CORE, &none) != 0)
		log_warning("core dumps cannot be switched off: %s",
		    strerror(errno));
}

uint64_t
sys_files_max(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return 0;
	if (l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);	/* read back below */
		(void)getrlimit(RLIMIT_NOFILE, &l);
	}
	return l.rlim_cur;
}

/* A socket to the manager and its address.  -1: there is none. */
static int
notify_socket(struct sockaddr_un *to, socklen_t *ret_n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return -1;
	n = strlen(path);
	if (n >= sizeof(to->sun_path))
		return -1;
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(to->sun_path, path, n);
	if (path[0] == '@')		/* the abstract name space */
		to->sun_path[0] = '\0';
	*ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void
sys_notify(const char *text)
{
	struct sockaddr_un to;
	socklen_t n;
	int fd = notify_socket(&to, &n);

	if (fd < 0)
		return;
	/* Without a manager that listens there is nobody to tell. */
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (struct sockaddr *)&to, n);
	(void)close(fd);
}

/* The manager closes the descriptor that comes with BARRIER=1 when it has seen
 * all that came before. */
static void
notify_barrier(void)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	char text[] = "BARRIER=1";
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct sockaddr_un to;
	struct pollfd p = { .fd = -1 };
	int fd, end[2];

	fd = notify_socket(&to, &m.msg_namelen);
	if (fd < 0 || pipe2(end, O_CLOEXEC) != 0) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	m.msg_name = &to;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &end[1], sizeof(int));
	p.fd = end[0];
	if (sendmsg(fd, &m, MSG_NOSIGNAL) >= 0) {
		(void)close(end[1]);
		end[1] = -1;
		(void)poll(&p, 1, BARRIER_MS);
	}
	if (end[1] >= 0)
		(void)close(end[1]);
	(void)close(end[0]);
	(void)close(fd);
}

void
sys_notify_main(int pid)
{
	char text[48];

	(void)snprintf(text, sizeof(text), "MAINPID=%d\nWATCHDOG=1", pid);
	sys_notify(text);
	notify_barrier();
}

uint32_t
sys_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	unsigned long long us;

	if (usec == NULL)
		return 0;
	if (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	us = strtoull(usec, NULL, 10);
	/* Half of what is allowed, as sd_watchdog_enabled(3) advises. */
	return us / 2000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(us / 2000);
}
