/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two workers with threads of their own on one listening descriptor (decision
 * 15; core/net/acceptor.c).  Gates and starvation: test_conn.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "../lib/nettest.h"

static struct net *net;
static struct worker worker[2];
static struct net_worker *half[2];
static char address[120];

static int
no_route(void *ctx, struct net_worker *w, const struct net_request *r,
    struct net_route *ret, const char **ret_why)
{
	(void)ctx;
	(void)w;
	(void)r;
	(void)ret;
	*ret_why = "none";
	return 404;
}

static int
no_upgrade(void *ctx, struct net_worker *w, struct net_upgrade *u)
{
	(void)ctx;
	(void)w;
	(void)u;
	return -1;
}

static void
open_half(void *arg)
{
	assert_int_equal(net_worker_accept(arg, true), 0);
}

static void
free_half(void *arg)
{
	net_worker_free(arg);
}

static void
start(const struct net_limits *limits)
{
	static const struct net_listener_opts plain = {
		.name = "plain", .address = "127.0.0.1:0", .backlog = 1024
	};
	const struct net_hooks hooks = {
		.route = no_route, .upgraded = no_upgrade
	};
	char why[256];

	log_set_level(LOG_LVL_ERROR);
	assert_int_equal(net_new(limits, &plain, 1, &hooks, why, &net), 0);
	(void)net_listener_address(net, 0, address);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(worker_init(&worker[i], "net"), 0);
		assert_int_equal(net_worker_new(net, &worker[i], NULL,
		    &half[i]), 0);
		assert_int_equal(worker_start(&worker[i]), 0);
		worker_call(&worker[i], open_half, half[i]);
	}
}

static void
stop(void)
{
	for (int i = 0; i < 2; i++) {
		worker_call(&worker[i], free_half, &half[i]);
		worker_stop(&worker[i]);
		worker_fini(&worker[i]);
	}
	assert_int_equal(atomic_load(&net_counters(net)->connections), 0);
	assert_int_equal(atomic_load(&net_counters(net)->handshakes_now), 0);
	net_free(&net);
}

/* A blocking client that gives up after five seconds. */
static bool
ask(int fd)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
	const struct timeval patience = { .tv_sec = 5 };
	char reply[512];

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) != 0 ||
	    send(fd, one, strlen(one), MSG_NOSIGNAL) < 0)
		return false;
	return recv(fd, reply, sizeof(reply), 0) > 12 &&
	    memcmp(reply, "HTTP/1.1 200", 12) == 0;
}

static void
both_serve_one_descriptor(void **state)
{
	struct net_limits limits = nettest_limits();
	int fd[100];

	(void)state;
	start(&limits);
	for (int i = 0; i < 100; i++) {
		fd[i] = nettest_connect(address);
		assert_true(fd[i] >= 0);
	}
	for (int i = 0; i < 100; i++)
		assert_true(ask(fd[i]));
	for (int i = 0; i < 100; i++)
		(void)close(fd[i]);
	stop();
}

static sem_t stalled, go_on;

static void
stall(struct mail *m)
{
	(void)m;
	(void)sem_post(&stalled);
	(void)sem_wait(&go_on);
}

static void
a_stalled_worker_holds_nobody_up(void **state)
{
	struct net_limits limits = nettest_limits();
	struct mail mail = { .fn = stall };

	(void)state;
	assert_int_equal(sem_init(&stalled, 0, 0), 0);
	assert_int_equal(sem_init(&go_on, 0, 0), 0);
	start(&limits);
	mailbox_post(&worker[0].mailbox, &mail);
	assert_int_equal(sem_wait(&stalled), 0);
	for (int i = 0; i < 100; i++) {
		int fd = nettest_connect(address);

		assert_true(fd >= 0);
		assert_true(ask(fd));
		(void)close(fd);
	}
	assert_int_equal(sem_post(&go_on), 0);
	stop();
	(void)sem_destroy(&stalled);
	(void)sem_destroy(&go_on);
}

static void
a_gate_opens_when_the_other_worker_has_room_again(void **state)
{
	struct net_limits limits = nettest_limits();
	int fd[4];

	(void)state;
	limits.connections = 2;
	start(&limits);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 4; i++)
			fd[i] = nettest_connect(address);
		/* Two are let in; each end lets in the next. */
		for (int served = 0; served < 4; served++) {
			struct timeval soon = { .tv_usec = 20000 };
			bool done = false;

			for (int i = 0; i < 400 && !done; i++) {
				int f = fd[i % 4];
				char c;

				if (f < 0)
					continue;
				(void)setsockopt(f, SOL_SOCKET, SO_RCVTIMEO,
				    &soon, sizeof(soon));
				if (i < 4)
					(void)send(f, "GET /healthz HTTP/1.1"
					    "\r\nHost: h\r\n\r\n", 34,
					    MSG_NOSIGNAL);
				if (recv(f, &c, 1, 0) == 1) {
					(void)close(f);
					fd[i % 4] = -1;
					done = true;
				}
			}
			assert_true(done);
		}
	}
	assert_true(atomic_load(&net_counters(net)->gated) > 0);
	stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_serve_one_descriptor),
		cmocka_unit_test(a_stalled_worker_holds_nobody_up),
		cmocka_unit_test(
		    a_gate_opens_when_the_other_worker_has_room_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
