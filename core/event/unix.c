/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets that take part in nng's ipc negotiation: eight bytes each way,
 * 0 'S' 'P' 0, the protocol's number in network order, 0 0.
 */
#include "event/unix.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MS 200

static const char scheme[] = "ipc://";

const char *
unix_url_path(const char *url)
{
	const char *path = url + sizeof(scheme) - 1;

	if (strncmp(url, scheme, sizeof(scheme) - 1) != 0 || path[0] != '/' ||
	    strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return NULL;
	return path;
}

int
unix_connect_sp(const char *path, uint8_t protocol, int *ret_fd)
{
	const uint8_t header[8] = { 0, 'S', 'P', 0, 0, protocol, 0, 0 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	ssize_t sent;
	int fd, r;

	if (n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, n);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const void *)&sa, sizeof(sa)) != 0) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	/* A new socket has room for eight bytes. */
	sent = send(fd, header, sizeof(header), MSG_NOSIGNAL);
	if (sent != (ssize_t)sizeof(header)) {
		r = sent < 0 ? -errno : -EIO;
		(void)close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* Waits for the header of the other side, so that closing harms nobody. */
static void
part(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	(void)poll(&p, 1, ANSWER_MS);
	(void)close(fd);
}

int
unix_clear(const char *path, uint8_t protocol)
{
	struct stat st;
	int fd, r;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	r = unix_connect_sp(path, protocol, &fd);
	if (r == 0)
		part(fd);
	if (r == 0 || r == -EAGAIN)
		return -EADDRINUSE;
	if (r == -ENOENT)
		return 0;
	if (r != -ECONNREFUSED)
		return r;
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}
