/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the peer is there (core/channel/keepalive.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../lib/channel_rig.h"

#define TICKS (2 * TIMER_TICK_MS)	/* a timer's tick and the test's step */

static struct rig rig;
static struct rig_client client;
static const struct rig_dial plain = { .early_n = 0 };

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.anonymous = false;
	client = (struct rig_client){ .fd = -1, .rig = &rig };
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rig_hang_up(&client);
	rig_stop(&rig);
	return 0;
}

static void
begin(void)
{
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	rig_settle(&rig);
	assert_int_equal(event_tap_sync(&rig.tap), 1);
}

static bool
ping_came(void)
{
	(void)rig_look(&client);
	return client.in_n > 0;
}

/* The payload of the ping that must be there. */
static void
take_ping(uint8_t *to)
{
	struct rig_frame f;

	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_PING);
	assert_int_equal(f.n, 8);
	memcpy(to, f.p, 8);
}

static void
silence_is_pinged_suspected_and_ended_in_time(void **state)
{
	uint8_t p[8];

	(void)state;
	begin();
	rig_advance(&rig, 20000 - TICKS);
	assert_false(ping_came());
	rig_advance(&rig, 2 * TICKS);
	take_ping(p);
	rig_advance(&rig, 5000 - 2 * TICKS);
	assert_int_equal(event_tap_sync(&rig.tap), 1);
	rig_advance(&rig, 3 * TICKS);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig.tap.got[1].type, EVENT_ENDPOINT_SUSPECT);
	/* 25 s and a bit are over: dead at 35. */
	rig_advance(&rig, 10000 - 4 * TICKS);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig_channels(&rig), 1);
	rig_advance(&rig, 5 * TICKS);
	assert_int_equal(event_tap_sync(&rig.tap), 3);
	assert_int_equal(rig.tap.got[2].type, EVENT_ENDPOINT_DISCONNECTED);
	assert_int_equal(rig.tap.got[2].reason, REASON_TIMEOUT);
	assert_int_equal(rig_channels(&rig), 0);
	assert_int_equal(rig.close_code, 1006);
	assert_int_equal(atomic_load(&rig.counters.timeouts), 1);
}

static void
an_answered_ping_is_followed_by_the_next(void **state)
{
	uint8_t p[8];

	(void)state;
	begin();
	for (int i = 0; i < 5; i++) {
		rig_advance(&rig, 20000 + TICKS);
		take_ping(p);
		assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, p,
		    8));
		rig_settle(&rig);
	}
	assert_int_equal(event_tap_sync(&rig.tap), 1);
	assert_int_equal(rig_channels(&rig), 1);
}

/* Found in a storm: the look for an answer was the next one at all,
 * so that pings came as often as suspicions would have. */
static void
much_patience_does_not_make_pings_rare(void **state)
{
	uint8_t p[8];

	(void)state;
	rig.limits.ping_ms = 2000;
	rig.limits.suspect_ms = 5000;
	rig.limits.dead_ms = 15000;
	begin();
	for (int i = 0; i < 5; i++) {
		rig_advance(&rig, 2000 + TICKS);
		assert_true(ping_came());
		take_ping(p);
		assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, p,
		    8));
		rig_settle(&rig);
	}
	/* Nor does it make anything sooner. */
	rig_advance(&rig, 2000 + TICKS);
	take_ping(p);
	rig_advance(&rig, 5000 - 2 * TICKS);
	assert_int_equal(event_tap_sync(&rig.tap), 1);
	rig_advance(&rig, 3 * TICKS);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, p, 8));
	rig_settle(&rig);
	rig_advance(&rig, 2000 + TICKS);
	assert_true(ping_came());
}

static void
any_byte_counts_and_clears_suspicion(void **state)
{
	uint8_t frame[16];
	uint8_t p[8];
	size_t n = rig_frame_bytes(frame, WS_FIN | WS_OP_TEXT, "abc", 3);

	(void)state;
	begin();
	rig_advance(&rig, 25000 + 2 * TICKS);
	take_ping(p);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig.tap.got[1].state, PRESENCE_SUSPECT);
	/* The first byte of a header is a byte. */
	assert_true(rig_send(&client, frame, 1));
	rig_settle(&rig);
	assert_int_equal(event_tap_sync(&rig.tap), 3);
	assert_int_equal(rig.tap.got[2].state, PRESENCE_ONLINE);
	assert_int_equal(rig.tap.got[2].reason, REASON_HEARD);
	/* One byte every 19 s: not even a ping. */
	for (size_t i = 1; i < n; i++) {
		rig_advance(&rig, 19000);
		assert_false(ping_came());
		assert_true(rig_send(&client, frame + i, 1));
		rig_settle(&rig);
	}
	rig_expect_text(&client, "abc");
	assert_int_equal(event_tap_sync(&rig.tap), 3);
}

static void
the_round_trip_is_measured_and_cannot_be_forged_high(void **state)
{
	uint8_t p[8], wrong[8];

	(void)state;
	begin();
	rig_advance(&rig, 20000 + TICKS);
	take_ping(p);
	/* Nonsense, and the future. */
	memset(wrong, 0xff, 8);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, wrong, 8));
	memset(wrong, 0, 8);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, wrong, 8));
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, p, 7));
	rig_settle(&rig);
	channel_close(channel_find(rig.cw[0], rig.last_id), 1001, "");
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig.tap.got[1].rtt_us, 0);
	rig_hang_up(&client);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	rig_advance(&rig, 20000 + TICKS);
	take_ping(p);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, p, 8));
	rig_settle(&rig);
	channel_close(channel_find(rig.cw[0], rig.last_id), 1001, "");
	assert_int_equal(event_tap_sync(&rig.tap), 4);
	assert_true(rig.tap.got[3].rtt_us > 0);
	assert_true(rig.tap.got[3].rtt_us < 10000000);
}

static void
hello_must_come_in_time(void **state)
{
	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	/* Bytes do not buy time. */
	rig_advance(&rig, 6000);
	assert_true(rig_send_text(&client, "I am nobody"));
	rig_expect_text(&client, "I am nobody");
	rig_advance(&rig, 4000 - TICKS);
	assert_int_equal(rig.closed, 0);
	rig_advance(&rig, 2 * TICKS);
	rig_expect_close(&client, 4002);
	assert_int_equal(rig.close_code, 4002);
	assert_int_equal(atomic_load(&rig.counters.auth_timeouts), 1);
	assert_int_equal(event_tap_sync(&rig.tap), 0);
}

static void
a_refused_hello_does_not_stop_the_clock(void **state)
{
	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send_text(&client, "hello dev-1 wrong-wrong-wrong-1"));
	rig_expect_text(&client, "no -13");
	rig_advance(&rig, 10000 + TICKS);
	rig_expect_close(&client, 4002);
}

/* A fleet may be watched more closely than it is given time to say hello. */
static void
short_pings_are_kept_from_the_first_second_on(void **state)
{
	uint8_t p[8];

	(void)state;
	rig.limits.ping_ms = 1000;
	rig.limits.suspect_ms = 500;
	rig.limits.dead_ms = 2500;
	begin();
	rig_advance(&rig, 1000 + TICKS);
	assert_true(ping_came());
	take_ping(p);
	rig_advance(&rig, 500 + TICKS);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	rig_advance(&rig, 1000 + TICKS);
	assert_int_equal(rig_channels(&rig), 0);
}

static void
an_anonymous_channel_is_pinged_too(void **state)
{
	uint8_t p[8];

	(void)state;
	rig.protocol[0].base.anonymous = true;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	rig_advance(&rig, 20000 + TICKS);
	take_ping(p);
	rig_advance(&rig, 15000 + TICKS);
	assert_int_equal(rig_channels(&rig), 0);
	assert_int_equal(event_tap_sync(&rig.tap), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(silence_is_pinged_suspected_and_ended_in_time),
		T(an_answered_ping_is_followed_by_the_next),
		T(much_patience_does_not_make_pings_rare),
		T(any_byte_counts_and_clears_suspicion),
		T(the_round_trip_is_measured_and_cannot_be_forged_high),
		T(hello_must_come_in_time),
		T(a_refused_hello_does_not_stop_the_clock),
		T(short_pings_are_kept_from_the_first_second_on),
		T(an_anonymous_channel_is_pinged_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
