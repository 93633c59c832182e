/* SPDX-License-Identifier: Apache-2.0 */
/* core/event/canary.c and unix.c, against listeners of the test's own. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1			/* POLLRDHUP */
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "event/canary.h"
#include "event/unix.h"
#include "../lib/tmpdir.h"

static char path[100];

static int
listen_here(int backlog)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sa.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (const void *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void
a_probe_waits_for_a_pipe_and_not_for_bytes(void **state)
{
	int l = listen_here(5), peer;
	struct canary c;
	char h[9];

	(void)state;
	canary_init(&c, path, CANARY_SUB, 500, 1000);
	assert_int_equal(canary_wait(&c, 1000), 500);
	assert_int_equal(canary_turn(&c, 3, 1499), CANARY_IDLE);
	assert_int_equal(canary_wait(&c, 1600), 0);
	assert_int_equal(canary_turn(&c, 3, 1500), CANARY_WAITING);
	peer = accept(l, NULL, NULL);
	assert_int_equal(recv(peer, h, sizeof(h), 0), 8);
	assert_memory_equal(h, "\0SP\0\0\x21\0\0", 8);
	/* A listener that nng no longer serves answers all the same. */
	assert_int_equal(send(peer, "\0SP\0\0\x20\0\0", 8, 0), 8);
	assert_int_equal(canary_turn(&c, 3, 2000), CANARY_WAITING);
	assert_int_equal(canary_wait(&c, 2000), 500);
	assert_int_equal(canary_turn(&c, 3, 2500), CANARY_DEAD);
	assert_int_equal(c.fd, -1);
	(void)close(peer);
	assert_int_equal(canary_turn(&c, 3, 2999), CANARY_IDLE);
	assert_int_equal(canary_turn(&c, 3, 3000), CANARY_WAITING);
	/* The connection stays up until the pipe is there. */
	peer = accept(l, NULL, NULL);
	assert_int_equal(recv(peer, h, sizeof(h), 0), 8);
	assert_int_equal(recv(peer, h, sizeof(h), MSG_DONTWAIT), -1);
	assert_int_equal(canary_turn(&c, 4, 3001), CANARY_ALIVE);
	assert_int_equal(recv(peer, h, sizeof(h), 0), 0);
	assert_int_equal(canary_turn(&c, 4, 3002), CANARY_IDLE);
	canary_fini(&c);
	(void)close(peer);
	(void)close(l);
	(void)unlink(path);
}

static void
a_path_without_a_listener_is_dead_at_once(void **state)
{
	struct canary c;

	(void)state;
	canary_init(&c, path, CANARY_REQ, 500, 0);
	assert_int_equal(canary_turn(&c, 0, 500), CANARY_DEAD);
	assert_int_equal(canary_turn(&c, 0, 501), CANARY_IDLE);
	(void)close(listen_here(5));
	assert_int_equal(canary_turn(&c, 0, 1000), CANARY_DEAD);
	(void)unlink(path);
	canary_fini(&c);
}

static void
a_full_backlog_is_not_dead(void **state)
{
	int l = listen_here(0), other[3], n;
	struct canary c;

	(void)state;
	for (n = 0; n < 3; n++)
		if (unix_connect_sp(path, CANARY_SUB, &other[n]) != 0)
			break;
	assert_in_range(n, 1, 2);
	canary_init(&c, path, CANARY_SUB, 500, 0);
	assert_int_equal(canary_turn(&c, 0, 500), CANARY_WAITING);
	assert_int_equal(canary_wait(&c, 500), 20);
	assert_int_equal(c.fd, -1);
	(void)close(accept(l, NULL, NULL));
	assert_int_equal(canary_turn(&c, 0, 520), CANARY_WAITING);
	assert_true(c.fd >= 0);
	assert_int_equal(canary_turn(&c, 1, 521), CANARY_ALIVE);
	while (n-- > 0)
		(void)close(other[n]);
	(void)close(l);
	(void)unlink(path);
}

/* A listener that takes one connection, negotiates and,
 * after a while, tells. */
struct taker {
	int listener;
	bool tells;
	_Atomic uint32_t pipes;
	bool spoken, left;		/* by the peer; before it was told */
};

static void *
take(void *arg)
{
	struct taker *t = arg;
	int fd = accept(t->listener, NULL, NULL);
	struct pollfd gone = { .fd = fd, .events = POLLRDHUP };
	char h[8];

	t->spoken = recv(fd, h, sizeof(h), MSG_WAITALL) == 8 &&
	    send(fd, "\0SP\0\0\x20\0\0", 8, MSG_NOSIGNAL) == 8;
	t->left = poll(&gone, 1, 50) != 0;
	if (t->tells)
		t->pipes++;
	(void)poll(&gone, 1, 20 * CANARY_PATIENCE_MS);
	(void)close(fd);
	return NULL;
}

static bool
confirm(struct taker *t)
{
	pthread_t thread;
	bool taken;

	t->listener = listen_here(5);
	assert_int_equal(pthread_create(&thread, NULL, take, t), 0);
	taken = canary_confirm(path, CANARY_SUB, &t->pipes);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(t->listener);
	(void)unlink(path);
	assert_true(t->spoken && !t->left);
	return taken;
}

static void
a_listener_is_confirmed_by_a_pipe(void **state)
{
	struct taker good = { .tells = true }, dead = { .tells = false };

	(void)state;
	assert_true(confirm(&good));
	assert_false(confirm(&dead));
	assert_false(canary_confirm(path, CANARY_SUB, &dead.pipes));
}

/* The queue of a listener that is behind. */
static void
what_cannot_be_told_is_not_held_against_a_listener(void **state)
{
	int l = listen_here(0), other[3], n;
	_Atomic uint32_t pipes = 0;

	(void)state;
	for (n = 0; n < 3; n++)
		if (unix_connect_sp(path, CANARY_SUB, &other[n]) != 0)
			break;
	assert_in_range(n, 1, 2);
	assert_true(canary_confirm(path, CANARY_SUB, &pipes));
	while (n-- > 0)
		(void)close(other[n]);
	(void)close(l);
	(void)unlink(path);
}

static void
nought_switches_it_off(void **state)
{
	struct canary c;

	(void)state;
	canary_init(&c, path, CANARY_SUB, 0, 0);
	assert_int_equal(canary_turn(&c, 0, 1000000), CANARY_IDLE);
	assert_int_equal(canary_wait(&c, 0), -1);
	canary_fini(&c);
}

static void
only_ipc_and_an_absolute_path_is_an_address(void **state)
{
	char url[200] = "ipc:///";

	(void)state;
	assert_string_equal(unix_url_path("ipc:///a/b"), "/a/b");
	assert_null(unix_url_path("ipc://a"));
	assert_null(unix_url_path("ipc://"));
	assert_null(unix_url_path("tcp://127.0.0.1:1"));
	assert_null(unix_url_path(""));
	memset(url + 7, 'x', 106);
	assert_non_null(unix_url_path(url));
	url[7 + 106] = 'x';
	assert_null(unix_url_path(url));
}

static void
only_a_socket_that_nobody_answers_is_removed(void **state)
{
	int l, fd;

	(void)state;
	assert_int_equal(unix_clear(path, CANARY_SUB), 0);
	(void)close(listen_here(5));
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(unix_clear(path, CANARY_SUB), 0);
	assert_int_equal(access(path, F_OK), -1);
	l = listen_here(5);
	assert_int_equal(unix_clear(path, CANARY_SUB), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	(void)close(l);
	(void)unlink(path);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(unix_clear(path, CANARY_SUB), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	(void)unlink(path);
}

static int
set_up(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/s", tmpdir_make());
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tmpdir_remove();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_waits_for_a_pipe_and_not_for_bytes),
		cmocka_unit_test(a_path_without_a_listener_is_dead_at_once),
		cmocka_unit_test(a_full_backlog_is_not_dead),
		cmocka_unit_test(a_listener_is_confirmed_by_a_pipe),
		cmocka_unit_test(
		    what_cannot_be_told_is_not_held_against_a_listener),
		cmocka_unit_test(nought_switches_it_off),
		cmocka_unit_test(only_ipc_and_an_absolute_path_is_an_address),
		cmocka_unit_test(only_a_socket_that_nobody_answers_is_removed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
