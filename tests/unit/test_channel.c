/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a channel (core/channel/channel.c, output.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/channel_rig.h"
#include "base/mem.h"

static struct rig rig;
static struct rig_client client;
static const struct rig_dial plain = { .early_n = 0 };

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_start(&rig);
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
a_channel_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct channel) <= 256);
}

static void
a_channel_echoes_and_closes(void **state)
{
	struct channel *c;

	(void)state;
	rig_dial(&rig, &plain, &client);
	assert_int_equal(rig.opened, 1);
	assert_int_equal(rig_channels(&rig), 1);
	c = channel_find(rig.cw[0], rig.last_id);
	assert_non_null(c);
	assert_int_equal(channel_id(c), rig.last_id);
	assert_ptr_equal(c->owner, rig.cw[0]);
	assert_int_equal(channel_security(c), SECURITY_WS);
	assert_string_equal(channel_endpoint(c), "");
	assert_true(rig_send_text(&client, "hi"));
	rig_expect_text(&client, "hi");
	/* Their close is answered with its code; then we end the stream. */
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_CLOSE, "\x03\xe8",
	    2));
	rig_expect_close(&client, 1000);
	rig_expect_eof(&client);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.close_code, 1000);
	assert_null(channel_find(rig.cw[0], rig.last_id));
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	assert_int_equal(atomic_load(&rig.counters.opened), 1);
	assert_int_equal(atomic_load(&rig.counters.closed), 1);
	assert_int_equal(atomic_load(&rig.counters.messages_in), 1);
	assert_int_equal(atomic_load(&rig.counters.messages_out), 1);
}

static void
frames_behind_the_request_are_answered(void **state)
{
	uint8_t early[256];
	size_t n = 0;
	struct rig_dial d = { .early = early };

	(void)state;
	n += rig_frame_bytes(early + n, WS_FIN | WS_OP_TEXT, "one", 3);
	n += rig_frame_bytes(early + n, WS_FIN | WS_OP_PING, "p", 1);
	n += rig_frame_bytes(early + n, WS_FIN | WS_OP_TEXT, "two", 3);
	/* And the first half of a third. */
	n += rig_frame_bytes(early + n, WS_FIN | WS_OP_TEXT, "three", 5) - 3;
	d.early_n = n;
	rig_dial(&rig, &d, &client);
	rig_expect_text(&client, "one");
	{
		struct rig_frame f;

		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_OP_PONG);
		assert_int_equal(f.n, 1);
	}
	rig_expect_text(&client, "two");
	assert_true(rig_send(&client, early + n, 3));
	rig_expect_text(&client, "three");
	assert_true(atomic_load(&rig.counters.bytes_in) >= n);
}

static void
early_frames_that_are_wrong_close_at_once(void **state)
{
	struct rig_dial d = { .early = "\x81\x00", .early_n = 2 };

	(void)state;
	rig_dial(&rig, &d, &client);
	rig_expect_close(&client, 1002);
	rig_expect_eof(&client);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
the_peer_answers_our_close(void **state)
{
	(void)state;
	rig_dial(&rig, &plain, &client);
	channel_close(channel_find(rig.cw[0], rig.last_id), 1012, "restart");
	assert_null(channel_find(rig.cw[0], rig.last_id));
	rig_settle(&rig);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.close_code, 1012);
	rig_expect_close(&client, 1012);
	/* What it says before its answer is not looked at. */
	assert_true(rig_send_text(&client, "late"));
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_CLOSE, "\x03\xf4",
	    2));
	rig_expect_eof(&client);
	assert_int_equal(rig.messages, 0);
	assert_int_equal(rig.closed, 1);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
a_peer_that_does_not_answer_our_close_is_cut_off(void **state)
{
	(void)state;
	rig_dial(&rig, &plain, &client);
	channel_close(channel_find(rig.cw[0], rig.last_id), 1001, "stop");
	rig_settle(&rig);
	rig_advance(&rig, CLOSE_WAIT_MS - TIMER_TICK_MS);
	assert_int_equal(rig_channels(&rig), 1);
	rig_advance(&rig, 3 * TIMER_TICK_MS);
	assert_int_equal(rig_channels(&rig), 0);
	assert_int_equal(rig.closed, 1);
}

static void
a_peer_that_lingers_is_cut_off(void **state)
{
	(void)state;
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_CLOSE, NULL, 0));
	rig_expect_close(&client, 1005);
	rig_expect_eof(&client);
	assert_int_equal(rig.close_code, 1005);
	assert_int_equal(rig_channels(&rig), 1);
	rig_advance(&rig, LINGER_MS + 2 * TIMER_TICK_MS);
	assert_int_equal(rig_channels(&rig), 0);
}

/* Closing a socket with unread input resets it, which would destroy our last
 * words on their way. */
static void
the_close_frame_survives_unread_input(void **state)
{
	uint8_t *junk = calloc(1, 400000);

	(void)state;
	assert_non_null(junk);
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_TEXT, "\xff", 1));
	/* A lot behind the mistake. */
	(void)rig_send(&client, junk, 400000);
	rig_settle(&rig);
	rig_expect_close(&client, 1007);
	rig_expect_eof(&client);
	assert_true(client.clean_eof);
	free(junk);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
an_end_without_a_close_frame_is_1006(void **state)
{
	struct linger reset = { .l_onoff = 1 };

	(void)state;
	rig_dial(&rig, &plain, &client);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	assert_int_equal(rig.close_code, 1006);
	rig_dial(&rig, &plain, &client);
	assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset,
	    sizeof(reset)), 0);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	assert_int_equal(rig.closed, 2);
	assert_int_equal(rig.close_code, 1006);
}

static void
reasons_are_cut_to_what_fits(void **state)
{
	char why[300];
	struct rig_frame f;

	(void)state;
	memset(why, 'w', sizeof(why));
	why[299] = '\0';
	rig_dial(&rig, &plain, &client);
	channel_close(channel_find(rig.cw[0], rig.last_id), 4001, why);
	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.code, 4001);
	assert_int_equal(f.n, 125);
}

static void
all_channels_can_be_closed_and_killed(void **state)
{
	struct rig_client other;

	(void)state;
	rig_dial(&rig, &plain, &client);
	rig_dial(&rig, &plain, &other);
	channel_worker_close_all(rig.cw[0], 1001, "stop");
	rig_expect_close(&client, 1001);
	rig_expect_close(&other, 1001);
	rig_settle(&rig);
	assert_int_equal(rig.closed, 2);
	assert_int_equal(rig_channels(&rig), 2);
	channel_worker_kill_all(rig.cw[0]);
	assert_int_equal(rig_channels(&rig), 0);
	assert_int_equal(rig.closed, 2);
	rig_hang_up(&other);
}

static void
killing_says_1006_to_the_protocol_once(void **state)
{
	(void)state;
	rig_dial(&rig, &plain, &client);
	channel_worker_kill_all(rig.cw[0]);
	channel_worker_kill_all(rig.cw[0]);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.close_code, 1006);
	rig_expect_eof(&client);
}

/* ---- a protocol that does things inside its ops ------------------------- */

static void
close_it(struct rig *r, struct channel *c)
{
	unsigned closed = r->closed;

	channel_close(c, 4000, "inside");
	/* Never inside the call. */
	assert_int_equal(r->closed, closed);
	assert_int_equal(channel_send(c, "x", 1, true), -EPIPE);
	channel_close(c, 4009, "again");
}

static void
close_in_message(struct rig *r, struct channel *c, uint8_t *p, size_t n,
    bool text)
{
	(void)p;
	(void)n;
	(void)text;
	assert_int_equal(channel_send(c, "before", 6, true), 0);
	close_it(r, c);
}

static void
close_in_authenticated(struct rig *r, struct channel *c,
    const struct channel_auth_result *a)
{
	(void)a;
	close_it(r, c);
}

static void
send_in_closed(struct rig *r, struct channel *c, uint16_t code)
{
	(void)r;
	(void)code;
	assert_int_equal(channel_send(c, "x", 1, true), -EPIPE);
	channel_close(c, 1000, "");
	assert_int_equal(channel_announce_bye(c), -EPERM);
}

static void
a_protocol_may_close_in_open(void **state)
{
	uint8_t early[64];
	struct rig_dial d = { .early = early };

	(void)state;
	d.early_n = rig_frame_bytes(early, WS_FIN | WS_OP_TEXT, "lost", 4);
	rig.on_open = close_it;
	rig.on_closed = send_in_closed;
	rig_dial(&rig, &d, &client);
	rig_expect_close(&client, 4000);
	assert_int_equal(rig.messages, 0);
	assert_int_equal(rig.closed, 1);
	assert_int_equal(rig.close_code, 4000);
}

static void
a_protocol_may_close_in_message(void **state)
{
	uint8_t two[64];
	size_t n;

	(void)state;
	rig.on_message = close_in_message;
	rig.on_closed = send_in_closed;
	rig_dial(&rig, &plain, &client);
	n = rig_frame_bytes(two, WS_FIN | WS_OP_TEXT, "a", 1);
	n += rig_frame_bytes(two + n, WS_FIN | WS_OP_TEXT, "b", 1);
	assert_true(rig_send(&client, two, n));
	rig_expect_text(&client, "before");
	rig_expect_close(&client, 4000);
	assert_int_equal(rig.messages, 1);
	assert_int_equal(rig.closed, 1);
}

static void
a_protocol_may_close_in_authenticated(void **state)
{
	(void)state;
	rig.on_authenticated = close_in_authenticated;
	rig.on_closed = send_in_closed;
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send_text(&client, "hello dev-1 " RIG_TOKEN));
	rig_expect_close(&client, 4000);
	rig_settle(&rig);
	assert_int_equal(rig.closed, 1);
}

static void
messages_over_the_limit_are_not_sent(void **state)
{
	struct channel *c;
	uint8_t *big = calloc(1, 70000);

	(void)state;
	assert_non_null(big);
	rig_dial(&rig, &plain, &client);
	c = channel_find(rig.cw[0], rig.last_id);
	assert_int_equal(channel_send(c, big, 65537, false), -EMSGSIZE);
	assert_int_equal(channel_send(c, big, 65536, false), 0);
	free(big);
}

/* ---- short of memory ---------------------------------------------------- */

/* Dial, hello, echo, fragments, close: whatever fails,
 * nothing leaks or hangs. */
static bool
one_life(unsigned long nth)
{
	static const char request[] = "GET /echo HTTP/1.1\r\nHost: h\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	char long_text[300];
	uint8_t all[2048];
	size_t n = strlen(request);
	unsigned long used;

	memset(long_text, 'x', sizeof(long_text));
	memcpy(all, request, n);
	n += rig_frame_bytes(all + n, WS_FIN | WS_OP_TEXT,
	    "hello dev-1 " RIG_TOKEN, 12 + strlen(RIG_TOKEN));
	n += rig_frame_bytes(all + n, WS_OP_TEXT, "a", 1);
	n += rig_frame_bytes(all + n, WS_FIN, "b", 1);
	n += rig_frame_bytes(all + n, WS_FIN | WS_OP_TEXT, long_text,
	    sizeof(long_text));
	n += rig_frame_bytes(all + n, WS_FIN | WS_OP_PING, "a", 1) - 1;
	rig_dial(&rig, &plain, &client);	/* a socket to take over */
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	client.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(client.fd >= 0);
	{
		struct sockaddr_storage ss;
		unsigned len;

		assert_int_equal(addr_parse(rig.plain, &ss, &len), 0);
		assert_int_equal(connect(client.fd, (struct sockaddr *)&ss,
		    len), 0);
	}
	(void)mem_fail_nth(nth);
	(void)rig_send(&client, all, n);
	for (int i = 0; i < 40; i++)
		rig_turn(&rig);
	(void)rig_send(&client, all + n, 1);
	for (int i = 0; i < 10; i++)
		rig_turn(&rig);
	rig_advance(&rig, 21000);
	channel_worker_close_all(rig.cw[0], 1001, "");
	rig_settle(&rig);
	used = mem_fail_nth(0);
	rig_hang_up(&client);
	rig_advance(&rig, 100);
	rig_wait_empty(&rig);
	assert_int_equal(rig.sessions, 0);
	assert_int_equal(atomic_load(&net_counters(rig.net)->connections), 0);
	return used < nth;
}

static void
a_life_without_memory_ends_or_goes_on_but_leaks_nothing(void **state)
{
	unsigned long n = 1;

	(void)state;
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.compression = true;
	while (!one_life(n))
		assert_true(++n < 300);
	assert_true(n > 15);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_channel_is_small),
		T(a_channel_echoes_and_closes),
		T(frames_behind_the_request_are_answered),
		T(early_frames_that_are_wrong_close_at_once),
		T(the_peer_answers_our_close),
		T(a_peer_that_does_not_answer_our_close_is_cut_off),
		T(a_peer_that_lingers_is_cut_off),
		T(the_close_frame_survives_unread_input),
		T(an_end_without_a_close_frame_is_1006),
		T(reasons_are_cut_to_what_fits),
		T(all_channels_can_be_closed_and_killed),
		T(killing_says_1006_to_the_protocol_once),
		T(a_protocol_may_close_in_open),
		T(a_protocol_may_close_in_message),
		T(a_protocol_may_close_in_authenticated),
		T(messages_over_the_limit_are_not_sent),
		T(a_life_without_memory_ends_or_goes_on_but_leaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
