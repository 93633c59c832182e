/* SPDX-License-Identifier: Apache-2.0 */
/* See replaced.h. */
#include "daemon/replaced.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* A line has less than 100 bytes before its path. */
#define PATH_SIZE 4096
#define LINE_SIZE (PATH_SIZE + 128)

/* Returns the path, and cuts the kernel's mark off it; NULL: none of those.
 * Code is mapped "r-xp"; what is shared or has no file of its own (libffi's
 * trampolines, memfd) was made to be without a name. */
static const char *
replaced_path(char *line)
{
	static const char mark[] = " (deleted)";
	char *mode = strchr(line, ' '), *path = strchr(line, '/');
	size_t n;

	if (mode == NULL || path == NULL || path < mode ||
	    mode[3] != 'x' || mode[4] != 'p' ||
	    strncmp(path, "/memfd:", 7) == 0)
		return NULL;
	n = strlen(path);
	if (n < sizeof(mark) || strcmp(path + n - (sizeof(mark) - 1),
	    mark) != 0)
		return NULL;
	path[n - (sizeof(mark) - 1)] = '\0';
	return path;
}

/* Returns how many bytes of whole lines there were.  `last` is the path that
 * fn had last: the parts of a file follow each other.  A longer one than
 * open(2) takes is of no use to fn. */
static size_t
take_lines(char *buf, size_t n, char last[PATH_SIZE],
    void (*fn)(void *, const char *), void *arg)
{
	size_t used = 0;
	char *end;

	while ((end = memchr(buf + used, '\n', n - used)) != NULL) {
		const char *path;

		*end = '\0';
		path = replaced_path(buf + used);
		if (path != NULL && strlen(path) < PATH_SIZE &&
		    strcmp(path, last) != 0) {
			memcpy(last, path, strlen(path) + 1);
			fn(arg, path);
		}
		used = (size_t)(end - buf) + 1;
	}
	return used;
}

int
replaced_each(const char *maps, void (*fn)(void *, const char *), void *arg)
{
	int fd = open(maps, O_RDONLY | O_CLOEXEC);
	char buf[2 * LINE_SIZE], last[PATH_SIZE] = "";
	size_t n = 0, used;
	int r = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t got = read(fd, buf + n, LINE_SIZE);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			r = got < 0 ? -errno : 0;
			break;
		}
		n += (size_t)got;
		used = take_lines(buf, n, last, fn, arg);
		n -= used;
		memmove(buf, buf + used, n);
		if (n >= LINE_SIZE) {
			r = -ENAMETOOLONG;
			break;
		}
	}
	(void)close(fd);
	return r;
}
