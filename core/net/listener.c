/* SPDX-License-Identifier: Apache-2.0 */
/* Opens listening sockets, own and inherited;
 * never touches what others made. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/socket_file.h"

#define SYSTEMD_PREFIX "systemd:"
#define INHERITED_FIRST 3		/* SD_LISTEN_FDS_START */

static int
fail(char *why, const char *address, const char *what, int error)
{
	(void)snprintf(why, LISTENER_WHY_SIZE, "%s: %s: %s", address, what,
	    strerror(-error));
	return error;
}

static int
set_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0 ?
	    0 : -errno;
}

static int
set_v6only(int fd, int on)
{
	return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
	    sizeof(on)) == 0 ? 0 : -errno;
}

/* The text of what fd is bound to. */
static int
bound_text(int fd, char *to)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	memset(&ss, 0, sizeof(ss));
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return -errno;
	(void)addr_text((const struct sockaddr *)&ss, to);
	return 0;
}

static int
prepare_inet(int fd, int family, bool both)
{
	int error = set_on(fd, SOL_SOCKET, SO_REUSEADDR);

	if (error == 0 && family == AF_INET6)
		error = set_v6only(fd, both ? 0 : 1);
	if (error == 0)
		error = set_on(fd, IPPROTO_TCP, TCP_NODELAY);
	return error;
}

/* Remembers which file is ours. */
static int
remember_path(struct listener *l, const struct sockaddr_un *un)
{
	struct stat st;

	l->path = mem_strdup(un->sun_path);
	if (l->path == NULL)
		return -ENOMEM;
	if (lstat(l->path, &st) != 0)
		return -errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return 0;
}

/* Falls back to IPv4 for "*:port" where there is no IPv6. */
static int
make_socket(struct sockaddr_storage *ss, unsigned *len, bool both)
{
	const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	int fd = socket(ss->ss_family, type, 0);

	if (fd >= 0)
		return fd;
	if (errno != EAFNOSUPPORT || !both)
		return -errno;
	in4.sin_port = ((const struct sockaddr_in6 *)ss)->sin6_port;
	memcpy(ss, &in4, sizeof(in4));
	*len = sizeof(in4);
	fd = socket(AF_INET, type, 0);
	return fd >= 0 ? fd : -errno;
}

static int
open_own(const char *address, int backlog, char *why, struct listener *l)
{
	bool both = strncmp(address, "*:", 2) == 0;
	struct sockaddr_storage ss;
	unsigned len;
	int error = addr_parse(address, &ss, &len);

	if (error != 0)
		return fail(why, address, "not an address", error);
	l->fd = make_socket(&ss, &len, both);
	if (l->fd < 0)
		return fail(why, address, "cannot make a socket", l->fd);
	if (ss.ss_family == AF_UNIX)
		error = socket_file_clear(
		    ((const struct sockaddr_un *)&ss)->sun_path);
	else
		error = prepare_inet(l->fd, ss.ss_family, both);
	if (error != 0)
		return fail(why, address, "cannot be used", error);
	if (bind(l->fd, (const struct sockaddr *)&ss, len) != 0)
		return fail(why, address, "cannot bind", -errno);
	if (ss.ss_family == AF_UNIX) {
		error = remember_path(l, (const struct sockaddr_un *)&ss);
		if (error == -ENOMEM)
			(void)unlink(((struct sockaddr_un *)&ss)->sun_path);
	}
	if (error != 0)
		return fail(why, address, "cannot bind", error);
	if (listen(l->fd, backlog) != 0)
		return fail(why, address, "cannot listen", -errno);
	return 0;
}

/* A small number from the environment; -1 when it is not one. */
static long
env_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long v;

	if (text == NULL || *text == '\0')
		return -1;
	errno = 0;
	v = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' && v >= 0 ? v : -1;
}

/* The index of the next inherited descriptor of that name, or -ENOENT. */
static int
find_inherited(const char *name, const struct listener_inherited *in)
{
	const char *at = getenv("LISTEN_FDNAMES");
	long n = env_number("LISTEN_FDS");

	if (env_number("LISTEN_PID") != (long)getpid() || at == NULL)
		return -ENOENT;
	if (n > LISTENER_INHERITED_MAX)
		n = LISTENER_INHERITED_MAX;
	for (int i = 0; i < (int)n; i++) {
		size_t part = strcspn(at, ":");

		if (part == strlen(name) && memcmp(at, name, part) == 0 &&
		    (in->taken >> i & 1) == 0)
			return i;
		at += part;
		if (*at == ':')
			at++;
	}
	return -ENOENT;
}

static bool
is_listening_stream(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(int);
	int listening, type;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0)
		return false;
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return false;
	return listening != 0 && type == SOCK_STREAM &&
	    (ss.ss_family == AF_INET || ss.ss_family == AF_INET6 ||
	    ss.ss_family == AF_UNIX);
}

static bool
is_systemds(const char *address)
{
	return strncmp(address, SYSTEMD_PREFIX, strlen(SYSTEMD_PREFIX)) == 0;
}

static int
take_inherited(const char *address, struct listener_inherited *in, char *why,
    struct listener *l)
{
	int i = find_inherited(address + strlen(SYSTEMD_PREFIX), in);
	int fd, flags;

	if (i < 0)
		return fail(why, address,
		    "systemd passed no (further) socket of this name "
		    "(FileDescriptorName=)", i);
	fd = INHERITED_FIRST + i;
	if (!is_listening_stream(fd))
		return fail(why, address, "not a listening stream socket",
		    -ENOTSOCK);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return fail(why, address, "cannot be used", -errno);
	/* Fails on a unix socket, where there is nothing to delay. */
	(void)set_on(fd, IPPROTO_TCP, TCP_NODELAY);
	in->taken |= (uint64_t)1 << i;
	l->fd = fd;
	return 0;
}

/* With the error so far. */
static int
finish(const char *address, int error, char *why, struct listener *l,
    struct listener *ret)
{
	if (error == 0) {
		error = bound_text(l->fd, l->address);
		if (error != 0)
			(void)fail(why, address, "no address", error);
	}
	if (error != 0) {
		listener_close(l);
		return error;
	}
	*ret = *l;
	return 0;
}

int
listener_open(const char *address, int backlog, struct listener_inherited *in,
    char *why, struct listener *ret)
{
	struct listener l = { .fd = -1 };
	int error;

	if (is_systemds(address))
		error = take_inherited(address, in, why, &l);
	else
		error = open_own(address, backlog, why, &l);
	return finish(address, error, why, &l, ret);
}

/* ---- passed on ---------------------------------------------------------- */

static bool
same_inet(const struct sockaddr_storage *bound,
    const struct sockaddr_storage *want, bool both)
{
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)bound;
	const struct sockaddr_in6 *w6 = (const struct sockaddr_in6 *)want;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)bound;
	const struct sockaddr_in *w4 = (const struct sockaddr_in *)want;

	/* The port is at the same place in both. */
	if (w4->sin_port != 0 && w4->sin_port != b4->sin_port)
		return false;
	if (both && bound->ss_family == AF_INET)	/* no IPv6 there */
		return b4->sin_addr.s_addr == htonl(INADDR_ANY);
	if (bound->ss_family != want->ss_family)
		return false;
	if (want->ss_family == AF_INET)
		return b4->sin_addr.s_addr == w4->sin_addr.s_addr;
	return memcmp(&b6->sin6_addr, &w6->sin6_addr,
	    sizeof(b6->sin6_addr)) == 0;
}

static bool
v6only_as(int fd, const struct sockaddr_storage *bound, bool both)
{
	socklen_t len = sizeof(int);
	int only;

	return bound->ss_family != AF_INET6 || (getsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &only, &len) == 0 && (only != 0) == !both);
}

static bool
same_path(const struct sockaddr_storage *bound,
    const struct sockaddr_storage *want)
{
	return bound->ss_family == AF_UNIX &&
	    strcmp(((const struct sockaddr_un *)bound)->sun_path,
	    ((const struct sockaddr_un *)want)->sun_path) == 0;
}

/* It is what open_own() would have made. */
static int
check_passed(const char *address, int fd, struct listener *l)
{
	bool both = strncmp(address, "*:", 2) == 0;
	struct sockaddr_storage bound, want;
	socklen_t len = sizeof(bound);
	unsigned want_len;
	int error = addr_parse(address, &want, &want_len);

	memset(&bound, 0, sizeof(bound));
	if (error == 0 && getsockname(fd, (struct sockaddr *)&bound,
	    &len) != 0)
		error = -errno;
	if (error != 0)
		return error;
	if (want.ss_family == AF_UNIX ? !same_path(&bound, &want) :
	    !same_inet(&bound, &want, both) || !v6only_as(fd, &bound, both))
		return -EADDRNOTAVAIL;
	return want.ss_family != AF_UNIX ? 0 :
	    remember_path(l, (const struct sockaddr_un *)&want);
}

static int
take_passed(const char *address, int backlog, int fd, struct listener *l)
{
	int error = 0;

	if (!is_listening_stream(fd))
		return -ENOTSOCK;
	l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	if (is_systemds(address))
		return 0;
	error = check_passed(address, fd, l);
	if (error == 0 && listen(l->fd, backlog) != 0)
		error = -errno;
	return error;
}

int
listener_adopt(const char *address, int backlog, int fd, char *why,
    struct listener *ret)
{
	struct listener l = { .fd = -1, .lent = true };
	int error = take_passed(address, backlog, fd, &l);

	if (error != 0)
		(void)fail(why, address, "the socket that was passed on",
		    error);
	return finish(address, error, why, &l, ret);
}

void
listener_close(struct listener *l)
{
	struct stat st;

	/* While the socket is open its inode's number is not given again. */
	if (l->path != NULL) {
		if (!l->lent && lstat(l->path, &st) == 0 &&
		    st.st_dev == l->dev &&
		    st.st_ino == l->ino)
			(void)unlink(l->path);	/* gone already is fine */
		mem_free(l->path);
	}
	if (l->fd >= 0)
		(void)close(l->fd);	/* nothing can be done about it */
	*l = (struct listener){ .fd = -1 };
}
