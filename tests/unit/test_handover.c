/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live channels go to the next process (core/channel/handover.c, decision
 * 0015).  Two sets of workers and tables in one process play the former and the
 * next daemon; between them descriptors are duplicated, as SCM_RIGHTS does.
 */
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

static int
set_up(void **state)
{
	(void)state;
	product_start(&former);
	product_start_next(&next, &former);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	product_stop_both(&next, &former);
	return 0;
}

static void
settle(void)
{
	rig_settle(&former.rig);
	rig_settle(&next.rig);
}

static void
advance(uint32_t ms)
{
	for (; ms >= 10; ms -= 10) {
		rig_advance(&former.rig, 10);
		rig_turn(&next.rig);
	}
}

/* A worker of theirs that is not the first. */
static struct channel_worker *
worker_of(struct product *p)
{
	return p->rig.cw[p == &next ? 1 : 0];
}

/* ---- the way between them ----------------------------------------------- */

struct crossing {
	struct handover_batch *batch;
	struct handover_arrivals *arrivals;
	uint8_t refused[HANDOVER_MAX];
};

static int
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

static int
carry(struct product *to, struct crossing *x)
{
	size_t n;
	const uint8_t *p = handover_bytes(x->batch, &n);

	return deliver(p, n, handover_fds(x->batch), handover_count(x->batch),
	    to, x);
}

static unsigned
take(struct product *from, struct crossing *x)
{
	*x = (struct crossing){ .batch = NULL };
	assert_int_equal(handover_take(worker_of(from), HANDOVER_MAX,
	    &x->batch), 0);
	return x->batch == NULL ? 0 : handover_count(x->batch);
}

/* All that can go; -> how many went. */
static unsigned
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

static void
hand_over_one(struct product *from, struct product *to,
    struct rig_client *c)
{
	assert_int_equal(hand_over(from, to), 1);
	c->rig = &to->rig;
	rig_turn(&to->rig);
}

static struct endpoint_facts
facts_of(struct product *p, const char *id)
{
	struct endpoint_facts f;

	assert_int_equal(endpoint_get(p->rig.endpoints, id, &f), 0);
	return f;
}

static void
expect_echo(struct rig_client *c, const char *text)
{
	assert_true(rig_send_text(c, text));
	rig_expect_text(c, text);
}

static void
anybody(bool on)
{
	for (int i = 0; i < RIG_WORKERS; i++) {
		former.rig.protocol[i].base.anonymous = on;
		next.rig.protocol[i].base.anonymous = on;
	}
}

/* One that needs no hello, on its own. */
static void
dial_anybody(const char *priority, int rcvbuf)
{
	struct rig_dial d = { .priority = priority, .rcvbuf = rcvbuf };

	rig_hang_up(&former.client);
	rig_wait_empty(&former.rig);
	anybody(true);
	rig_dial(&former.rig, &d, &former.other);
	rig_settle(&former.rig);
}

static void
drop_anybody(void)
{
	rig_hang_up(&former.other);
	rig_wait_empty(&former.rig);
	rig_wait_empty(&next.rig);
}

/* ---- the stream --------------------------------------------------------- */

static void
speaks_on_the_way(const char *priority)
{
	struct product *at = &former, *to = &next, *swap;
	struct rig_client *c = &former.other;
	uint64_t asked = 0, number;
	struct rig_frame f;
	uint8_t b[64];
	size_t n, cut;

	dial_anybody(priority, 0);
	former.rig.numbered = next.rig.numbered = true;
	for (unsigned i = 0; i < 60; i++) {
		asked++;
		n = rig_frame_bytes(b, WS_FIN | WS_OP_BINARY, &asked, 8);
		/* Its first part comes here, the rest over there: with TLS of
		 * the record, without of the frame. */
		c->holding = true;
		assert_true(c->tls == NULL || rig_send(c, b, n));
		cut = i % (c->tls == NULL ? n : c->out_n);
		assert_true(c->tls == NULL ? rig_send(c, b, cut) :
		    rig_release(c, cut));
		rig_turn(&at->rig);
		hand_over_one(at, to, c);
		assert_true(c->tls == NULL ? rig_send(c, b + cut, n - cut) :
		    rig_release(c, SIZE_MAX));
		c->holding = false;
		assert_true(rig_frame(c, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_OP_BINARY);
		memcpy(&number, f.p, 8);
		assert_int_equal(number, asked);
		rig_settle(&to->rig);
		swap = at;
		at = to;
		to = swap;
	}
	assert_int_equal(former.rig.disorder + next.rig.disorder, 0);
	assert_int_equal(former.rig.sessions + next.rig.sessions, 1);
	former.rig.numbered = next.rig.numbered = false;
	drop_anybody();
}

static void
nothing_is_lost_doubled_or_reordered(void **state)
{
	unsigned fds = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		speaks_on_the_way(NULL);
		speaks_on_the_way(RIG_TLS13);
		speaks_on_the_way(RIG_TLS12);
		if (i == 0)
			fds = fds_open();
	}
	assert_int_equal(fds_open(), fds);
	/* Every hand-over is counted, and none is an opening or an end. */
	assert_int_equal(former.rig.counters.handed_over,
	    next.rig.counters.received);
	assert_int_equal(former.rig.counters.received, 180);
	assert_int_equal(next.rig.counters.received, 180);
	assert_int_equal(next.rig.counters.opened, 0);
	assert_int_equal(former.rig.counters.opened, 7);
	assert_int_equal(former.rig.counters.closed +
	    next.rig.counters.closed, 7);
	for (unsigned i = 0; i < CHANNEL_BEGAN_MAX; i++) {
		assert_int_equal(former.rig.counters.began[i], 0);
		assert_int_equal(next.rig.counters.began[i], 0);
	}
}

struct errand {
	struct product *of, *to;
	struct crossing x;
};

static void
take_there(void *arg)
{
	struct errand *e = arg;

	(void)take(e->of, &e->x);
}

static void
carry_there(void *arg)
{
	struct errand *e = arg;

	assert_int_equal(carry(e->to, &e->x), 0);
}

static void
go_there(void *arg)
{
	struct errand *e = arg;

	assert_int_equal(handover_go(&e->x.batch, e->x.refused), 0);
}

static void
begin_there(void *arg)
{
	struct errand *e = arg;

	handover_begin(&e->x.arrivals);
}

static bool
errand(struct product *from, struct product *to)
{
	struct worker *here = worker_of(from)->worker;
	struct worker *there = worker_of(to)->worker;
	struct errand e = { .of = from, .to = to };

	worker_call(here, take_there, &e);
	if (e.x.batch == NULL)
		return false;
	worker_call(there, carry_there, &e);
	worker_call(here, go_there, &e);
	worker_call(there, begin_there, &e);
	return true;
}

static void
run_workers(bool on)
{
	for (int i = 0; i < RIG_WORKERS; i++) {
		struct worker *w[] = { &former.rig.worker[i],
		    &next.rig.worker[i] };

		for (int k = 0; k < 2; k++)
			if (on)
				assert_int_equal(worker_start(w[k]), 0);
			else
				worker_stop(w[k]);
	}
	former.rig.threaded = next.rig.threaded = on;
}

static void
running_workers_hand_over_too(void **state)
{
	struct product *at = &former, *to = &next, *swap;
	uint64_t asked = 0, answered = 0, number;
	struct rig_client *c = &former.other;
	unsigned went = 0;
	struct rig_frame f;

	(void)state;
	dial_anybody(RIG_TLS13, 0);
	former.rig.numbered = next.rig.numbered = true;
	run_workers(true);
	for (unsigned i = 0; i < 100; i++) {
		asked++;
		assert_true(rig_send_frame(c, WS_FIN | WS_OP_BINARY, &asked,
		    sizeof(asked)));
		if (errand(at, to)) {
			went++;
			swap = at;
			at = to;
			to = swap;
		}
		for (; answered + 3 < asked || (i == 99 && answered < asked);
		    answered++) {
			assert_true(rig_frame(c, &f));
			memcpy(&number, f.p, sizeof(number));
			assert_int_equal(number, answered + 1);
		}
	}
	run_workers(false);
	assert_true(went > 10);
	assert_int_equal(former.rig.disorder + next.rig.disorder, 0);
	drop_anybody();
}

static void
fragments(const char *priority)
{
	struct rig_client *c = &former.other;
	struct rig_frame f;

	dial_anybody(priority, 0);
	assert_true(rig_send_frame(c, WS_OP_TEXT, "\xc3", 1));
	/* Half of a control frame between them. */
	assert_true(rig_send(c, "\x89\x84\0\0\0\0ab", 8));
	rig_settle(&former.rig);
	hand_over_one(&former, &next, c);
	assert_true(rig_send(c, "cd", 2));
	assert_true(rig_send_frame(c, WS_FIN, "\xa9", 1));
	assert_true(rig_frame(c, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_PONG);
	assert_memory_equal(f.p, "abcd", 4);
	rig_expect_text(c, "\xc3\xa9");
	drop_anybody();
}

static void
messages_that_are_not_whole_go_along(void **state)
{
	(void)state;
	fragments(NULL);
	fragments(RIG_TLS13);
	fragments(RIG_TLS12);
}

static void
unsent(const char *priority)
{
	struct rig_client *c = &former.other;
	uint8_t body[4096] = { 0 };
	unsigned sent = 0, number;
	struct channel *ch;
	struct rig_frame f;
	int little = 8192;

	dial_anybody(priority, 4096);
	ch = channel_find(former.rig.cw[0], former.rig.last_id);
	assert_int_equal(setsockopt(ch->stream.watch.fd, SOL_SOCKET, SO_SNDBUF,
	    &little, sizeof(little)), 0);
	while (stream_backlog(&ch->stream) < 20000) {
		sent++;
		memcpy(body, &sent, sizeof(sent));
		assert_int_equal(channel_send(ch, body, sizeof(body), false),
		    0);
	}
	rig_turn(&former.rig);
	hand_over_one(&former, &next, c);
	ch = channel_find(next.rig.cw[1], former.rig.last_id);
	assert_true(stream_backlog(&ch->stream) > 0);
	for (unsigned i = 1; i <= sent; i++) {
		assert_true(rig_frame(c, &f));
		assert_int_equal(f.n, sizeof(body));
		memcpy(&number, f.p, sizeof(number));
		assert_int_equal(number, i);
	}
	expect_echo(c, "x");
	drop_anybody();
}

static void
what_is_sealed_but_not_sent_goes_along(void **state)
{
	(void)state;
	unsent(NULL);
	unsent(RIG_TLS13);
	unsent(RIG_TLS12);
}

/* ---- the endpoint ------------------------------------------------------- */

static void
the_endpoint_goes_with_its_channel(void **state)
{
	struct endpoint_facts before, after, left;
	size_t events;
	struct rig_dial d = { .priority = NULL };

	(void)state;
	advance(3000);
	endpoint_set_rtt(former.rig.endpoints, product_channel(&former)->
	    endpoint, former.rig.last_id, 777);
	before = facts_of(&former, "dev-1");
	events = event_tap_sync(&former.rig.tap);
	hand_over_one(&former, &next, &former.client);
	after = facts_of(&next, "dev-1");
	assert_int_equal(after.place.channel_id, before.place.channel_id);
	assert_int_equal(after.place.worker, 1);
	assert_int_equal(after.number, before.number);
	assert_int_equal(after.revision, before.revision);
	assert_int_equal(after.credential, before.credential);
	assert_int_equal(after.presence.state, PRESENCE_ONLINE);
	assert_int_equal(after.presence.reason, before.presence.reason);
	assert_int_equal(after.security, before.security);
	assert_int_equal(after.since_ms, before.since_ms);
	assert_int_equal(after.rtt_us, 777);
	/* States do not change: nobody hears anything. */
	assert_int_equal(event_tap_sync(&former.rig.tap), events);
	assert_int_equal(event_tap_sync(&next.rig.tap), 0);
	expect_echo(&former.client, "as before");
	/* It cannot be found here any more, nor taken over. */
	left = facts_of(&former, "dev-1");
	assert_int_equal(left.place.channel_id, 0);
	assert_int_equal(left.presence.state, PRESENCE_ONLINE);
	assert_int_equal(endpoint_kick(former.rig.endpoints, "dev-1", 4005,
	    ""), -ENOENT);
	rig_dial(&former.rig, &d, &former.other);
	assert_true(rig_send_text(&former.other, HELLO));
	rig_expect_text(&former.other, "no -11");
	/* Over there everybody finds it. */
	assert_int_equal(endpoint_kick(next.rig.endpoints, "dev-1", 4005, ""),
	    0);
	rig_expect_close(&former.client, 4005);
}

static void
what_it_announced_counts_over_there(void **state)
{
	int64_t until = clock_wall_ms() + 60000;
	struct endpoint_facts f;

	(void)state;
	assert_int_equal(channel_announce_sleep(product_channel(&former),
	    until), 0);
	hand_over_one(&former, &next, &former.client);
	rig_hang_up(&former.client);
	rig_wait_empty(&next.rig);
	f = facts_of(&next, "dev-1");
	assert_int_equal(f.presence.state, PRESENCE_ASLEEP);
	assert_int_equal(f.asleep_until_ms, until);
}

static void
expect_ping(struct rig_client *c)
{
	struct rig_frame f;

	assert_true(rig_frame(c, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_PING);
}

static void
its_silence_goes_on_counting(void **state)
{
	struct endpoint_facts f;

	(void)state;
	advance(19000);
	hand_over_one(&former, &next, &former.client);
	assert_int_equal(rig_look(&former.client), 0);
	advance(1100);
	expect_ping(&former.client);
	/* With the ping out it goes back, as if to a third process. */
	assert_int_equal(endpoint_forget(former.rig.endpoints, "dev-1"), 0);
	hand_over_one(&next, &former, &former.client);
	advance(6000);
	f = facts_of(&former, "dev-1");
	assert_int_equal(f.presence.state, PRESENCE_SUSPECT);
	assert_int_equal(endpoint_forget(next.rig.endpoints, "dev-1"), 0);
	hand_over_one(&former, &next, &former.client);
	assert_int_equal(facts_of(&next, "dev-1").presence.state,
	    PRESENCE_SUSPECT);
	advance(9000);
	f = facts_of(&next, "dev-1");
	assert_int_equal(f.presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(f.presence.reason, REASON_TIMEOUT);
}

static void
new_channels_are_numbered_above_the_formers(void **state)
{
	struct rig_dial d = { .priority = NULL };
	uint64_t last = handover_last_id(former.rig.cw[0]);

	(void)state;
	assert_int_equal(last, former.rig.last_id >> 8);
	handover_first_id(next.rig.cw[0], last + 1000);
	handover_first_id(next.rig.cw[0], 3);
	rig_dial(&next.rig, &d, &next.client);
	/* Also above those that come until the last batch. */
	assert_true(next.rig.last_id >> 8 > last + UINT16_MAX);
	assert_int_equal(next.rig.last_id >> 8, UINT64_C(1) << 32);
	assert_true(handover_layout() != 0);
}

static void
a_drain_that_was_under_way_ends(void **state)
{
	(void)state;
	assert_int_equal(channel_worker_drain(former.rig.cw[0], 60000, "",
	    "test"), 0);
	rig_settle(&former.rig);
	assert_true(product_channel(&former)->draining);
	hand_over_one(&former, &next, &former.client);
	advance(1000);
	expect_echo(&former.client, "still here");
}

static void
limits_of_connections_count_it_here_and_not_there(void **state)
{
	(void)state;
	assert_int_equal(net_counters(former.rig.net)->connections, 1);
	/* Even over the limit: it is there. */
	next.rig.net_limits.connections_per_address = 0;
	net_set_limits(next.rig.net, &next.rig.net_limits);
	hand_over_one(&former, &next, &former.client);
	assert_int_equal(net_counters(former.rig.net)->connections, 0);
	assert_int_equal(net_counters(next.rig.net)->connections, 1);
}

/* ---- reports and commands ----------------------------------------------- */

static void
report(struct product *p, uint64_t seq)
{
	struct channel *c = channel_find(worker_of(p), former.rig.last_id);

	assert_non_null(c);
	assert_int_equal(channel_telemetry(c, seq, seq, "[]", 2), 0);
}

static void
the_last_telemetry_number_goes_along(void **state)
{
	struct telemetry_facts f;

	(void)state;
	report(&former, 5);
	product_settle(&former);
	hand_over_one(&former, &next, &former.client);
	assert_true(telemetry_facts(next.telemetry, "dev-1", &f));
	assert_int_equal(f.seq, 5);
	/* The next one waits for the store, in order. */
	report(&next, 6);
	product_load(&next);
	product_settle(&next);
	assert_int_equal(next.done_n, 1);
	assert_int_equal(next.done.error, 0);
	assert_int_equal(next.done.value, 6);
	assert_true(telemetry_facts(next.telemetry, "dev-1", &f));
	assert_int_equal(f.seq, 6);
}

static void
nobody_goes_while_a_commit_of_it_is_on_its_way(void **state)
{
	struct telemetry_facts f;
	struct crossing x;

	(void)state;
	product_hold(&former);
	report(&former, 5);
	assert_int_equal(take(&former, &x), 0);
	product_release(&former, false);
	assert_int_equal(former.done_n, 1);
	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	product_hold(&former);
	assert_int_equal(channel_command_accepted(product_channel(&former),
	    "c-1"), 0);
	assert_int_equal(take(&former, &x), 0);
	product_release(&former, false);
	product_hold(&former);
	assert_int_equal(product_add(&former, "c-2"), 0);
	assert_int_equal(take(&former, &x), 0);
	product_release(&former, false);
	product_hold(&former);
	assert_int_equal(product_outcome(&former, "c-2", COMMAND_OK), 0);
	assert_int_equal(take(&former, &x), 0);
	product_release(&former, false);
	hand_over_one(&former, &next, &former.client);
	assert_true(telemetry_facts(next.telemetry, "dev-1", &f));
	assert_int_equal(f.seq, 5);
	assert_int_equal(command_table_open(next.commands), 1);
	expect_echo(&former.client, "there");
}

/* Else those behind it would wait for it. */
static void
one_that_cannot_go_keeps_nobody_else(void **state)
{
	struct crossing x;
	uint64_t first = former.rig.last_id;

	(void)state;
	product_connect(&former, &former.other, "dev-2");
	product_hold(&former);
	assert_int_equal(product_add(&former, "c-1"), 0);
	x = (struct crossing){ .batch = NULL };
	assert_int_equal(handover_take(former.rig.cw[0], 1, &x.batch), 0);
	assert_non_null(x.batch);
	assert_int_equal(handover_count(x.batch), 1);
	assert_non_null(channel_find(former.rig.cw[0], first));
	assert_null(channel_find(former.rig.cw[0], former.rig.last_id));
	handover_back(&x.batch);
	product_release(&former, false);
	assert_int_equal(take(&former, &x), 2);
	handover_back(&x.batch);
}

static void
open_commands_go_along_and_are_not_sent_again(void **state)
{
	(void)state;
	assert_int_equal(product_add(&former, "c-1"), 0);
	assert_int_equal(product_add(&former, "c-2"), 0);
	product_settle(&former);
	assert_int_equal(product_cancel(&former, "c-2"), 0);
	product_settle(&former);
	assert_int_equal(former.asked_n, 3);
	assert_int_equal(channel_command_accepted(product_channel(&former),
	    "c-1"), 0);
	product_settle(&former);
	hand_over_one(&former, &next, &former.client);
	assert_int_equal(command_table_open(next.commands), 2);
	settle();
	product_load(&next);
	command_table_sweep(next.commands, clock_wall_ms());
	product_settle(&next);
	assert_int_equal(next.asked_n, 0);
	assert_int_equal(command_table_open(next.commands), 2);
	next.rig.last_id = former.rig.last_id;
	{
		struct channel_outcome o = { .id = "c-1", .state = COMMAND_OK,
		    .result = "", .message = "" };

		assert_int_equal(channel_command_outcome(channel_find(
		    next.rig.cw[1], former.rig.last_id), 7, &o), 0);
	}
	product_settle(&next);
	assert_int_equal(next.done.error, 0);
	assert_int_equal(product_state(&next, "c-1"), COMMAND_OK);
	assert_int_equal(command_table_open(next.commands), 1);
	/* At its next channel it is asked once more to give c-2 up. */
	rig_hang_up(&former.client);
	rig_wait_empty(&next.rig);
	product_connect(&next, &next.client, "dev-1");
	product_settle(&next);
	assert_int_equal(next.asked_n, 1);
	assert_string_equal(next.asked[0], "cancel c-2");
}

static void
what_has_room_only_later_is_sent_over_there(void **state)
{
	(void)state;
	former.command_error = -EAGAIN;
	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	assert_int_equal(former.asked_n, 0);
	hand_over_one(&former, &next, &former.client);
	settle();
	assert_int_equal(next.asked_n, 1);
	assert_string_equal(next.asked[0], "c-1");
	/* And those of who is at rest are read. */
	product_load(&next);
	assert_int_equal(command_table_open(next.commands), 1);
}

static void
what_became_of_a_command_since_is_read(void **state)
{
	(void)state;
	assert_int_equal(product_add(&former, "c-1"), 0);
	assert_int_equal(product_add(&former, "c-2"), 0);
	product_settle(&former);
	hand_over_one(&former, &next, &former.client);
	/* The former's sweep, an operator's late word, a relayed wake. */
	assert_int_equal(command_end_with(former.commands, "c-1",
	    COMMAND_ERROR, "x"), 0);
	assert_int_equal(product_cancel(&former, "c-2"), 0);
	assert_int_equal(product_add(&former, "c-3"), 0);
	product_settle(&former);
	assert_int_equal(former.asked_n, 2);
	assert_int_equal(command_table_open(next.commands), 2);
	product_load(&next);
	assert_int_equal(command_table_open(next.commands), 2);
	command_table_sweep(next.commands, clock_wall_ms());
	product_settle(&next);
	assert_int_equal(next.asked_n, 2);
	assert_string_equal(next.asked[0], "cancel c-2");
	assert_string_equal(next.asked[1], "c-3 again");
}

/* ---- when it does not work out ------------------------------------------ */

static void
a_batch_that_is_taken_back_goes_on_as_before(void **state)
{
	struct endpoint_facts before = facts_of(&former, "dev-1"), after;
	size_t events = event_tap_sync(&former.rig.tap);
	struct rig_dial d = { .priority = NULL };
	struct crossing x;

	(void)state;
	advance(19000);
	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	events += 1;			/* command.queued */
	assert_int_equal(take(&former, &x), 1);
	assert_int_equal(channel_worker_count(former.rig.cw[0]), 0);
	/* Nothing happens to it meanwhile. */
	{
		uint8_t b[64];
		size_t n = rig_frame_bytes(b, WS_FIN | WS_OP_TEXT, "x", 1);

		assert_int_equal(send(former.client.fd, b, n, 0), n);
	}
	advance(100);
	assert_int_equal(rig_look(&former.client), 0);
	rig_dial(&former.rig, &d, &former.other);
	assert_true(rig_send_text(&former.other, HELLO));
	rig_expect_text(&former.other, "no -11");
	handover_back(&x.batch);
	assert_null(x.batch);
	rig_expect_text(&former.client, "x");
	after = facts_of(&former, "dev-1");
	assert_int_equal(after.revision, before.revision);
	assert_int_equal(after.place.channel_id, before.place.channel_id);
	assert_int_equal(event_tap_sync(&former.rig.tap), events);
	assert_int_equal(former.asked_n, 1);
	assert_int_equal(endpoint_table_lose_passed(former.rig.endpoints), 0);
	/* Its clock went on. */
	assert_int_equal(take(&former, &x), 1);
	advance(20100);
	assert_int_equal(rig_look(&former.client), 0);
	handover_back(&x.batch);
	advance(100);
	expect_ping(&former.client);
	assert_int_equal(former.rig.counters.handed_over, 0);
}

static void
what_never_became_ours_is_abandoned(void **state)
{
	struct rig_dial d = { .priority = RIG_TLS13 };
	struct endpoint_facts f;
	struct crossing x;
	unsigned fds;

	(void)state;
	rig_dial(&former.rig, &d, &former.other);
	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	fds = fds_open();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(take(&former, &x), 2);
		assert_int_equal(carry(&next, &x), 0);
		handover_abandon(&x.arrivals);
		assert_null(x.arrivals);
		handover_back(&x.batch);
		assert_int_equal(fds_open(), fds);
		assert_int_equal(next.rig.sessions, 0);
		assert_int_equal(net_counters(next.rig.net)->connections, 0);
		assert_int_equal(command_table_open(next.commands), 0);
		assert_int_equal(endpoint_get(next.rig.endpoints, "dev-1", &f),
		    -ENOENT);
		expect_echo(&former.client, "here");
		rig_settle(&former.rig);
	}
	assert_true(rig_send_text(&former.other, "hello dev-2 " RIG_TOKEN));
	rig_expect_text(&former.other, "ok 1 wss");
}

static void
what_was_said_of_it_while_it_was_taken_is_done(void **state)
{
	struct crossing x;

	(void)state;
	assert_int_equal(take(&former, &x), 1);
	assert_int_equal(endpoint_kick(former.rig.endpoints, "dev-1", 4005,
	    ""), -ENOENT);
	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	assert_int_equal(former.asked_n, 0);
	handover_back(&x.batch);
	rig_expect_close(&former.client, 4005);
}

static void
a_command_that_came_while_it_was_taken_is_sent(void **state)
{
	struct crossing x;

	(void)state;
	assert_int_equal(take(&former, &x), 1);
	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	assert_int_equal(former.asked_n, 0);
	handover_back(&x.batch);
	rig_settle(&former.rig);
	assert_int_equal(former.asked_n, 1);
}

static void
who_is_refused_is_closed_here_and_unknown_there(void **state)
{
	struct endpoint_start start = { .epoch = 2 };
	struct endpoint_facts f;
	struct crossing x;

	(void)state;
	product_connect(&former, &former.other, "dev-2");
	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	report(&former, 3);
	product_settle(&former);
	/* Of two the one whose endpoint is somebody's there. */
	assert_int_equal(endpoint_known(next.rig.endpoints, "dev-2"), 0);
	assert_int_equal(take(&former, &x), 2);
	assert_int_equal(carry(&next, &x), 0);
	assert_int_equal(x.refused[0] + x.refused[1], 1);
	assert_int_equal(handover_go(&x.batch, x.refused), 1);
	handover_begin(&x.arrivals);
	former.client.rig = &next.rig;
	expect_echo(&former.client, "over");
	rig_expect_close(&former.other, 1012);
	f = facts_of(&former, "dev-2");
	assert_int_equal(f.presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(f.presence.reason, REASON_DRAIN);
	assert_int_equal(former.rig.counters.handed_over, 1);
	/* Now one that fails late: nothing of it stays. */
	assert_int_equal(endpoint_forget(former.rig.endpoints, "dev-1"), 0);
	command_table_forget(former.commands, "dev-1");
	hand_over_one(&next, &former, &former.client);
	assert_int_equal(endpoint_forget(next.rig.endpoints, "dev-1"), 0);
	command_table_forget(next.commands, "dev-1");
	next.rig.import_error = -ENOMEM;
	assert_int_equal(hand_over(&former, &next), 0);
	rig_expect_close(&former.client, 1012);
	assert_int_equal(endpoint_get(next.rig.endpoints, "dev-1", &f),
	    -ENOENT);
	assert_int_equal(command_table_open(next.commands), 0);
	assert_int_equal(rig_channels(&next.rig), 0);
	assert_int_equal(net_counters(next.rig.net)->connections, 0);
	/* It comes with everybody else who is at rest. */
	f = facts_of(&former, "dev-1");
	assert_int_equal(f.presence.reason, REASON_DRAIN);
	assert_int_equal(endpoint_table_load(next.rig.endpoints, &f, &start),
	    0);
	assert_int_equal(facts_of(&next, "dev-1").revision, f.revision);
	assert_int_equal(facts_of(&next, "dev-1").presence.state,
	    PRESENCE_DISCONNECTED);
	assert_int_equal(endpoint_table_load(next.rig.endpoints, &f, &start),
	    -EEXIST);
}

static void
who_came_with_a_channel_is_not_read_again(void **state)
{
	struct endpoint_start start = { .epoch = 2 };
	struct endpoint_facts stored = facts_of(&former, "dev-1"), f;

	(void)state;
	stored.number = 900;
	stored.revision = 900;
	hand_over_one(&former, &next, &former.client);
	assert_int_equal(endpoint_table_load(next.rig.endpoints, &stored,
	    &start), -EEXIST);
	f = facts_of(&next, "dev-1");
	assert_int_equal(f.presence.state, PRESENCE_ONLINE);
	assert_int_equal(f.number, 1);
}

static void
those_of_a_next_process_that_died_are_disconnected(void **state)
{
	struct endpoint_facts before = facts_of(&former, "dev-1"), f;
	size_t events = event_tap_sync(&former.rig.tap);
	struct crossing x;

	(void)state;
	hand_over_one(&former, &next, &former.client);
	product_connect(&former, &former.other, "dev-2");
	assert_int_equal(take(&former, &x), 1);	/* on its way just now */
	assert_int_equal(endpoint_table_lose_passed(former.rig.endpoints), 1);
	handover_back(&x.batch);
	assert_int_equal(endpoint_table_lose_passed(former.rig.endpoints), 0);
	expect_echo(&former.other, "here");
	f = facts_of(&former, "dev-1");
	assert_int_equal(f.presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(f.presence.reason, REASON_RESET);
	assert_int_equal(f.revision, before.revision + 1);
	assert_int_equal(event_tap_sync(&former.rig.tap), events + 2);
	/* It died: its descriptors are closed.  The device comes back. */
	channel_worker_kill_all(next.rig.cw[1]);
	rig_expect_eof(&former.client);
	rig_hang_up(&former.client);
	product_connect(&former, &former.client, "dev-1");
	assert_int_equal(facts_of(&former, "dev-1").number, before.number + 1);
}

/* ---- memory ------------------------------------------------------------- */

struct failing {
	bool went;			/* it is over there now */
	bool closed;			/* or refused */
};

static struct failing
hand_over_short(unsigned long here, unsigned long there,
    unsigned long *ret_used)
{
	struct failing f = { .went = false };
	struct crossing x = { .batch = NULL };
	int r;

	(void)mem_fail_nth(here);
	r = handover_take(worker_of(&former), HANDOVER_MAX, &x.batch);
	*ret_used = mem_fail_nth(0);
	assert_true(r == 0 || r == -ENOMEM);
	if (x.batch == NULL)
		return f;
	if (there > 0)
		(void)mem_fail_nth(there);
	r = carry(&next, &x);
	assert_true(r == 0 || r == -ENOMEM);
	if (r != 0) {
		*ret_used = mem_fail_nth(0);
		handover_back(&x.batch);
		return f;
	}
	f.closed = handover_go(&x.batch, x.refused) > 0;
	handover_begin(&x.arrivals);
	rig_turn(&next.rig);
	if (there > 0)
		*ret_used = mem_fail_nth(0);
	f.went = !f.closed;
	return f;
}

/* Connected, with something of everything. */
static void
connect_full(unsigned long n)
{
	struct rig_dial d = { .priority = RIG_TLS13 };
	struct rig_frame f;
	char id[32];

	rig_dial(&former.rig, &d, &former.client);
	assert_true(rig_send_text(&former.client, HELLO));
	assert_true(rig_frame(&former.client, &f) && f.p[0] == 'o');
	assert_true(rig_send_frame(&former.client, WS_OP_TEXT, "half", 4));
	(void)snprintf(id, sizeof(id), "c-%lu", n);
	assert_int_equal(product_add(&former, id), 0);
	product_settle(&former);
	report(&former, n);
	product_settle(&former);
	former.asked_n = next.asked_n = 0;
}

static void
short_of_memory(bool over_there)
{
	unsigned long n, used;
	bool whole = false;
	struct failing f;

	for (n = 1; !whole; n++) {
		assert_true(n < 100);
		connect_full(n + (over_there ? 200 : 100));
		f = hand_over_short(over_there ? 0 : n, over_there ? n : 0,
		    &used);
		whole = used < n;
		former.client.rig = f.went ? &next.rig : &former.rig;
		settle();
		if (f.closed) {
			rig_expect_close(&former.client, 1012);
		} else if (!f.went || rig_channels(&next.rig) > 0) {
			assert_true(rig_send_frame(&former.client, WS_FIN, "!",
			    1));
			rig_expect_text(&former.client, "half!");
		} else {
			rig_expect_eof(&former.client);
		}
		rig_hang_up(&former.client);
		rig_wait_empty(&former.rig);
		rig_wait_empty(&next.rig);
		assert_int_equal(former.rig.sessions + next.rig.sessions, 0);
		assert_int_equal(net_counters(former.rig.net)->connections, 0);
		assert_int_equal(net_counters(next.rig.net)->connections, 0);
		assert_true(!whole || f.went);
		(void)endpoint_table_lose_passed(former.rig.endpoints);
		(void)endpoint_forget(next.rig.endpoints, "dev-1");
		command_table_forget(former.commands, "dev-1");
		command_table_forget(next.commands, "dev-1");
		telemetry_forget(next.telemetry, "dev-1");
	}
	assert_true(n > (over_there ? 8 : 3));
}

static void
short_memory_loses_nobody_on_either_side(void **state)
{
	(void)state;
	rig_hang_up(&former.client);
	rig_wait_empty(&former.rig);
	short_of_memory(false);
	short_of_memory(true);
}

/* ---- the bytes ---------------------------------------------------------- */

/* A batch of two with something of everything, as bytes. */
static uint8_t *
some_batch(size_t *ret_n, int fds[2])
{
	struct crossing x;
	const uint8_t *p;
	uint8_t *copy;

	assert_int_equal(product_add(&former, "c-1"), 0);
	product_settle(&former);
	report(&former, 4);
	product_settle(&former);
	product_connect(&former, &former.other, "dev-2");
	assert_int_equal(take(&former, &x), 2);
	p = handover_bytes(x.batch, ret_n);
	copy = malloc(*ret_n + 1);
	assert_non_null(copy);
	memcpy(copy, p, *ret_n);
	copy[*ret_n] = 0;
	handover_back(&x.batch);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	return copy;
}

static void
forget_arrivals(struct crossing *x)
{
	handover_begin(&x->arrivals);
	channel_worker_kill_all(next.rig.cw[1]);
	(void)endpoint_forget(next.rig.endpoints, "dev-1");
	(void)endpoint_forget(next.rig.endpoints, "dev-2");
	command_table_forget(next.commands, "dev-1");
	telemetry_forget(next.telemetry, "dev-1");
}

static void
cut_or_damaged_batches_are_refused_and_leave_nothing(void **state)
{
	int fds[2], many[HANDOVER_MAX + 1], r;
	unsigned before, lucky = 0;
	struct crossing x;
	uint64_t seed = 1;
	uint8_t *p, was;
	size_t n, at;

	(void)state;
	p = some_batch(&n, fds);
	before = fds_open();
	for (size_t k = 0; k < n; k++)
		assert_int_equal(deliver(p, k, fds, 2, &next, &x), -EINVAL);
	assert_int_equal(deliver(p, n + 1, fds, 2, &next, &x), -EINVAL);
	assert_int_equal(deliver(p, n, fds, 1, &next, &x), -EINVAL);
	assert_int_equal(deliver(p, n, fds, 0, &next, &x), -EINVAL);
	for (unsigned i = 0; i <= HANDOVER_MAX; i++)
		many[i] = fds[0];
	assert_int_equal(deliver(p, n, many, HANDOVER_MAX + 1, &next, &x),
	    -EINVAL);
	assert_int_equal(fds_open(), before);
	for (unsigned i = 0; i < 2000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		at = (size_t)(seed >> 33) % n;
		was = p[at];
		p[at] ^= (uint8_t)(1u << (seed >> 61));
		r = deliver(p, n, fds, 2, &next, &x);
		assert_true(r == 0 || r == -EINVAL);
		if (r == 0) {
			lucky += x.refused[0] == 0;
			forget_arrivals(&x);
		}
		p[at] = was;
	}
	assert_true(lucky > 0);
	assert_int_equal(fds_open(), before);
	assert_int_equal(rig_channels(&next.rig), 0);
	assert_int_equal(next.rig.sessions, 0);
	/* As it was, it is taken; and not twice. */
	assert_int_equal(deliver(p, n, fds, 2, &next, &x), 0);
	assert_int_equal(x.refused[0] + x.refused[1], 0);
	handover_begin(&x.arrivals);
	assert_int_equal(deliver(p, n, fds, 2, &next, &x), 0);
	assert_int_equal(x.refused[0] + x.refused[1], 2);
	assert_int_equal(channel_worker_count(next.rig.cw[1]), 2);
	assert_int_equal(facts_of(&next, "dev-1").presence.state,
	    PRESENCE_ONLINE);
	assert_int_equal(command_table_open(next.commands), 1);
	forget_arrivals(&x);
	(void)close(fds[0]);
	(void)close(fds[1]);
	free(p);
}

/* ---- nobody becomes known in between ------------------------------------ */

static void
hold(struct product *p, bool on)
{
	for (int i = 0; i < RIG_WORKERS; i++)
		handover_hold(p->rig.cw[i], on);
}

static void
expect_silence(struct rig_client *c)
{
	settle();
	assert_int_equal(rig_look(c), 0);
	assert_false(c->eof);
}

static void
hellos_wait_while_it_holds(void **state)
{
	static const uint8_t mask[4] = { 0 };
	struct rig_dial d = { .priority = RIG_TLS13 };
	uint8_t b[256];
	size_t n = ws_encode_header(b, WS_FIN | WS_OP_TEXT, strlen(HELLO),
	    mask);

	(void)state;
	memcpy(b + n, HELLO, strlen(HELLO));
	memcpy(b + n + 6, "dev-2", 5);
	n += strlen(HELLO);
	hold(&former, true);
	/* Who is known goes on. */
	expect_echo(&former.client, "known");
	rig_dial(&former.rig, &d, &former.other);
	assert_true(rig_send_text(&former.other, "hello dev-2 " RIG_TOKEN));
	expect_silence(&former.other);
	hold(&former, false);
	rig_expect_text(&former.other, "ok 1 wss");
	rig_settle(&former.rig);
	rig_hang_up(&former.other);
	rig_wait_empty(&former.rig);
	/* In time, and in whole: one that came with its request. */
	hold(&former, true);
	d = (struct rig_dial){ .early = b, .early_n = n };
	rig_dial(&former.rig, &d, &former.other);
	expect_silence(&former.other);
	hold(&former, false);
	rig_expect_text(&former.other, "ok 2 wss");
}

static void
a_hello_that_came_before_it_left_is_heard_over_there(void **state)
{
	struct rig_dial d = { .priority = RIG_TLS13 };

	(void)state;
	rig_dial(&former.rig, &d, &former.other);
	hold(&former, true);
	hold(&next, true);
	assert_true(rig_send_text(&former.other, "hello dev-2 " RIG_TOKEN));
	settle();
	assert_int_equal(hand_over(&former, &next), 2);
	former.other.rig = former.client.rig = &next.rig;
	expect_silence(&former.other);
	expect_echo(&former.client, "known");
	hold(&next, false);
	rig_expect_text(&former.other, "ok 1 wss");
	hold(&former, false);
	rig_settle(&next.rig);
	assert_int_equal(facts_of(&next, "dev-2").place.worker, 1);
}

static void
a_hello_on_its_way_to_a_verdict_is_not_torn_away(void **state)
{
	struct rig_dial d = { .priority = RIG_TLS13,
	    .cert = &former.rig.device };
	struct crossing x;

	(void)state;
	rig_hang_up(&former.client);
	rig_wait_empty(&former.rig);
	rig_dial(&former.rig, &d, &former.other);
	assert_true(rig_send_text(&former.other, "cert dev-1"));
	while (channel_find(former.rig.cw[0], former.rig.last_id)->pre !=
	    NULL) {
		assert_int_equal(take(&former, &x), channel_find(
		    former.rig.cw[0], former.rig.last_id)->pre->asked ? 0 :
		    1);
		if (x.batch != NULL)
			handover_back(&x.batch);
		rig_turn(&former.rig);
	}
	rig_expect_text(&former.other, "ok 2 wss");	/* product's answer */
	rig_settle(&former.rig);
	hand_over_one(&former, &next, &former.other);
	expect_echo(&former.other, "x");
}

static void
whose_credential_was_taken_back_on_the_way_is_closed(void **state)
{
	char path[] = "/tmp/ct-tokens-XXXXXX", why[256];
	struct auth_file *nobody = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(auth_file_load(path, why, &nobody), 0);
	(void)unlink(path);
	identity_set_file(next.rig.identity, nobody);
	auth_file_unref(&nobody);
	hold(&next, true);
	hand_over_one(&former, &next, &former.client);
	expect_echo(&former.client, "not looked at yet");
	hold(&next, false);
	rig_expect_close(&former.client, 4005);
	rig_settle(&next.rig);
	assert_int_equal(facts_of(&next, "dev-1").presence.reason,
	    REASON_REVOKED);
	/* Where it holds nothing happens. */
	product_connect(&former, &former.other, "dev-2");
	hold(&former, true);
	hold(&former, false);
	expect_echo(&former.other, "x");
}

static void
who_has_work_under_way_begins_no_more_and_goes_then(void **state)
{
	struct crossing x;

	(void)state;
	hold(&former, true);
	product_hold(&former);
	report(&former, 5);
	assert_int_equal(take(&former, &x), 0);
	assert_true(rig_send_text(&former.client, "early"));
	expect_silence(&former.client);
	/* It stays after all. */
	hold(&former, false);
	rig_expect_text(&former.client, "early");
	hold(&former, true);
	assert_int_equal(take(&former, &x), 0);
	assert_true(rig_send_text(&former.client, "late"));
	expect_silence(&former.client);
	product_release(&former, false);
	expect_silence(&former.client);
	hand_over_one(&former, &next, &former.client);
	rig_expect_text(&former.client, "late");
	hold(&former, false);
}

static void
who_was_made_quiet(void)
{
	struct crossing x;

	hold(&former, true);
	product_hold(&former);
	report(&former, 5);
	assert_int_equal(take(&former, &x), 0);
	assert_int_equal(handover_left(former.rig.cw[0]), 1);
}

/* What it does not say is not its silence. */
static void
who_is_not_read_is_not_suspected(void **state)
{
	size_t events;

	(void)state;
	who_was_made_quiet();
	events = event_tap_sync(&former.rig.tap);
	for (int i = 0; i < 5; i++)
		rig_advance(&former.rig, former.rig.limits.dead_ms / 2);
	assert_int_equal(rig_channels(&former.rig), 1);
	assert_int_equal(event_tap_sync(&former.rig.tap), events);
	product_release(&former, false);
	hold(&former, false);
	settle();
}

static void
who_is_closed_while_it_waits_is_heard_out(void **state)
{
	static const uint8_t restart[] = { 0x03, 0xf4 };	/* 1012 */

	(void)state;
	who_was_made_quiet();
	assert_true(rig_send_text(&former.client, "too late"));
	settle();
	channel_worker_close_all(former.rig.cw[0], 1012, "");
	rig_expect_close(&former.client, 1012);
	assert_int_equal(handover_left(former.rig.cw[0]), 0);
	assert_true(rig_send_frame(&former.client, WS_FIN | WS_OP_CLOSE,
	    restart, sizeof(restart)));
	/* No clock is needed for it. */
	rig_settle(&former.rig);
	rig_hang_up(&former.client);
	rig_wait_empty(&former.rig);
	product_release(&former, false);
	hold(&former, false);
}

static void
who_can_never_go_is_not_waited_for(void **state)
{
	int (*export)(struct channel *, struct outbuf *) =
	    former.rig.protocol[0].base.export;
	struct crossing x;

	(void)state;
	hold(&former, true);
	former.rig.protocol[0].base.export = NULL;
	assert_int_equal(take(&former, &x), 0);
	assert_int_equal(handover_left(former.rig.cw[0]), 0);
	expect_echo(&former.client, "goes on until it is closed");
	former.rig.protocol[0].base.export = export;
	hold(&former, false);
}

static void
who_needs_no_hello_is_heard_but_not_let_in(void **state)
{
	(void)state;
	dial_anybody(NULL, 0);
	hold(&former, true);
	expect_echo(&former.other, "somebody");
	assert_true(rig_send_text(&former.other, HELLO));
	rig_expect_text(&former.other, "no -11");
	hold(&former, false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_is_lost_doubled_or_reordered),
		T(running_workers_hand_over_too),
		T(messages_that_are_not_whole_go_along),
		T(what_is_sealed_but_not_sent_goes_along),
		T(the_endpoint_goes_with_its_channel),
		T(what_it_announced_counts_over_there),
		T(its_silence_goes_on_counting),
		T(new_channels_are_numbered_above_the_formers),
		T(a_drain_that_was_under_way_ends),
		T(limits_of_connections_count_it_here_and_not_there),
		T(the_last_telemetry_number_goes_along),
		T(nobody_goes_while_a_commit_of_it_is_on_its_way),
		T(one_that_cannot_go_keeps_nobody_else),
		T(open_commands_go_along_and_are_not_sent_again),
		T(what_has_room_only_later_is_sent_over_there),
		T(what_became_of_a_command_since_is_read),
		T(a_batch_that_is_taken_back_goes_on_as_before),
		T(what_never_became_ours_is_abandoned),
		T(what_was_said_of_it_while_it_was_taken_is_done),
		T(a_command_that_came_while_it_was_taken_is_sent),
		T(who_is_refused_is_closed_here_and_unknown_there),
		T(who_came_with_a_channel_is_not_read_again),
		T(those_of_a_next_process_that_died_are_disconnected),
		T(short_memory_loses_nobody_on_either_side),
		T(cut_or_damaged_batches_are_refused_and_leave_nothing),
		T(hellos_wait_while_it_holds),
		T(a_hello_that_came_before_it_left_is_heard_over_there),
		T(a_hello_on_its_way_to_a_verdict_is_not_torn_away),
		T(whose_credential_was_taken_back_on_the_way_is_closed),
		T(who_has_work_under_way_begins_no_more_and_goes_then),
		T(who_is_not_read_is_not_suspected),
		T(who_is_closed_while_it_waits_is_heard_out),
		T(who_can_never_go_is_not_waited_for),
		T(who_needs_no_hello_is_heard_but_not_let_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
