/* SPDX-License-Identifier: Apache-2.0 */
/* During a hand-over nobody becomes known, in either process. */
#include "handover_pair.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
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
