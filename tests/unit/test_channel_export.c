/* SPDX-License-Identifier: Apache-2.0 */
/* Channels move between workers (core/channel/export.c), decision 0003. */
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
#include "base/log.h"
#include "base/mem.h"
#include "tls/snapshot.h"
#include "tls/trust.h"

static struct rig rig;
static struct rig_client client;
static unsigned at;			/* the worker that has the channel */

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_start(&rig);
	client = (struct rig_client){ .fd = -1, .rig = &rig };
	at = 0;
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
dial(const char *priority)
{
	struct rig_dial d = { .priority = priority };

	rig_dial(&rig, &d, &client);
	at = 0;
}

static struct channel *
the_channel(void)
{
	struct channel *c = channel_find(rig.cw[at], rig.last_id);

	assert_non_null(c);
	return c;
}

/* To the other worker. */
static void
move(void)
{
	assert_int_equal(channel_migrate(rig.cw[at], rig.last_id, 1 - at), 0);
	assert_null(channel_find(rig.cw[at], rig.last_id));
	at = 1 - at;
	rig_turn(&rig);
	rig_turn(&rig);
	assert_int_equal(channel_id(the_channel()), rig.last_id);
	assert_ptr_equal(the_channel()->owner, rig.cw[at]);
}

static uint64_t asked, answered;

static void
ask_number(void)
{
	asked++;
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_BINARY, &asked,
	    sizeof(asked)));
}

static void
expect_number(void)
{
	struct rig_frame f;
	uint64_t number;

	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_BINARY);
	assert_int_equal(f.n, 8);
	memcpy(&number, f.p, 8);
	assert_int_equal(number, ++answered);
}

/* Two hundred moves while numbers go both ways, cut wherever it falls. */
static void
moves_while_it_speaks(const char *priority)
{
	uint8_t b[64];
	size_t n, cut;

	rig.numbered = true;
	rig.disorder = 0;
	asked = answered = 0;
	dial(priority);
	for (unsigned i = 0; i < 200; i++) {
		ask_number();
		/* A question in two parts, a move between them: with TLS a
		 * part of a record, without a part of a frame. */
		asked++;
		n = rig_frame_bytes(b, WS_FIN | WS_OP_BINARY, &asked, 8);
		client.holding = true;
		assert_true(client.tls == NULL || rig_send(&client, b, n));
		cut = i % (client.tls == NULL ? n : client.out_n);
		assert_true(client.tls == NULL ? rig_send(&client, b, cut) :
		    rig_release(&client, cut));
		rig_turn(&rig);
		move();
		assert_true(client.tls == NULL ?
		    rig_send(&client, b + cut, n - cut) :
		    rig_release(&client, SIZE_MAX));
		client.holding = false;
		expect_number();
		if (i % 3 == 0)
			expect_number();
		if (i % 7 == 0)
			move();
	}
	while (answered < asked)
		expect_number();
	assert_int_equal(rig.disorder, 0);
	assert_int_equal(rig.opened, 1);
	assert_int_equal(rig.closed, 0);
	assert_int_equal(rig.sessions, 1);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	rig.opened = rig.closed = 0;
}

static void
nothing_is_lost_doubled_or_reordered_in_200_moves(void **state)
{
	(void)state;
	moves_while_it_speaks(NULL);
	moves_while_it_speaks(RIG_TLS13);
	moves_while_it_speaks(RIG_TLS12);
	assert_true(atomic_load(&rig.counters.moved) >= 600);
	assert_int_equal(atomic_load(&rig.counters.opened), 3);
	assert_int_equal(atomic_load(&rig.counters.closed), 3);
}

struct trip {
	unsigned from;
	int result;
};

static void
depart(void *arg)
{
	struct trip *t = arg;

	t->result = channel_migrate(rig.cw[t->from], rig.last_id, 1 - t->from);
}

/* The same with a thread for each worker. */
static void
moves_between_threads(const char *priority)
{
	struct trip trip = { .from = 0 };
	unsigned moves = 0;

	asked = answered = 0;
	dial(priority);
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		assert_int_equal(worker_start(&rig.worker[i]), 0);
	rig.threaded = true;
	for (unsigned i = 0; i < 200; i++) {
		ask_number();
		worker_call(&rig.worker[trip.from], depart, &trip);
		assert_true(trip.result == 0 || trip.result == -EBUSY);
		if (trip.result == 0) {
			moves++;
			trip.from = 1 - trip.from;
		}
		if (i % 4 == 0)
			expect_number();
	}
	while (answered < asked)
		expect_number();
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		worker_stop(&rig.worker[i]);
	rig.threaded = false;
	assert_true(moves > 100);
	assert_int_equal(rig.disorder, 0);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
running_workers_hand_channels_over_too(void **state)
{
	(void)state;
	rig.numbered = true;
	moves_between_threads(NULL);
	moves_between_threads(RIG_TLS13);
}

static void
fragments_move(const char *priority)
{
	dial(priority);
	assert_true(rig_send_frame(&client, WS_OP_TEXT, "", 0));
	rig_settle(&rig);
	move();
	assert_true(rig_send_frame(&client, WS_OP_CONTINUATION, "one ", 4));
	rig_settle(&rig);
	move();
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PING, "p", 1));
	rig_settle(&rig);
	move();
	assert_true(rig_send_frame(&client, WS_FIN, "two", 3));
	{
		struct rig_frame f;

		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_OP_PONG);
	}
	rig_expect_text(&client, "one two");
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
half_messages_move_along(void **state)
{
	(void)state;
	fragments_move(NULL);
	fragments_move(RIG_TLS13);
	fragments_move(RIG_TLS12);
}

/* Half of a control frame between fragments, half of a character in them. */
static void
every_half_of_a_frame_moves_along(void **state)
{
	uint8_t b[128];
	size_t n = 0;
	struct rig_frame f;

	(void)state;
	n += rig_frame_bytes(b + n, WS_OP_TEXT, "\xc3", 1);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_PING, "pppp", 4);
	n += rig_frame_bytes(b + n, WS_FIN, "\xa9", 1);
	dial(NULL);
	for (size_t i = 0; i < n; i++) {
		assert_true(rig_send(&client, b + i, 1));
		rig_turn(&rig);
		move();
	}
	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_PONG);
	assert_int_equal(f.n, 4);
	rig_expect_text(&client, "\xc3\xa9");
}

static void
unread(const char *priority)
{
	struct rig_dial d = { .priority = priority, .rcvbuf = 4096 };
	unsigned own = 0, number, moves = 0;
	uint8_t body[4096] = { 0 }, *questions = malloc(20 * 5000);
	struct rig_frame f;
	int little = 8192;
	size_t n = 0;

	assert_non_null(questions);
	rig_dial(&rig, &d, &client);
	at = 0;
	assert_int_equal(setsockopt(the_channel()->stream.watch.fd, SOL_SOCKET,
	    SO_SNDBUF, &little, sizeof(little)), 0);
	while (stream_backlog(&the_channel()->stream) == 0) {
		own++;
		memcpy(body, &own, sizeof(own));
		assert_int_equal(channel_send(the_channel(), body,
		    sizeof(body), false), 0);
	}
	/* Twenty questions at once: the last ones are held (with TLS, as far
	 * as they have arrived). */
	for (unsigned i = 1; i <= 20; i++) {
		number = own + i;
		memcpy(body, &number, sizeof(number));
		n += rig_frame_bytes(questions + n, WS_FIN | WS_OP_BINARY,
		    body, sizeof(body));
	}
	client.holding = true;
	if (client.tls != NULL) {
		assert_true(rig_send(&client, questions, n));
		assert_int_equal(send(client.fd, client.out, client.out_n,
		    MSG_DONTWAIT), client.out_n);
		client.out_n = 0;
	} else {
		assert_int_equal(send(client.fd, questions, n, MSG_DONTWAIT),
		    n);
	}
	client.holding = false;
	free(questions);
	rig_turn(&rig);
	assert_true(client.tls != NULL || the_channel()->held != NULL);
	assert_true(stream_backlog(&the_channel()->stream) > 0);
	for (unsigned i = 1; i <= own + 20; i++) {
		if (the_channel()->todo == 0) {
			move();
			moves++;
		}
		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.n, 4096);
		memcpy(&number, f.p, sizeof(number));
		assert_int_equal(number, i);
	}
	assert_true(moves > 10);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
backlog_and_held_input_move_along(void **state)
{
	(void)state;
	unread(NULL);
	unread(RIG_TLS13);
	unread(RIG_TLS12);
}

/* Another snapshot of the rig's, whose CA has revoked the device or not. */
static struct tls_snapshot *
judge(bool revoked)
{
	const struct test_cert *gone[] = { &rig.device };
	char *text = test_crl_make(&rig.ca, gone, revoked ? 1 : 0, 3600);
	char ca_name[] = "ca", crl_name[] = "crl";
	const struct tls_blob ca = {
		rig.ca.pem, rig.ca.pem_n, ca_name, false
	};
	const struct tls_blob crl = { text, strlen(text), crl_name, false };
	const struct tls_trust_spec spec = {
		.of_clients = true, .ca = &ca, .ca_n = 1, .crl = &crl,
		.crl_n = 1
	};
	struct tls_listener_spec listeners[2] = {
		{ .client_auth = TLS_CLIENT_OFF },
		{ .client_auth = TLS_CLIENT_OPTIONAL }
	};
	const struct tls_snapshot_spec all = {
		.listeners = listeners, .listeners_n = 2
	};
	struct tls_snapshot *s = NULL;

	assert_int_equal(tls_trust_new(&spec, NULL, &listeners[1].trust), 0);
	assert_int_equal(tls_snapshot_new(&all, NULL, &s), 0);
	tls_trust_unref(&listeners[1].trust);
	free(text);
	return s;
}

static void
trust(bool revoked)
{
	struct tls_snapshot *s = judge(revoked);

	for (int i = 0; i < RIG_WORKERS; i++)
		channel_worker_set_trust(rig.cw[i], s);
	tls_snapshot_unref(&s);
}

static void
a_revocation_finds_it_also_while_it_moves(void **state)
{
	struct rig_dial d = { .priority = RIG_TLS13, .cert = &rig.device };
	struct rig_frame f;

	(void)state;
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.anonymous = false;
	for (int moving = 0; moving < 2; moving++) {
		trust(false);
		rig_dial(&rig, &d, &client);
		assert_true(rig_send_text(&client, "cert dev-1"));
		rig_expect_text(&client, moving ? "ok 2 wss-safe" :
		    "ok 1 wss-safe");
		rig_settle(&rig);
		trust(false);		/* the same again is nothing */
		assert_int_equal(rig_look(&client), 0);
		if (moving)
			assert_int_equal(channel_migrate(rig.cw[0],
			    rig.last_id, 1), 0);
		trust(true);
		rig_settle(&rig);
		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_OP_CLOSE);
		assert_int_equal(f.code, 4005);
		rig_hang_up(&client);
	}
	/* And one whose handshake was judged before. */
	rig_dial(&rig, &d, &client);
	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.code, 4005);
}

static void
it_counts_under_its_certificate_until_it_ends(void **state)
{
	_Atomic uint32_t *began = rig.counters.began;

	(void)state;
	dial(NULL);
	rig_settle(&rig);
	assert_int_equal(began[0], 1);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	for (int lost = 0; lost < 2; lost++) {
		dial(RIG_TLS13);
		rig_settle(&rig);
		assert_int_equal(began[RIG_NUMBER], 1);
		rig.import_error = lost ? -ENOMEM : 0;
		assert_int_equal(channel_migrate(rig.cw[0], rig.last_id, 1),
		    0);
		rig_settle(&rig);
		assert_int_equal(began[RIG_NUMBER], !lost);
		rig_hang_up(&client);
		rig_wait_empty(&rig);
		assert_int_equal(began[RIG_NUMBER], 0);
	}
	assert_int_equal(began[0], 0);
}

static void
a_known_device_stays_online_while_it_moves(void **state)
{
	struct rig_dial d = { .priority = RIG_TLS13, .cert = &rig.device };
	size_t n;

	(void)state;
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.anonymous = false;
	rig_dial(&rig, &d, &client);
	/* Also before its hello, with all by which that is judged. */
	move();
	assert_true(rig_send_text(&client, "cert dev-1"));
	/* Not while it is judged. */
	while (the_channel()->pre != NULL && !the_channel()->pre->asked)
		rig_turn(&rig);
	assert_int_equal(channel_migrate(rig.cw[at], rig.last_id, 1 - at),
	    -EBUSY);
	rig_expect_text(&client, "ok 1 wss-safe");
	rig_settle(&rig);
	for (int i = 0; i < 5; i++)
		move();
	/* Unlinked, enrolled (by its certificate), online. */
	assert_int_equal(event_tap_sync(&rig.tap), 3);
	assert_string_equal(channel_endpoint(the_channel()), "dev-1");
	assert_int_equal(channel_security(the_channel()), SECURITY_WSS_SAFE);
	assert_non_null(the_channel()->cert);
	assert_string_equal(the_channel()->cert->cn, "dev-1");
	assert_true(rig_send_text(&client, "x"));
	rig_expect_text(&client, "x");
	/* Its clock is what it was: pinged 20 s after its last byte. */
	rig_advance(&rig, 19000);
	move();
	assert_int_equal(rig_look(&client), 0);
	rig_advance(&rig, 1100);
	{
		struct rig_frame f;

		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_OP_PING);
	}
	rig_advance(&rig, 6000);
	n = event_tap_sync(&rig.tap);
	assert_int_equal(n, 4);
	assert_int_equal(rig.tap.got[3].state, PRESENCE_SUSPECT);
	move();
	rig_advance(&rig, 9000);
	assert_int_equal(event_tap_sync(&rig.tap), 5);
	assert_int_equal(rig.tap.got[4].state, PRESENCE_DISCONNECTED);
	assert_int_equal(rig.tap.got[4].reason, REASON_TIMEOUT);
}

static void
a_takeover_finds_the_channel_where_it_went(void **state)
{
	struct rig_client other;
	struct rig_dial d = { .priority = NULL };

	(void)state;
	dial(NULL);
	assert_int_equal(rig_hello(&client, "dev-1"), 1);
	rig_settle(&rig);
	move();
	rig_dial(&rig, &d, &other);
	assert_int_equal(rig_hello(&other, "dev-1"), 2);
	rig_expect_close(&client, 4003);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig.tap.got[1].type, EVENT_ENDPOINT_REPLACED);
	rig_hang_up(&other);
}

/* Taken over between leaving and arriving; then told before it left. */
static void
a_takeover_on_the_way_closes_at_arrival(void **state)
{
	struct rig_client other;
	struct rig_dial d = { .priority = NULL };
	uint64_t first, second;

	(void)state;
	for (int order = 0; order < 2; order++) {
		rig_dial(&rig, &d, &client);
		(void)rig_hello(&client, "dev-1");
		first = rig.last_id;
		rig_dial(&rig, &d, &other);
		second = rig.last_id;
		rig_settle(&rig);
		/* The hello lies in the socket. */
		{
			uint8_t b[128];
			size_t n = rig_frame_bytes(b, WS_FIN | WS_OP_TEXT,
			    "hello dev-1 " RIG_TOKEN, 12 + strlen(RIG_TOKEN));

			assert_int_equal(send(other.fd, b, n, 0), n);
		}
		if (order == 0)
			assert_int_equal(channel_migrate(rig.cw[0], first, 1),
			    0);
		/* Only the first worker turns: the claim. */
		assert_int_equal(loop_turn(rig.worker[0].loop, 0), 0);
		if (order == 1 && channel_find(rig.cw[0], first) != NULL)
			assert_int_equal(channel_migrate(rig.cw[0], first, 1),
			    0);
		rig_settle(&rig);
		rig_expect_close(&client, 4003);
		assert_non_null(channel_find(rig.cw[0], second));
		assert_null(channel_find(rig.cw[0], first));
		assert_null(channel_find(rig.cw[1], first));
		rig_hang_up(&client);
		rig_hang_up(&other);
		rig_wait_empty(&rig);
	}
	assert_int_equal(rig.opened, 4);
	assert_int_equal(rig.closed, 4);
}

/* Found by fuzz_channel_import: it is nobody's channel any more. */
static void
a_suspect_that_was_taken_over_on_the_way_may_still_speak(void **state)
{
	struct rig_dial d = { .priority = NULL };
	struct rig_client other;
	uint64_t first;
	uint8_t b[128];
	size_t n = rig_frame_bytes(b, WS_FIN | WS_OP_TEXT,
	    "hello dev-1 " RIG_TOKEN, 12 + strlen(RIG_TOKEN));
	struct rig_frame f;

	(void)state;
	dial(NULL);
	(void)rig_hello(&client, "dev-1");
	first = rig.last_id;
	rig_advance(&rig, 26000);
	assert_true(the_channel()->suspect);
	rig_dial(&rig, &d, &other);
	assert_int_equal(send(other.fd, b, n, 0), n);
	assert_int_equal(channel_migrate(rig.cw[0], first, 1), 0);
	assert_int_equal(loop_turn(rig.worker[0].loop, 0), 0);
	rig_settle(&rig);
	assert_true(rig_send_text(&client, "I am here"));
	do
		assert_true(rig_frame(&client, &f));
	while (f.first_byte == (WS_FIN | WS_OP_PING));
	assert_int_equal(f.code, 4003);
	assert_int_equal(event_tap_sync(&rig.tap), 3);
	assert_int_equal(rig.tap.got[2].type, EVENT_ENDPOINT_REPLACED);
	rig_hang_up(&other);
}

static void
what_cannot_move_stays_as_it_is(void **state)
{
	(void)state;
	dial(RIG_TLS13);
	assert_int_equal(channel_migrate(rig.cw[0], rig.last_id + 256, 1),
	    -ENOENT);
	assert_int_equal(channel_migrate(rig.cw[0], rig.last_id, 2), -ENOENT);
	rig.cannot_export = true;
	assert_int_equal(channel_migrate(rig.cw[0], rig.last_id, 1), -ENOBUFS);
	assert_true(rig_send_text(&client, "here"));
	rig_expect_text(&client, "here");
	rig.cannot_export = false;
	rig.protocol[0].base.export = NULL;
	assert_int_equal(channel_migrate(rig.cw[0], rig.last_id, 1), -EBUSY);
	assert_true(rig_send_text(&client, "still"));
	rig_expect_text(&client, "still");
	channel_close(the_channel(), 1000, "");
	assert_int_equal(channel_migrate(rig.cw[0], rig.last_id, 1), -ENOENT);
}

static void
a_channel_that_cannot_arrive_ends_for_everybody(void **state)
{
	(void)state;
	dial(NULL);
	(void)rig_hello(&client, "dev-1");
	rig_settle(&rig);
	rig.import_error = -ENOMEM;
	assert_int_equal(channel_migrate(rig.cw[0], rig.last_id, 1), 0);
	rig_settle(&rig);
	rig_expect_eof(&client);
	assert_int_equal(event_tap_sync(&rig.tap), 2);
	assert_int_equal(rig.tap.got[1].state, PRESENCE_DISCONNECTED);
	assert_int_equal(rig_channels(&rig), 0);
	assert_int_equal(rig.sessions, 0);
	assert_int_equal(atomic_load(&rig.counters.closed), 1);
	assert_int_equal(atomic_load(&net_counters(rig.net)->connections), 0);
}

/* ---- the bytes ---------------------------------------------------------- */

/* The exported bytes of a channel with everything in it, which then goes on. */
static uint8_t *
exported(struct outbuf *out)
{
	struct channel *c;

	dial(RIG_TLS13);
	assert_true(rig_send_frame(&client, WS_OP_TEXT, "half", 4));
	assert_true(rig_send(&client, "\x89\x84\0\0\0\0ab", 8));
	rig_settle(&rig);
	c = the_channel();
	assert_non_null(c->message);
	*out = (struct outbuf){ .cap = channel_export_size(c) };
	out->p = malloc(out->cap);
	assert_non_null(out->p);
	stream_leave(&c->stream, rig.worker[0].loop);
	assert_int_equal(channel_export(c, out), 0);
	assert_int_equal(stream_start(&c->stream, rig.worker[0].loop, true,
	    channel_wake), 0);
	return out->p;
}

static int
import_copy(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n);	/* its end is guarded */
	struct channel *c = NULL;
	int pair[2], r;

	/* Only what is refused: a success would give a place under net's
	 * limits back that was never taken. */

	assert_non_null(copy);
	memcpy(copy, p, n);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	r = channel_import(rig.cw[1], pair[0], copy, n, &c);
	free(copy);
	assert_null(c);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return r;
}

static void
cut_or_lengthened_bytes_are_refused(void **state)
{
	struct outbuf out;
	uint8_t *p = exported(&out), *longer = malloc(out.n + 1);

	(void)state;
	for (size_t n = 0; n < out.n; n++)
		assert_int_equal(import_copy(p, n), -EINVAL);
	assert_non_null(longer);
	memcpy(longer, p, out.n);
	longer[out.n] = 0;
	assert_int_equal(import_copy(longer, out.n + 1), -EINVAL);
	assert_int_equal(rig_channels(&rig), 1);
	free(longer);
	free(p);
	/* The exporter is as it was. */
	assert_true(rig_send(&client, "cd", 2));
	assert_true(rig_send_frame(&client, WS_FIN, "!", 1));
	{
		struct rig_frame f;

		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_OP_PONG);
	}
	rig_expect_text(&client, "half!");
}

static void
moving_without_memory_loses_the_channel_at_worst(void **state)
{
	unsigned long n, used;
	bool whole = false;
	int r;

	(void)state;
	for (n = 1; !whole; n++) {
		assert_true(n < 60);
		dial(RIG_TLS13);
		(void)rig_hello(&client, "dev-1");
		assert_true(rig_send_frame(&client, WS_OP_TEXT, "half", 4));
		rig_settle(&rig);
		(void)mem_fail_nth(n);
		r = channel_migrate(rig.cw[0], rig.last_id, 1);
		rig_turn(&rig);
		used = mem_fail_nth(0);
		whole = used < n;
		rig_settle(&rig);
		assert_true(r == 0 || r == -ENOMEM);
		if (rig_channels(&rig) > 0) {
			assert_true(rig_send_frame(&client, WS_FIN, "!", 1));
			rig_expect_text(&client, "half!");
		} else {
			rig_expect_eof(&client);
		}
		rig_hang_up(&client);
		rig_wait_empty(&rig);
		assert_int_equal(rig.sessions, 0);
		assert_int_equal(
		    atomic_load(&net_counters(rig.net)->connections), 0);
	}
	assert_true(n > 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_is_lost_doubled_or_reordered_in_200_moves),
		T(running_workers_hand_channels_over_too),
		T(half_messages_move_along),
		T(every_half_of_a_frame_moves_along),
		T(backlog_and_held_input_move_along),
		T(it_counts_under_its_certificate_until_it_ends),
		T(a_known_device_stays_online_while_it_moves),
		T(a_revocation_finds_it_also_while_it_moves),
		T(a_takeover_finds_the_channel_where_it_went),
		T(a_takeover_on_the_way_closes_at_arrival),
		T(a_suspect_that_was_taken_over_on_the_way_may_still_speak),
		T(what_cannot_move_stays_as_it_is),
		T(a_channel_that_cannot_arrive_ends_for_everybody),
		T(cut_or_lengthened_bytes_are_refused),
		T(moving_without_memory_loses_the_channel_at_worst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
