/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files.  Opened without blocking and looked at before the first byte is
 * read: a FIFO with no writer, or a terminal, would otherwise stop the daemon.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* mkostemp */
#endif
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static int
open_regular(const char *path, size_t limit, int *ret_fd, size_t *ret_size)
{
	struct stat st;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		err = -ENOTSUP;
	else if (st.st_size < 0 || (uint64_t)st.st_size > limit)
		err = -EFBIG;
	if (err < 0) {
		(void)close(fd);
		return err;
	}
	*ret_fd = fd;
	*ret_size = (size_t)st.st_size;
	return 0;
}

int
file_read_up_to(int fd, void *p, size_t cap, size_t *ret_n)
{
	size_t n = 0;
	ssize_t got;

	while (n < cap) {
		got = read(fd, (uint8_t *)p + n, cap - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*ret_n = n;
	return 0;
}

int
file_read(const char *path, size_t limit, uint8_t **ret, size_t *ret_n)
{
	size_t size = 0, cap, n = 0, more = 0;
	uint8_t *p, *bigger;
	int fd = -1, err;

	err = open_regular(path, limit, &fd, &size);
	if (err < 0)
		return err;
	/* One byte more than it says, to see that it ends there; the files of
	 * /proc say 0, and any file may grow meanwhile. */
	cap = size + 2;
	p = mem_alloc(cap);
	if (p == NULL) {
		err = -ENOMEM;
		goto out;
	}
	for (;;) {
		err = file_read_up_to(fd, p + n, cap - 1 - n, &more);
		if (err < 0)
			goto out;
		n += more;
		if (n > limit) {
			err = -EFBIG;
			goto out;
		}
		if (n < cap - 1)
			break;
		/* Not mem_realloc: it may leave a copy of a secret behind. */
		bigger = mem_alloc(cap * 2);
		if (bigger == NULL) {
			err = -ENOMEM;
			goto out;
		}
		memcpy(bigger, p, n);
		mem_free_wiped(p, cap);
		p = bigger;
		cap *= 2;
	}
	p[n] = '\0';
	*ret = p;
	*ret_n = n;
	p = NULL;
out:
	mem_free_wiped(p, cap);
	(void)close(fd);
	return err;
}

int
file_line(const void *p, size_t n, const char **ret, size_t *ret_n)
{
	const char *line = p, *end;

	if (n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
		line += 3;
		n -= 3;
	}
	end = memchr(line, '\n', n);
	if (end != NULL)
		n = (size_t)(end - line);
	if (n > 0 && line[n - 1] == '\r')
		n--;
	if (memchr(line, '\0', n) != NULL)
		return -EILSEQ;
	*ret = line;
	*ret_n = n;
	return 0;
}

int
file_write_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;
	ssize_t done;

	while (n > 0) {
		done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

/* The directory that holds `path`; opened first, so that nothing but its fsync
 * can fail after the rename. */
static int
open_directory_of(const char *path, int *ret_fd)
{
	const char *slash = strrchr(path, '/');
	char *dir;
	int fd, err = 0;

	if (slash == NULL)
		dir = mem_strdup(".");
	else
		dir = mem_strdup(path);
	if (dir == NULL)
		return -ENOMEM;
	if (slash != NULL)
		dir[slash == path ? 1 : slash - path] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err = -errno;
	else
		*ret_fd = fd;
	mem_free(dir);
	return err;
}

static int
write_new(char *path, const void *p, size_t n, unsigned mode, int *ret_fd)
{
	int fd, err;

	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = file_write_all(fd, p, n);
	if (err == 0 && fchmod(fd, (mode_t)mode) < 0)
		err = -errno;
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (err < 0) {
		(void)close(fd);
		(void)unlink(path);	/* the first error is the one to tell */
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* The file gets its name, and loses the temporary one. */
static int
name_it(const char *temp, const char *path, bool over)
{
	int err = (over ? rename(temp, path) : link(temp, path)) < 0 ? -errno :
	    0;

	if (!over || err < 0)
		(void)unlink(temp);
	return err;
}

/* *ret_fd: once it has its name. */
static int
write_whole(const char *path, const void *p, size_t n, unsigned mode,
    bool over, int *ret_fd)
{
	size_t size = strlen(path) + sizeof(".XXXXXX");
	char *temp = NULL;
	int dir = -1, fd = -1, err;

	err = open_directory_of(path, &dir);
	if (err < 0)
		return err;
	temp = mem_alloc(size);
	if (temp == NULL) {
		err = -ENOMEM;
		goto out;
	}
	(void)snprintf(temp, size, "%s.XXXXXX", path);
	err = write_new(temp, p, n, mode, &fd);
	if (err < 0)
		goto out;
	err = name_it(temp, path, over);
	if (err < 0) {
		(void)close(fd);
		goto out;
	}
	*ret_fd = fd;
	if (fsync(dir) < 0) {
		err = -errno;
		/* Who is told that it failed will want to make it again. */
		if (!over)
			(void)unlink(path);
	}
out:
	mem_free(temp);
	(void)close(dir);
	return err;
}

/* For who does not go on writing. */
static int
write_closed(const char *path, const void *p, size_t n, unsigned mode,
    bool over)
{
	int fd = -1, err = write_whole(path, p, n, mode, over, &fd);

	if (fd >= 0)
		(void)close(fd);	/* it was fsynced */
	return err;
}

int
file_write_atomic(const char *path, const void *p, size_t n, unsigned mode)
{
	return write_closed(path, p, n, mode, true);
}

int
file_write_new(const char *path, const void *p, size_t n, unsigned mode)
{
	return write_closed(path, p, n, mode, false);
}

int
file_replace(const char *path, const void *p, size_t n, unsigned mode,
    int *ret_fd)
{
	return write_whole(path, p, n, mode, true, ret_fd);
}

int
file_sync_name(const char *path)
{
	int dir = -1, err = open_directory_of(path, &dir);

	if (err < 0)
		return err;
	if (fsync(dir) < 0)
		err = -errno;
	(void)close(dir);
	return err;
}
