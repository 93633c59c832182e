/* SPDX-License-Identifier: Apache-2.0 */
/* Wake-ups, back-pressure, strangers (core/channel/input.c, output.c). */
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

#include "../lib/channel_rig.h"

static struct rig rig;
static struct rig_client client;
static const struct rig_dial plain = { .early_n = 0 };
static const struct rig_dial small_window = { .rcvbuf = 4096 };

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
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

static struct channel *
the_channel(void)
{
	return channel_find(rig.cw[0], rig.last_id);
}

/* Five questions that lie in the socket together; the answers come by one
 * look at ours after one turn. */
static void
answers_of_one_wake_up_leave_together(void **state)
{
	uint8_t b[256];
	size_t n = 0;

	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	for (int i = 0; i < 5; i++)
		n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "q", 1);
	assert_int_equal(send(client.fd, b, n, 0), n);
	rig_turn(&rig);
	assert_int_equal(rig.messages, 5);
	assert_int_equal(rig_look(&client), 15);
}

static void
over_tls(const char *priority)
{
	struct rig_dial d = { .priority = priority };
	uint8_t b[256];
	size_t n = 0;

	rig_dial(&rig, &d, &client);
	client.records = 0;
	for (int i = 0; i < 5; i++)
		n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "q", 1);
	assert_true(rig_send(&client, b, n));
	for (int i = 0; i < 5; i++)
		rig_expect_text(&client, "q");
	assert_int_equal(client.records, 1);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_CLOSE, "\x03\xe8",
	    2));
	rig_expect_close(&client, 1000);
	rig_expect_eof(&client);
	assert_true(client.clean_eof);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
answers_of_one_wake_up_share_a_record(void **state)
{
	(void)state;
	rig_start(&rig);
	over_tls(RIG_TLS13);
	over_tls(RIG_TLS12);
}

/* ---- a peer that does not read ------------------------------------------ */

static size_t
bytes_waiting(struct channel *c)
{
	return stream_backlog(&c->stream) + buf_len(c->held) +
	    (c->message == NULL ? 0 : c->message->cap);
}

/* Questions with a number each until the server takes no more of them.  Returns
 * how many; *ret_rest bytes of the last are not sent yet. */
static unsigned
ask_until_stuck(uint8_t *question, size_t n, size_t *ret_rest)
{
	unsigned asked = 0, quiet = 0;
	size_t at = n, max = 0;
	uint8_t body[4096] = { 0 };
	ssize_t sent;

	while (quiet < 200) {
		if (at == n) {
			asked++;
			memcpy(body, &asked, sizeof(asked));
			n = rig_frame_bytes(question, WS_FIN | WS_OP_BINARY,
			    body, sizeof(body));
			at = 0;
		}
		sent = send(client.fd, question + at, n - at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0)
			at += (size_t)sent;
		quiet = sent > 0 ? 0 : quiet + 1;
		rig_turn(&rig);
		if (bytes_waiting(the_channel()) > max)
			max = bytes_waiting(the_channel());
		assert_true(asked < 100000);
	}
	assert_true(max <= rig.limits.send_queue + 65536 + STAGE_RX_SIZE +
	    STAGE_PLAIN_SIZE);
	*ret_rest = n - at;
	return asked;
}

/* All the answers, in their order. */
static void
check_answers(unsigned asked)
{
	struct rig_frame f;
	unsigned number;

	for (unsigned i = 1; i <= asked; i++) {
		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_OP_BINARY);
		assert_int_equal(f.n, 4096);
		memcpy(&number, f.p, sizeof(number));
		assert_int_equal(number, i);
	}
}

static void
who_does_not_read_is_not_read(void **state)
{
	uint8_t question[8192];
	unsigned asked, before;
	size_t rest;

	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &small_window, &client);
	asked = ask_until_stuck(question, 4104, &rest);
	assert_false(the_channel()->stream.reading);
	before = rig.messages;
	rig_settle(&rig);
	assert_int_equal(rig.messages, before);
	assert_true(before < asked);
	/* It reads again: held input goes on, nothing is lost or reordered. */
	if (rest == 4104)
		asked--;
	check_answers(rest == 0 || rest == 4104 ? asked : asked - 1);
	if (rest > 0 && rest < 4104) {
		uint8_t *last = question + 4104 - rest;

		assert_true(rig_send(&client, last, rest));
		{
			struct rig_frame f;

			assert_true(rig_frame(&client, &f));
			assert_int_equal(f.n, 4096);
		}
	}
	assert_true(the_channel()->stream.reading);
	assert_null(the_channel()->held);
	assert_true(rig_send_text(&client, "still here"));
	rig_expect_text(&client, "still here");
}

#define AT_ONCE 20u

static size_t
questions(uint8_t *b, unsigned first)
{
	uint8_t body[4096] = { 0 };
	size_t n = 0;

	for (unsigned i = first; i < first + AT_ONCE; i++) {
		memcpy(body, &i, sizeof(i));
		n += rig_frame_bytes(b + n, WS_FIN | WS_OP_BINARY, body,
		    sizeof(body));
	}
	return n;
}

/* A backlog of the server's own words, then twenty questions in one wake-up,
 * of whose answers the last ones find no room.  Returns how many of its own. */
static unsigned
make_it_hold(uint8_t *b)
{
	uint8_t body[4096] = { 0 };
	unsigned own = 0;
	size_t n = questions(b, 1);
	int little = 8192;

	/* The backlog falls by little, not from full to empty. */
	assert_int_equal(setsockopt(the_channel()->stream.watch.fd, SOL_SOCKET,
	    SO_SNDBUF, &little, sizeof(little)), 0);
	while (stream_backlog(&the_channel()->stream) == 0) {
		own++;
		assert_int_equal(channel_send(the_channel(), body,
		    sizeof(body), false), 0);
	}
	assert_int_equal(send(client.fd, b, n, MSG_DONTWAIT), n);
	rig_turn(&rig);
	assert_non_null(the_channel()->held);
	return own;
}

static void
expect_number(unsigned want)
{
	struct rig_frame f;
	unsigned number;

	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_BINARY);
	memcpy(&number, f.p, sizeof(number));
	assert_int_equal(number, want);
}

/* Input that lies in the socket while older input is held must wait behind it,
 * wherever the backlog stands. */
static void
held_input_is_never_overtaken(void **state)
{
	uint8_t *b = malloc(AT_ONCE * 5000);
	unsigned own;
	size_t n;

	(void)state;
	assert_non_null(b);
	rig.limits.send_queue = 65000;
	rig_start(&rig);
	rig_dial(&rig, &small_window, &client);
	own = make_it_hold(b);
	n = questions(b, 1 + AT_ONCE);
	assert_int_equal(send(client.fd, b, n, MSG_DONTWAIT), n);
	while (own-- > 0)
		expect_number(0);
	for (unsigned i = 1; i <= 2 * AT_ONCE; i++)
		expect_number(i);
	free(b);
}

static void
fill_up(struct rig *r, struct channel *c)
{
	unsigned *sent = r->arg;
	uint8_t body[4096] = { 0 };
	int e;

	do {
		unsigned next = *sent + 1;

		memcpy(body, &next, sizeof(next));
		e = channel_send(c, body, sizeof(body), false);
		if (e == 0)
			*sent = next;
	} while (e == 0 && *sent < 3000);
	assert_true(e == 0 || e == -EAGAIN);
}

static void
a_full_queue_says_so_and_calls_when_there_is_room(void **state)
{
	unsigned sent = 0;

	(void)state;
	rig.arg = &sent;
	rig.on_drained = fill_up;
	rig_start(&rig);
	rig_dial(&rig, &small_window, &client);
	fill_up(&rig, the_channel());
	assert_true(sent < 3000);
	assert_true(stream_backlog(&the_channel()->stream) <
	    rig.limits.send_queue + 4200);
	rig_settle(&rig);
	assert_int_equal(rig.drained, 0);
	check_answers(3000);
	assert_int_equal(sent, 3000);
	assert_true(rig.drained > 1);
}

/* The peer reads a little now and then, for longer than a dead one is given. */
static void
slow_reader(const char *priority)
{
	struct rig_dial d = { .priority = priority, .rcvbuf = 65536 };
	size_t n = 16 * 1024 * 1024;
	uint8_t *big = malloc(n);
	uint64_t before = rig_now_ms();
	struct rig_frame f;

	assert_non_null(big);
	for (size_t i = 0; i < n; i++)
		big[i] = (uint8_t)(i * 31 + (i >> 12));
	rig_dial(&rig, &d, &client);
	assert_int_equal(channel_send(the_channel(), big, n, false), 0);
	/* Pings and other words of a peer that is not read: */
	assert_true(rig_send_text(&client, "between"));
	while (client.in_n < n) {
		if (rig_look(&client) == 0)
			rig_turn(&rig);
		assert_false(client.eof);
		if (rig_now_ms() - before < 70000)
			rig_advance(&rig, 2000);
	}
	assert_true(rig_now_ms() - before > 60000);
	do
		assert_true(rig_frame(&client, &f));
	while (f.first_byte == (WS_FIN | WS_OP_PING));
	assert_int_equal(f.n, n);
	assert_memory_equal(f.p, big, n);
	do
		assert_true(rig_frame(&client, &f));
	while (f.first_byte == (WS_FIN | WS_OP_PING));
	assert_int_equal(f.n, 7);
	free(big);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
a_slow_reader_of_a_large_message_is_not_dead(void **state)
{
	(void)state;
	rig.protocol[0].base.max_message = 16 * 1024 * 1024;
	rig.limits.send_queue = 16384;
	rig_start(&rig);
	slow_reader(NULL);
	slow_reader(RIG_TLS13);
}

static void
who_never_reads_dies_in_time(void **state)
{
	uint8_t question[8192];
	size_t rest;

	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &small_window, &client);
	(void)ask_until_stuck(question, 4104, &rest);
	rig_advance(&rig, 35000 + 2 * TIMER_TICK_MS);
	assert_int_equal(rig_channels(&rig), 0);
	assert_int_equal(rig.close_code, 1006);
}

/* Its close frame lies behind what it asked before. */
static void
the_closing_handshake_goes_on_behind_held_input(void **state)
{
	struct rig_frame f;
	uint8_t *b = malloc(AT_ONCE * 5000);
	bool closed = false;

	(void)state;
	assert_non_null(b);
	rig_start(&rig);
	rig_dial(&rig, &small_window, &client);
	(void)make_it_hold(b);
	free(b);
	channel_close(the_channel(), 1012, "restart");
	while (!closed && rig_frame(&client, &f))
		if ((f.first_byte & 15u) == WS_OP_CLOSE) {
			assert_int_equal(f.code, 1012);
			closed = true;
		}
	assert_true(closed);
	/* The stream is still understood: this is seen as our answer. */
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_CLOSE, "\x03\xf4",
	    2));
	rig_expect_eof(&client);
	assert_true(client.clean_eof);
	assert_int_equal(atomic_load(&rig.counters.protocol_errors), 0);
}

/* ---- strangers ---------------------------------------------------------- */

static void
a_stranger_may_send_only_so_much(void **state)
{
	uint8_t body[1000] = { 0 };
	struct rig_frame f;
	unsigned answers = 0;

	(void)state;
	rig.protocol[0].base.anonymous = false;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	for (int i = 0; i < 5; i++)
		(void)rig_send_frame(&client, WS_FIN | WS_OP_BINARY, body,
		    sizeof(body));
	while (rig_frame(&client, &f) && (f.first_byte & 15u) != WS_OP_CLOSE)
		answers++;
	assert_int_equal(answers, 4);
	assert_int_equal(f.code, 4006);
	assert_int_equal(rig.close_code, 4006);
	assert_int_equal(atomic_load(&rig.counters.too_big), 1);
}

static void
a_stranger_cannot_announce_more_either(void **state)
{
	(void)state;
	rig.protocol[0].base.anonymous = false;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send(&client, "\x82\xfe\x10\x01\0\0\0\0", 8));
	rig_expect_close(&client, 1009);
}

static void
whoever_is_known_may_send_what_the_protocol_allows(void **state)
{
	uint8_t *body = calloc(1, 60000);
	struct rig_frame f;

	(void)state;
	assert_non_null(body);
	rig.protocol[0].base.anonymous = false;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_BINARY, body,
	    60000));
	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.n, 60000);
	free(body);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(answers_of_one_wake_up_leave_together),
		T(answers_of_one_wake_up_share_a_record),
		T(who_does_not_read_is_not_read),
		T(held_input_is_never_overtaken),
		T(a_full_queue_says_so_and_calls_when_there_is_room),
		T(a_slow_reader_of_a_large_message_is_not_dead),
		T(who_never_reads_dies_in_time),
		T(the_closing_handshake_goes_on_behind_held_input),
		T(a_stranger_may_send_only_so_much),
		T(a_stranger_cannot_announce_more_either),
		T(whoever_is_known_may_send_what_the_protocol_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
