/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of core/channel/handover.c (decision 0015): two sets of workers and
 * tables in one process play the former and the next daemon; between them
 * descriptors are duplicated, as SCM_RIGHTS does.
 */
#ifndef CT_TEST_HANDOVER_PAIR_H
#define CT_TEST_HANDOVER_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/fds.h"
#include "../lib/product_rig.h"
#include "base/clock.h"
#include "base/mem.h"
#include "endpoint/auth.h"
#include "endpoint/identity.h"
#include "channel/command_priv.h"
#include "channel/handover.h"

#define HELLO "hello dev-1 " RIG_TOKEN

static struct product former, next;

static inline int
set_up(void **state)
{
	(void)state;
	product_start(&former);
	product_start_next(&next, &former);
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	product_stop_both(&next, &former);
	return 0;
}

static inline void
settle(void)
{
	rig_settle(&former.rig);
	rig_settle(&next.rig);
}

static inline void
advance(uint32_t ms)
{
	for (; ms >= 10; ms -= 10) {
		rig_advance(&former.rig, 10);
		rig_turn(&next.rig);
	}
}

/* A worker of theirs that is not the first. */
static inline struct channel_worker *
worker_of(struct product *p)
{
	return p->rig.cw[p == &next ? 1 : 0];
}

struct crossing {
	struct handover_batch *batch;
	struct handover_arrivals *arrivals;
	uint8_t refused[HANDOVER_MAX];
};

static inline int
deliver(const uint8_t *p, size_t n, const int *fds, unsigned fds_n,
    struct product *to, struct crossing *x)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n);	/* its end is guarded */
	int fd[HANDOVER_MAX + 1], r;

	assert_non_null(copy);
	memcpy(copy, p, n);
	for (unsigned i = 0; i < fds_n; i++) {
		fd[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		assert_true(fd[i] >= 0);
	}
	r = handover_arrive(worker_of(to), copy, n, fd, fds_n, x->refused,
	    &x->arrivals);
	for (unsigned i = 0; r != 0 && i < fds_n; i++)
		assert_int_equal(close(fd[i]), 0);
	free(copy);
	return r;
}

static inline int
carry(struct product *to, struct crossing *x)
{
	size_t n;
	const uint8_t *p = handover_bytes(x->batch, &n);

	return deliver(p, n, handover_fds(x->batch), handover_count(x->batch),
	    to, x);
}

static inline unsigned
take(struct product *from, struct crossing *x)
{
	*x = (struct crossing){ .batch = NULL };
	assert_int_equal(handover_take(worker_of(from), HANDOVER_MAX,
	    &x->batch), 0);
	return x->batch == NULL ? 0 : handover_count(x->batch);
}

/* All that can go; -> how many went. */
static inline unsigned
hand_over(struct product *from, struct product *to)
{
	struct crossing x;
	unsigned n = take(from, &x);

	if (n == 0)
		return 0;
	for (int i = 0; i < RIG_WORKERS; i++)
		handover_first_id(to->rig.cw[i], handover_last_id(
		    from->rig.cw[i]));
	assert_int_equal(carry(to, &x), 0);
	n -= handover_go(&x.batch, x.refused);
	handover_begin(&x.arrivals);
	assert_null(x.batch);
	assert_null(x.arrivals);
	return n;
}

static inline void
hand_over_one(struct product *from, struct product *to,
    struct rig_client *c)
{
	assert_int_equal(hand_over(from, to), 1);
	c->rig = &to->rig;
	rig_turn(&to->rig);
}

static inline struct endpoint_facts
facts_of(struct product *p, const char *id)
{
	struct endpoint_facts f;

	assert_int_equal(endpoint_get(p->rig.endpoints, id, &f), 0);
	return f;
}

static inline void
expect_echo(struct rig_client *c, const char *text)
{
	assert_true(rig_send_text(c, text));
	rig_expect_text(c, text);
}

static inline void
anybody(bool on)
{
	for (int i = 0; i < RIG_WORKERS; i++) {
		former.rig.protocol[i].base.anonymous = on;
		next.rig.protocol[i].base.anonymous = on;
	}
}

/* One that needs no hello, on its own. */
static inline void
dial_anybody(const char *priority, int rcvbuf)
{
	struct rig_dial d = { .priority = priority, .rcvbuf = rcvbuf };

	rig_hang_up(&former.client);
	rig_wait_empty(&former.rig);
	anybody(true);
	rig_dial(&former.rig, &d, &former.other);
	rig_settle(&former.rig);
}

static inline void
expect_ping(struct rig_client *c)
{
	struct rig_frame f;

	assert_true(rig_frame(c, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_PING);
}

static inline void
report(struct product *p, uint64_t seq)
{
	struct channel *c = channel_find(worker_of(p), former.rig.last_id);

	assert_non_null(c);
	assert_int_equal(channel_telemetry(c, seq, seq, "[]", 2), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
