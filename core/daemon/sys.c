/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System matters.  The notify protocol is a datagram to a unix socket named in
 * the environment; libsystemd would bring four libraries for it.
 */
#include "daemon/sys.h"

#include <errno.h>
#include <fcntl.h>
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

int
sys_lock(const char *dir, char *why, int *ret_fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct flock owner = whole;
	char path[4096];
	int fd, r;

	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fcntl(fd, F_SETLK, &whole) == 0) {
		*ret_fd = fd;
		return 0;
	}
	r = fd >= 0 && (errno == EACCES || errno == EAGAIN) ? -EBUSY : -errno;
	if (r == -EBUSY && fcntl(fd, F_GETLK, &owner) == 0 &&
	    owner.l_type != F_UNLCK)
		(void)snprintf(why, SYS_WHY_SIZE, "%.180s is in use by another "
		    "cleatd (pid %ld)", dir, (long)owner.l_pid);
	else
		(void)snprintf(why, SYS_WHY_SIZE, "%.180s: %s", path,
		    strerror(-r));
	if (fd >= 0)
		(void)close(fd);
	return r;
}

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
		(void)snprintf(why, SYS_WHY_SIZE, "%.120s is damaged: write into "
		    "it a number higher than any epoch seen on the bus", path);
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

void
sys_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')		/* the abstract name space */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Without a manager that listens there is nobody to tell. */
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	(void)close(fd);
}

uint32_t
sys_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long us;

	if (usec == NULL)
		return 0;
	if (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	us = strtoull(usec, NULL, 10);
	/* Half of what is allowed, as sd_watchdog_enabled(3) advises. */
	return us / 2000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(us / 2000);
}
