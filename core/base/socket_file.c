/* SPDX-License-Identifier: Apache-2.0 */
/* Whether somebody listens is asked by connecting without waiting. */
#include "base/socket_file.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int
socket_file_clear(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	struct stat st;
	int error, fd;

	if (n >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, n);
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0 ?
	    EADDRINUSE : errno;
	(void)close(fd);
	if (error == ENOENT)
		return 0;
	if (error != ECONNREFUSED)	/* EAGAIN: its queue is full */
		return error == EAGAIN ? -EADDRINUSE : -error;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}
