/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hand-over that does not work out: taken back, refused, short of memory, or
 * of bytes that are no batch.
 */
#include "handover_pair.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_batch_that_is_taken_back_goes_on_as_before),
		T(what_never_became_ours_is_abandoned),
		T(what_was_said_of_it_while_it_was_taken_is_done),
		T(a_command_that_came_while_it_was_taken_is_sent),
		T(who_is_refused_is_closed_here_and_unknown_there),
		T(who_came_with_a_channel_is_not_read_again),
		T(those_of_a_next_process_that_died_are_disconnected),
		T(short_memory_loses_nobody_on_either_side),
		T(cut_or_damaged_batches_are_refused_and_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
