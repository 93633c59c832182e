/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, own and inherited (core/net/listener.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/listener.h"
#include "../lib/nettest.h"

static char why[LISTENER_WHY_SIZE];
static struct listener_inherited none;
static char dir[] = "/tmp/cleat-listener-XXXXXX", path[64], address[80];

static int
make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	(void)snprintf(address, sizeof(address), "unix:%s", path);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir);
}

static unsigned
port_of(const struct listener *l)
{
	return (unsigned)strtoul(strrchr(l->address, ':') + 1, NULL, 10);
}

/* 0 when a connection to text with the listener's port is taken. */
static int
reach(const struct listener *l, const char *host)
{
	char to[80];
	int fd, taken;

	(void)snprintf(to, sizeof(to), "%s:%u", host, port_of(l));
	fd = nettest_connect(to);
	if (fd < 0)
		return fd;
	taken = accept(l->fd, NULL, NULL);
	(void)close(taken);
	(void)close(fd);
	return taken < 0 ? -EAGAIN : 0;
}

static void
a_port_of_zero_is_resolved(void **state)
{
	struct listener l;
	int fd, taken, on = 0;
	socklen_t len = sizeof(on);

	(void)state;
	assert_int_equal(listener_open("127.0.0.1:0", 5, &none, why, &l), 0);
	assert_true(port_of(&l) > 0);
	assert_true((fcntl(l.fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(l.fd, F_GETFD) & FD_CLOEXEC) != 0);
	fd = nettest_connect(l.address);
	assert_true(fd >= 0);
	taken = accept(l.fd, NULL, NULL);
	assert_true(taken >= 0);
	assert_int_equal(getsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on,
	    &len), 0);
	assert_int_equal(on, 1);	/* inherited from the listener */
	(void)close(taken);
	(void)close(fd);
	listener_close(&l);
	assert_int_equal(l.fd, -1);
}

static void
families_are_as_written(void **state)
{
	struct listener l;

	(void)state;
	if (listener_open("[::1]:0", 5, &none, why, &l) != 0)
		skip();
	assert_int_equal(reach(&l, "[::1]"), 0);
	assert_int_equal(reach(&l, "127.0.0.1"), -ECONNREFUSED);
	listener_close(&l);
	assert_int_equal(listener_open("[::]:0", 5, &none, why, &l), 0);
	assert_int_equal(reach(&l, "[::1]"), 0);
	assert_int_equal(reach(&l, "127.0.0.1"), -ECONNREFUSED);
	listener_close(&l);
	assert_int_equal(listener_open("*:0", 5, &none, why, &l), 0);
	assert_int_equal(reach(&l, "[::1]"), 0);
	assert_int_equal(reach(&l, "127.0.0.1"), 0);
	listener_close(&l);
}

static void
a_taken_port_is_refused_with_a_line(void **state)
{
	struct listener l, again;

	(void)state;
	assert_int_equal(listener_open("127.0.0.1:0", 5, &none, why, &l), 0);
	assert_int_equal(listener_open(l.address, 5, &none, why, &again),
	    -EADDRINUSE);
	assert_non_null(strstr(why, l.address));
	assert_non_null(strstr(why, "in use"));
	listener_close(&l);
	assert_int_equal(listener_open("localhost:80", 5, &none, why, &l),
	    -EINVAL);
	assert_non_null(strstr(why, "localhost:80"));
}

static void
a_dead_unix_socket_is_replaced_a_live_one_not(void **state)
{
	struct listener l, again;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(listener_open(address, 5, &none, why, &l), 0);
	fd = nettest_connect(address);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(listener_open(address, 5, &none, why, &again),
	    -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	/* Nobody answers there any more. */
	assert_int_equal(shutdown(l.fd, SHUT_RDWR), 0);
	assert_int_equal(listener_open(address, 5, &none, why, &again), 0);
	/* The file is not the first one's any more: it stays. */
	listener_close(&l);
	assert_int_equal(stat(path, &st), 0);
	listener_close(&again);
	assert_int_equal(stat(path, &st), -1);
}

static void
a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct listener l;
	struct stat st;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(listener_open(address, 5, &none, why, &l), -EEXIST);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	(void)unlink(path);
}

static void
memory_may_be_short(void **state)
{
	struct listener l = { .fd = -7 };
	struct stat st;
	int error;

	(void)state;
	(void)mem_fail_nth(1);
	error = listener_open(address, 5, &none, why, &l);
	(void)mem_fail_nth(0);
	assert_int_equal(error, -ENOMEM);
	assert_int_equal(l.fd, -7);
	assert_int_equal(stat(path, &st), -1);
}

/* ---- passed on ---------------------------------------------------------- */

static void
a_socket_that_is_passed_on_serves_what_waits(void **state)
{
	static const char *const addresses[] = {
		"127.0.0.1:0", "[::1]:0", "*:0", address
	};
	struct listener l, next;
	int fd, taken;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		if (listener_open(addresses[i], 5, &none, why, &l) != 0)
			continue;	/* no IPv6 here */
		fd = i == 2 ? 0 : nettest_connect(l.address);
		assert_true(fd >= 0);
		assert_int_equal(listener_adopt(addresses[i], 7, l.fd, why,
		    &next), 0);
		assert_true(next.fd != l.fd && next.lent);
		assert_true((fcntl(next.fd, F_GETFD) & FD_CLOEXEC) != 0);
		assert_string_equal(next.address, l.address);
		l.lent = true;
		listener_close(&l);
		if (i == 2) {
			assert_int_equal(reach(&next, "127.0.0.1"), 0);
		} else {
			taken = accept(next.fd, NULL, NULL);
			assert_true(taken >= 0);
			(void)close(taken);
			(void)close(fd);
		}
		next.lent = false;
		listener_close(&next);
	}
}

static void
the_file_of_a_lent_socket_stays(void **state)
{
	struct listener l, next, third;
	struct stat st;

	(void)state;
	assert_int_equal(listener_open(address, 5, &none, why, &l), 0);
	assert_int_equal(listener_adopt(address, 5, l.fd, why, &next), 0);
	/* The next one gave up: it was not its own yet. */
	listener_close(&next);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(listener_adopt(address, 5, l.fd, why, &next), 0);
	l.lent = true;
	listener_close(&l);
	assert_int_equal(stat(path, &st), 0);
	/* Nobody accepts for a while, and yet it is not stale. */
	assert_int_equal(listener_open(address, 5, &none, why, &third),
	    -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	next.lent = false;
	listener_close(&next);
	assert_int_equal(stat(path, &st), -1);
}

static void
another_address_is_not_taken_for_it(void **state)
{
	static const char *const others[] = {
		"127.0.0.1:1", "127.0.0.2:0", "[::1]:0", "*:0", "unix:/x"
	};
	struct listener l, next = { .fd = -7 };
	int pair[2], fd;

	(void)state;
	assert_int_equal(listener_open("127.0.0.1:0", 5, &none, why, &l), 0);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(listener_adopt(others[i], 5, l.fd, why,
		    &next), -EADDRNOTAVAIL);
		assert_non_null(strstr(why, others[i]));
	}
	assert_int_equal(listener_adopt("nowhere", 5, l.fd, why, &next),
	    -EINVAL);
	listener_close(&l);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(listener_adopt("127.0.0.1:0", 5, pair[0], why,
	    &next), -ENOTSOCK);
	assert_int_equal(listener_adopt("127.0.0.1:0", 5, -1, why, &next),
	    -ENOTSOCK);
	(void)close(pair[0]);
	(void)close(pair[1]);
	if (listener_open("[::]:0", 5, &none, why, &l) == 0) {
		assert_int_equal(listener_adopt("*:0", 5, l.fd, why, &next),
		    -EADDRNOTAVAIL);	/* IPv6 alone */
		listener_close(&l);
	}
	/* Unix: the path counts, and its file has to be there. */
	assert_int_equal(listener_open(address, 5, &none, why, &l), 0);
	assert_int_equal(listener_adopt("unix:/x", 5, l.fd, why, &next),
	    -EADDRNOTAVAIL);
	(void)mem_fail_nth(1);
	fd = listener_adopt(address, 5, l.fd, why, &next);
	(void)mem_fail_nth(0);
	assert_int_equal(fd, -ENOMEM);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(listener_adopt(address, 5, l.fd, why, &next),
	    -ENOENT);
	assert_int_equal(next.fd, -7);
	listener_close(&l);
}

/* ---- systemd: everything in a child, which owns descriptors 3 to 5 ------ */

static int
inet_socket(int listening)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (const struct sockaddr *)&in4, sizeof(in4)) != 0 ||
	    (listening && listen(fd, 5) != 0))
		return -1;
	return fd;
}

#define WANT(c) do { if (!(c)) return __LINE__ % 250 + 1; } while (0)

static int
inherit(void)
{
	struct listener_inherited in = { 0 };
	struct listener l, m;
	char pid[20];
	int a = inet_socket(1), b = inet_socket(1), c = inet_socket(0);

	a = fcntl(a, F_DUPFD, 20);
	b = fcntl(b, F_DUPFD, 20);
	c = fcntl(c, F_DUPFD, 20);
	WANT(dup2(a, 3) == 3 && dup2(b, 4) == 4 && dup2(c, 5) == 5);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", "1", 1);
	(void)setenv("LISTEN_FDS", "3", 1);
	(void)setenv("LISTEN_FDNAMES", "wss:wss:raw", 1);
	WANT(listener_open("systemd:wss", 5, &in, why, &l) == -ENOENT);
	(void)setenv("LISTEN_PID", pid, 1);
	WANT(listener_open("systemd:ws", 5, &in, why, &l) == -ENOENT);
	WANT(strstr(why, "systemd:ws") != NULL);
	WANT(listener_open("systemd:wss", 5, &in, why, &l) == 0);
	WANT(l.fd == 3 && reach(&l, "127.0.0.1") == 0);
	WANT((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
	WANT(listener_open("systemd:wss", 5, &in, why, &m) == 0);
	WANT(m.fd == 4 && reach(&m, "127.0.0.1") == 0);
	WANT(listener_open("systemd:wss", 5, &in, why, &m) == -ENOENT);
	/* And on to the next process, whose environment names another pid. */
	(void)setenv("LISTEN_PID", "1", 1);
	WANT(listener_adopt("systemd:wss", 5, l.fd, why, &m) == 0);
	WANT(m.fd > 5 && m.path == NULL && reach(&m, "127.0.0.1") == 0);
	WANT(listener_adopt("systemd:raw", 5, 5, why, &m) == -ENOTSOCK);
	(void)setenv("LISTEN_PID", pid, 1);
	WANT(listener_open("systemd:raw", 5, &in, why, &m) == -ENOTSOCK);
	(void)setenv("LISTEN_FDS", "x", 1);
	in.taken = 0;
	WANT(listener_open("systemd:wss", 5, &in, why, &m) == -ENOENT);
	return 0;
}

static void
systemd_sockets_are_taken_by_name(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		_exit(inherit());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_of_zero_is_resolved),
		cmocka_unit_test(families_are_as_written),
		cmocka_unit_test(a_taken_port_is_refused_with_a_line),
		cmocka_unit_test(a_dead_unix_socket_is_replaced_a_live_one_not),
		cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
		cmocka_unit_test(memory_may_be_short),
		cmocka_unit_test(a_socket_that_is_passed_on_serves_what_waits),
		cmocka_unit_test(the_file_of_a_lent_socket_stays),
		cmocka_unit_test(another_address_is_not_taken_for_it),
		cmocka_unit_test(systemd_sockets_are_taken_by_name),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
