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

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
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

static int
healthz(void)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
	const struct timeval soon = { .tv_usec = 20000 };
	int fd = nettest_connect(address);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon,
	    sizeof(soon)), 0);
	(void)send(fd, one, strlen(one), MSG_NOSIGNAL);
	return fd;
}

/* Waits a moment.  Two workers that see room for one at the same time both
 * accept, and refuse the second: that one comes again. */
static bool
is_served(int *fd)
{
	ssize_t n;
	char c;

	if (*fd < 0)
		return false;
	n = recv(*fd, &c, 1, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	(void)close(*fd);
	*fd = n == 1 ? -1 : healthz();
	return n == 1;
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
			fd[i] = healthz();
		/* Two are let in; each end lets in the next. */
		for (int served = 0; served < 4; served++) {
			bool done = false;

			for (int i = 0; i < 4000 && !done; i++)
				done = is_served(&fd[i % 4]);
			assert_true(done);
		}
	}
	assert_true(atomic_load(&net_counters(net)->gated) > 0);
	stop();
}

/* ---- two processes, one after the other --------------------------------- */

static void
shut_half(void *arg)
{
	assert_int_equal(net_worker_accept(arg, false), 0);
}

static void
former_accepts(bool on)
{
	for (int i = 0; i < 2; i++)
		worker_call(&worker[i], on ? open_half : shut_half, half[i]);
}

/* As the next process has it: another struct net on the same description. */
struct next {
	struct net *net;
	struct worker worker;
	struct net_worker *half;
};

static void
next_start(struct next *n, const struct net_limits *limits)
{
	struct net_listener_opts o = *net_listener_opts(net, 0);
	const struct net_hooks hooks = {
		.route = no_route, .upgraded = no_upgrade
	};
	char why[256];

	assert_false(o.passed);
	o.passed = true;
	o.passed_fd = net_listener_fd(net, 0);
	assert_int_equal(net_new(limits, &o, 1, &hooks, why, &n->net), 0);
	assert_true(net_listener_fd(n->net, 0) != o.passed_fd);
	assert_int_equal(worker_init(&n->worker, "next"), 0);
	assert_int_equal(net_worker_new(n->net, &n->worker, NULL, &n->half),
	    0);
	assert_int_equal(worker_start(&n->worker), 0);
}

static void
no_memory_for_the_next_costs_the_former_nothing(void **state)
{
	struct net_limits limits = nettest_limits();
	const struct net_hooks hooks = {
		.route = no_route, .upgraded = no_upgrade
	};
	struct net_listener_opts o;
	struct net *next = NULL;
	char why[256];
	int fd, r = -1;

	(void)state;
	start(&limits);
	o = *net_listener_opts(net, 0);
	o.passed = true;
	o.passed_fd = net_listener_fd(net, 0);
	for (unsigned long n = 1; r != 0; n++) {
		mem_fail_nth(n);
		r = net_new(&limits, &o, 1, &hooks, why, &next);
		mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
	net_free(&next);
	o.address = "127.0.0.1:1";
	assert_int_equal(net_new(&limits, &o, 1, &hooks, why, &next),
	    -EADDRNOTAVAIL);
	assert_null(next);
	assert_non_null(strstr(why, "127.0.0.1:1"));
	fd = nettest_connect(address);
	assert_true(fd >= 0 && ask(fd));
	(void)close(fd);
	stop();
}

static void
next_stop(struct next *n)
{
	worker_call(&n->worker, free_half, &n->half);
	worker_stop(&n->worker);
	worker_fini(&n->worker);
	net_free(&n->net);
}

static uint64_t
accepted(struct net *of)
{
	return atomic_load(&net_counters(of)->accepted);
}

static void
who_waits_while_nobody_accepts_is_served_by_the_next(void **state)
{
	struct net_limits limits = nettest_limits();
	struct next next;
	int fd[100];
	uint64_t before;

	(void)state;
	start(&limits);
	assert_int_equal(net_listeners(net), 1);
	next_start(&next, &limits);
	former_accepts(false);
	before = accepted(net);
	for (int i = 0; i < 100; i++) {
		fd[i] = nettest_connect(address);
		assert_true(fd[i] >= 0);
	}
	worker_call(&next.worker, open_half, next.half);
	net_lend(net, true);
	net_lend(next.net, false);
	for (int i = 0; i < 100; i++) {
		assert_true(ask(fd[i]));
		(void)close(fd[i]);
	}
	assert_int_equal(accepted(net), before);
	assert_int_equal(accepted(next.net), 100);
	stop();				/* the former is gone; it goes on */
	fd[0] = nettest_connect(address);
	assert_true(fd[0] >= 0 && ask(fd[0]));
	(void)close(fd[0]);
	next_stop(&next);
	assert_int_equal(nettest_connect(address), -ECONNREFUSED);
}

/* An upgrade that is given up, many times: whoever accepts next takes what the
 * other left, also when it was woken and did not come to it. */
static void
nobody_is_lost_between_two_that_take_turns(void **state)
{
	struct net_limits limits = nettest_limits();
	struct next next;
	int fd[4];

	(void)state;
	start(&limits);
	next_start(&next, &limits);
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 4; i++) {
			fd[i] = nettest_connect(address);
			assert_true(fd[i] >= 0);
		}
		if (round % 2 == 0) {
			former_accepts(false);
			worker_call(&next.worker, open_half, next.half);
		} else {
			worker_call(&next.worker, shut_half, next.half);
			former_accepts(true);
		}
		for (int i = 0; i < 4; i++) {
			assert_true(ask(fd[i]));
			(void)close(fd[i]);
		}
	}
	assert_int_equal(accepted(net) + accepted(next.net), 400);
	next_stop(&next);
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
		cmocka_unit_test(
		    who_waits_while_nobody_accepts_is_served_by_the_next),
		cmocka_unit_test(
		    no_memory_for_the_next_costs_the_former_nothing),
		cmocka_unit_test(nobody_is_lost_between_two_that_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
