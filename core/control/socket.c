/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening control socket: made, or taken from the former process of an
 * upgrade; and its file, which goes with the last daemon that has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/socket_file.h"
#include "control/control_priv.h"

/* Nobody gets in between bind and chmod: it does not listen yet. */
static int
bind_socket(struct control *c)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(c->path);
	int r;

	if (n >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, c->path, n);
	r = socket_file_clear(c->path);
	if (r != 0)
		return r;
	c->listening.fd = socket(AF_UNIX,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listening.fd < 0)
		return -errno;
	if (bind(c->listening.fd, (const struct sockaddr *)&un,
	    sizeof(un)) != 0)
		return -errno;
	c->bound = true;
	return chmod(c->path, 0660) == 0 &&
	    listen(c->listening.fd, 128) == 0 ? 0 : -errno;
}

/* It is what bind_socket() would have made. */
static int
check_passed(const struct control *c, int fd)
{
	struct sockaddr_un un = { .sun_family = AF_UNSPEC };
	socklen_t un_n = sizeof(un), n = sizeof(int);
	int listening, type;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 ||
	    getsockname(fd, (struct sockaddr *)&un, &un_n) != 0)
		return -errno;
	if (listening == 0 || type != SOCK_STREAM)
		return -ENOTSOCK;
	n = sizeof(un.sun_path);
	return un.sun_family == AF_UNIX &&
	    strnlen(un.sun_path, n) == strlen(c->path) &&
	    memcmp(un.sun_path, c->path, strlen(c->path)) == 0 ?
	    0 : -EADDRNOTAVAIL;
}

static int
take_socket(struct control *c, int fd)
{
	int r = check_passed(c, fd);

	if (r != 0)
		return r;
	c->listening.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (c->listening.fd < 0)
		return -errno;
	c->bound = c->lent = true;
	return 0;
}

int
control_open_socket(struct control *c)
{
	int r = c->deps.passed ? take_socket(c, c->deps.passed_fd) :
	    bind_socket(c);

	return r != 0 ? r : loop_add(c->worker.loop, &c->listening, EPOLLIN);
}

void
control_close_socket(struct control *c)
{
	if (c->bound && !c->lent)
		(void)unlink(c->path);
	if (c->listening.fd >= 0)
		(void)close(c->listening.fd);
	c->listening.fd = -1;
	c->bound = false;
}

int
control_fd(const struct control *c)
{
	return c->listening.fd;
}

void
control_lend(struct control *c, bool lent)
{
	c->lent = lent;
}
