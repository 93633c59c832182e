/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/fds.h"
#include "../lib/under_valgrind.h"
#include "base/mem.h"
#include "daemon/upgrade_wire.h"

#define PATIENCE_MS 30000		/* nobody has to wait for so long */
#define SHORT_MS 50
#define HEAD 16

static int end[2];			/* of the pair */

static int
set_up(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    end), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(upgrade_timeouts(end[i], PATIENCE_MS), 0);
	return 0;
}

static void
hang_up(int i)
{
	if (end[i] >= 0)
		(void)close(end[i]);
	end[i] = -1;
}

static int
tear_down(void **state)
{
	(void)state;
	hang_up(0);
	hang_up(1);
	return 0;
}

/* What a message looks like on the wire. */
struct raw {
	uint32_t magic;
	uint16_t type, fds_n;
	uint64_t n;
};

static struct raw
head(void)
{
	uint8_t b[HEAD];
	struct raw h;

	assert_int_equal(upgrade_send(end[0], UPGRADE_GO, NULL, 0, NULL, 0),
	    0);
	assert_int_equal(recv(end[1], b, sizeof(b), 0), HEAD);
	memcpy(&h, b, sizeof(h));
	assert_int_equal(h.type, UPGRADE_GO);
	assert_int_equal(h.n, 0);
	return h;
}

static int
receive(struct upgrade_message *m)
{
	int r = upgrade_recv(end[1], m);

	if (r != 0) {			/* it left nothing */
		assert_null(m->p);
		assert_int_equal(m->fds_n, 0);
	}
	return r;
}

/* ---- what goes well ----------------------------------------------------- */

static void
bytes_and_descriptors_arrive(void **state)
{
	struct upgrade_message m;
	int fds[2];
	char c;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(upgrade_send(end[0], UPGRADE_START, "some", 4, fds,
	    2), 0);
	assert_int_equal(receive(&m), 0);
	assert_int_equal(m.type, UPGRADE_START);
	assert_int_equal(m.n, 4);
	assert_memory_equal(m.p, "some", 4);
	assert_int_equal(m.fds_n, 2);
	/* They are others, in order, and no child of ours inherits them. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(m.fds[i], F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(m.fds[1], "x", 1), 1);
	assert_int_equal(read(fds[0], &c, 1), 1);
	/* One that is taken out is the taker's. */
	(void)close(fds[0]);
	fds[0] = m.fds[0];
	m.fds[0] = -1;
	upgrade_message_fini(&m);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void
messages_follow_each_other(void **state)
{
	struct upgrade_message m;

	(void)state;
	assert_int_equal(upgrade_send(end[0], UPGRADE_READY, "a", 1, NULL, 0),
	    0);
	assert_int_equal(upgrade_send(end[0], UPGRADE_GO, NULL, 0, NULL, 0),
	    0);
	assert_int_equal(upgrade_send(end[0], UPGRADE_BATCH, "bc", 2, end, 1),
	    0);
	assert_int_equal(receive(&m), 0);
	assert_int_equal(m.type, UPGRADE_READY);
	assert_int_equal(m.fds_n, 0);
	upgrade_message_fini(&m);
	assert_int_equal(receive(&m), 0);
	assert_int_equal(m.type, UPGRADE_GO);
	assert_null(m.p);
	upgrade_message_fini(&m);
	assert_int_equal(receive(&m), 0);
	assert_int_equal(m.type, UPGRADE_BATCH);
	assert_int_equal(m.fds_n, 1);
	upgrade_message_fini(&m);
	upgrade_message_fini(&m);
}

struct sending {
	const uint8_t *p;
	size_t n;
	const int *fds;
	unsigned fds_n;
	int result;
};

static void *
send_it(void *arg)
{
	struct sending *s = arg;

	s->result = upgrade_send(end[0], UPGRADE_BATCH, s->p, s->n, s->fds,
	    s->fds_n);
	return NULL;
}

/* More than the socket holds: both sides see parts of it. */
static void
a_large_batch_with_all_its_descriptors_arrives(void **state)
{
	const size_t n = 5 * 1024 * 1024 + 17;
	uint8_t *p = malloc(n);
	int fds[UPGRADE_FDS_MAX];
	struct sending s = { .p = p, .n = n, .fds = fds,
	    .fds_n = UPGRADE_FDS_MAX };
	struct upgrade_message m;
	unsigned before = fds_open();
	pthread_t thread;

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 31 >> 3);
	for (unsigned i = 0; i < UPGRADE_FDS_MAX; i++)
		fds[i] = end[0];
	assert_int_equal(pthread_create(&thread, NULL, send_it, &s), 0);
	assert_int_equal(receive(&m), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(s.result, 0);
	assert_int_equal(m.n, n);
	assert_memory_equal(m.p, p, n);
	assert_int_equal(m.fds_n, UPGRADE_FDS_MAX);
	upgrade_message_fini(&m);
	assert_int_equal(fds_open(), before);
	free(p);
}

static void *
trickle(void *arg)
{
	const uint8_t *p = arg;

	for (size_t i = 0; i < HEAD + 5; i++) {
		(void)send(end[0], p + i, 1, MSG_NOSIGNAL);
		(void)poll(NULL, 0, 1);
	}
	return NULL;
}

static void
it_may_come_byte_by_byte(void **state)
{
	struct upgrade_message m;
	struct raw h = head();
	uint8_t b[HEAD + 5];
	pthread_t thread;

	(void)state;
	h.n = 5;
	memcpy(b, &h, HEAD);
	memcpy(b + HEAD, "bytes", 5);
	assert_int_equal(pthread_create(&thread, NULL, trickle, b), 0);
	assert_int_equal(receive(&m), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_memory_equal(m.p, "bytes", 5);
	upgrade_message_fini(&m);
}

/* ---- what does not ------------------------------------------------------ */

static void
too_much_is_not_sent(void **state)
{
	int fds[UPGRADE_FDS_MAX + 1];
	char c;

	(void)state;
	for (unsigned i = 0; i <= UPGRADE_FDS_MAX; i++)
		fds[i] = end[0];
	assert_int_equal(upgrade_send(end[0], UPGRADE_BATCH, "x", 1, fds,
	    UPGRADE_FDS_MAX + 1), -EMSGSIZE);
	assert_int_equal(upgrade_send(end[0], UPGRADE_BATCH, "x",
	    UPGRADE_BYTES_MAX + 1, NULL, 0), -EMSGSIZE);
	assert_int_equal(recv(end[1], &c, 1, MSG_DONTWAIT), -1);
}

static void
a_wrong_head_is_refused(void **state)
{
	const struct raw good = head();
	struct upgrade_message m;
	struct raw h;

	(void)state;
	for (int i = 0; i < 5; i++) {
		h = good;
		if (i == 0)
			h.magic++;
		else if (i == 1)
			h.type = 0;
		else if (i == 2)
			h.type = UPGRADE_TYPES;
		else if (i == 3)
			h.fds_n = 1;	/* that did not come */
		else
			h.n = UPGRADE_BYTES_MAX + 1;
		assert_int_equal(send(end[0], &h, HEAD, 0), HEAD);
		assert_int_equal(receive(&m), -EPROTO);
	}
	/* Half of one, and the end. */
	assert_int_equal(send(end[0], &good, HEAD / 2, 0), HEAD / 2);
	hang_up(0);
	assert_int_equal(receive(&m), -EPROTO);
}

static void
descriptors_that_nobody_announced_are_closed(void **state)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct raw h = head();
	struct iovec iov = { .iov_base = &h, .iov_len = HEAD };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	unsigned before = fds_open();
	struct upgrade_message m;

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &end[0], sizeof(int));
	assert_int_equal(sendmsg(end[0], &msg, 0), HEAD);
	assert_int_equal(receive(&m), -EPROTO);
	assert_int_equal(fds_open(), before);
}

/* The kernel drops what does not fit under the limit, and says so. */
static void
descriptors_over_the_limit_are_told_and_none_leaks(void **state)
{
	unsigned before = fds_open();
	struct upgrade_message m;
	struct rlimit all, few;
	int fds[20], highest;

	(void)state;
	if (under_valgrind())
		skip();
	for (int i = 0; i < 20; i++)
		fds[i] = end[0];
	assert_int_equal(upgrade_send(end[0], UPGRADE_BATCH, "x", 1, fds, 20),
	    0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	/* Room for some of them: the limit is above the highest number. */
	highest = dup(end[0]);
	assert_true(highest >= 0);
	(void)close(highest);
	few = all;
	few.rlim_cur = (rlim_t)highest + 7;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(receive(&m), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	assert_int_equal(fds_open(), before);
}

static void
a_peer_that_is_gone_is_told(void **state)
{
	struct upgrade_message m;
	struct raw h = head();

	(void)state;
	h.n = 100;
	assert_int_equal(send(end[0], &h, HEAD, 0), HEAD);
	assert_int_equal(send(end[0], "part", 4, 0), 4);
	hang_up(0);
	assert_int_equal(receive(&m), -EPIPE);
	assert_int_equal(receive(&m), -EPIPE);
	/* No signal comes for this. */
	assert_int_equal(upgrade_send(end[1], UPGRADE_DONE, "x", 1, NULL, 0),
	    -EPIPE);
}

static void
a_peer_that_is_silent_is_given_up(void **state)
{
	struct upgrade_message m;
	struct raw h = head();
	uint8_t *p = calloc(1, 1 << 24);

	(void)state;
	assert_non_null(p);
	for (int i = 0; i < 2; i++)
		assert_int_equal(upgrade_timeouts(end[i], SHORT_MS), 0);
	assert_int_equal(receive(&m), -ETIMEDOUT);
	h.n = 100;
	assert_int_equal(send(end[0], &h, HEAD, 0), HEAD);
	assert_int_equal(send(end[0], "part", 4, 0), 4);
	assert_int_equal(receive(&m), -ETIMEDOUT);
	assert_int_equal(upgrade_send(end[0], UPGRADE_BATCH, p, 1 << 24, NULL,
	    0), -ETIMEDOUT);
	free(p);
	assert_int_equal(upgrade_timeouts(-1, 1), -EBADF);
}

static void
short_memory_is_told_and_nothing_leaks(void **state)
{
	unsigned before = fds_open();
	struct upgrade_message m;

	(void)state;
	assert_int_equal(upgrade_send(end[0], UPGRADE_BATCH, "x", 1, end, 2),
	    0);
	(void)mem_fail_nth(1);
	assert_int_equal(receive(&m), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(fds_open(), before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(bytes_and_descriptors_arrive),
		T(messages_follow_each_other),
		T(a_large_batch_with_all_its_descriptors_arrives),
		T(it_may_come_byte_by_byte),
		T(too_much_is_not_sent),
		T(a_wrong_head_is_refused),
		T(descriptors_that_nobody_announced_are_closed),
		T(descriptors_over_the_limit_are_told_and_none_leaks),
		T(a_peer_that_is_gone_is_told),
		T(a_peer_that_is_silent_is_given_up),
		T(short_memory_is_told_and_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
