/* SPDX-License-Identifier: Apache-2.0 */
/* Live channels go to the next process with all that is theirs. */
#include "handover_pair.h"

/* ---- the way between them ----------------------------------------------- */

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
