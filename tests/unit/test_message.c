/* SPDX-License-Identifier: Apache-2.0 */
/* Frames become messages (core/channel/message.c, input.c, output.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../lib/channel_rig.h"
#include "wire/deflate.h"

static struct rig rig;
static struct rig_client client;
static const struct rig_dial plain = { .early_n = 0 };
static const struct rig_dial deflating = {
	.extensions = "permessage-deflate"
};

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	rig_start(&rig);
	client = (struct rig_client){ .fd = -1, .rig = &rig };
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.compression = true;
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

/* All of it, then everything in single bytes on a second channel. */
static void
twice(const uint8_t *p, size_t n, const struct rig_dial *d,
    void (*check)(void))
{
	rig_dial(&rig, d, &client);
	assert_true(rig_send(&client, p, n));
	check();
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	rig_dial(&rig, d, &client);
	for (size_t i = 0; i < n && !client.eof; i++)
		(void)rig_send(&client, p + i, 1);
	check();
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
expect_frame(unsigned first_byte, const char *text)
{
	struct rig_frame f;

	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.first_byte, first_byte);
	assert_int_equal(f.n, strlen(text));
	assert_memory_equal(f.p, text, f.n);
}

static void
check_fragments(void)
{
	expect_frame(WS_FIN | WS_OP_PONG, "ping");
	expect_frame(WS_FIN | WS_OP_PONG, "");
	rig_expect_text(&client, "abc");
	expect_frame(WS_FIN | WS_OP_BINARY, "xyz");
}

static void
fragments_with_control_frames_between_are_one_message(void **state)
{
	uint8_t b[256];
	size_t n = 0;

	(void)state;
	n += rig_frame_bytes(b + n, WS_OP_TEXT, "a", 1);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_PING, "ping", 4);
	n += rig_frame_bytes(b + n, WS_OP_CONTINUATION, "b", 1);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_PONG, "unasked", 7);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_PING, "", 0);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_CONTINUATION, "c", 1);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_BINARY, "xyz", 3);
	twice(b, n, &plain, check_fragments);
}

static void
check_empty(void)
{
	rig_expect_text(&client, "");
	expect_frame(WS_FIN | WS_OP_BINARY, "");
	rig_expect_text(&client, "");
	rig_expect_text(&client, "x");
	rig_expect_text(&client, "end");
}

/* RFC 6455 5.4 has no smallest fragment. */
static void
empty_fragments_and_messages_are_fine(void **state)
{
	uint8_t b[256];
	size_t n = 0;

	(void)state;
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "", 0);
	n += rig_frame_bytes(b + n, WS_OP_BINARY, "", 0);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_CONTINUATION, "", 0);
	n += rig_frame_bytes(b + n, WS_OP_TEXT, "", 0);
	n += rig_frame_bytes(b + n, WS_OP_CONTINUATION, "", 0);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_CONTINUATION, "", 0);
	n += rig_frame_bytes(b + n, WS_OP_TEXT, "", 0);
	n += rig_frame_bytes(b + n, WS_OP_CONTINUATION, "x", 1);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_CONTINUATION, "", 0);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "end", 3);
	twice(b, n, &plain, check_empty);
}

static void
sixty_thousand_fragments_are_one_message(void **state)
{
	uint8_t *b = malloc(70000 * 8), *want = malloc(60000);
	struct rig_frame f;
	size_t n = 0;

	(void)state;
	assert_non_null(b);
	assert_non_null(want);
	memset(want, 'z', 60000);
	for (int i = 0; i < 60000; i++)
		n += rig_frame_bytes(b + n, (i == 0 ? WS_OP_TEXT : 0) |
		    (i == 59999 ? WS_FIN : 0), "z", 1);
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send(&client, b, n));
	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.n, 60000);
	assert_memory_equal(f.p, want, f.n);
	free(b);
	free(want);
}

/* Sends one close frame; what comes back. */
static uint16_t
answer_to_close(const void *p, size_t n)
{
	struct rig_frame f;

	rig_dial(&rig, &plain, &client);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_CLOSE, p, n));
	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_CLOSE);
	rig_expect_eof(&client);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	return f.code;
}

static void
close_codes_follow_the_rules(void **state)
{
	static const uint16_t good[] = { 1000, 1001, 1002, 1003, 1007, 1008,
	    1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999 };
	static const uint16_t bad[] = { 0, 999, 1004, 1005, 1006, 1015, 1016,
	    1100, 2000, 2999, 5000, 65535 };
	uint8_t p[125];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		p[0] = (uint8_t)(good[i] >> 8);
		p[1] = (uint8_t)good[i];
		assert_int_equal(answer_to_close(p, 2), good[i]);
		assert_int_equal(rig.close_code, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		p[0] = (uint8_t)(bad[i] >> 8);
		p[1] = (uint8_t)bad[i];
		assert_int_equal(answer_to_close(p, 2), 1002);
		assert_int_equal(rig.close_code, 1002);
	}
	assert_int_equal(answer_to_close(NULL, 0), 1005);
	assert_int_equal(answer_to_close("\x03", 1), 1002);
	memset(p, 'r', sizeof(p));
	p[0] = 3;
	p[1] = 0xe8;
	assert_int_equal(answer_to_close(p, 125), 1000);
	p[124] = 0xc3;			/* half a character */
	assert_int_equal(answer_to_close(p, 125), 1007);
}

static uint16_t
fails_with(const void *p, size_t n)
{
	struct rig_frame f;

	rig_dial(&rig, &plain, &client);
	(void)rig_send(&client, p, n);
	do
		assert_true(rig_frame(&client, &f));
	while ((f.first_byte & 15u) != WS_OP_CLOSE);
	rig_expect_eof(&client);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	return f.code;
}

static void
broken_frames_fail_the_connection(void **state)
{
	uint8_t b[64];
	size_t n;

	(void)state;
	assert_int_equal(fails_with("\x81\x05hello", 7), 1002);
	assert_int_equal(fails_with("\x83\x80\0\0\0\0", 6), 1002);
	assert_int_equal(fails_with("\x91\x80\0\0\0\0", 6), 1002);
	assert_int_equal(fails_with("\xc1\x80\0\0\0\0", 6), 1002);
	assert_int_equal(fails_with("\x80\x80\0\0\0\0", 6), 1002);
	assert_int_equal(fails_with("\x09\x80\0\0\0\0", 6), 1002);
	assert_int_equal(fails_with("\x89\xfe\0\x7e", 4), 1002);
	assert_int_equal(fails_with("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff",
	    10), 1009);
	n = rig_frame_bytes(b, WS_OP_TEXT, "a", 1);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "b", 1);
	assert_int_equal(fails_with(b, n), 1002);
	assert_true(atomic_load(&rig.counters.protocol_errors) >= 9);
}

/* RFC 3629, and RFC 6455 8.1: as soon as it is seen. */
static void
text_fails_inside_its_frame(void **state)
{
	uint8_t head[WS_HEADER_MAX];

	(void)state;
	rig_dial(&rig, &plain, &client);
	/* 1,000 bytes are announced, the third is wrong, no more come. */
	assert_int_equal(ws_encode_header(head, WS_FIN | WS_OP_TEXT, 1000,
	    (const uint8_t *)"\0\0\0\0"), 8);
	assert_true(rig_send(&client, head, 8));
	assert_true(rig_send(&client, "ok\xff", 3));
	rig_expect_close(&client, 1007);
	rig_expect_eof(&client);
}

static void
what_came_before_an_error_is_answered_first(void **state)
{
	uint8_t b[256];
	size_t n = 0;

	(void)state;
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "one", 3);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_PING, "two", 3);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "three", 5);
	memcpy(b + n, "\xff\xff", 2);
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send(&client, b, n + 2));
	rig_expect_text(&client, "one");
	expect_frame(WS_FIN | WS_OP_PONG, "two");
	rig_expect_text(&client, "three");
	rig_expect_close(&client, 1002);
	rig_expect_eof(&client);
	assert_int_equal(rig.close_code, 1002);
}

static void
messages_are_limited_before_they_are_kept(void **state)
{
	uint8_t *b = calloc(1, 160000);
	size_t n;

	(void)state;
	assert_non_null(b);
	n = rig_frame_bytes(b, WS_FIN | WS_OP_BINARY, b + 80000, 65536);
	rig_dial(&rig, &plain, &client);
	assert_true(rig_send(&client, b, n));
	{
		struct rig_frame f;

		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.n, 65536);
	}
	rig_hang_up(&client);
	rig_wait_empty(&rig);
	/* One more, by its header alone; and as a sum of fragments. */
	assert_int_equal(fails_with("\x82\xff\0\0\0\0\0\1\0\1\0\0\0\0", 14),
	    1009);
	memset(b, 0, 80000);
	n = rig_frame_bytes(b, WS_OP_BINARY, b + 80000, 1000);
	memcpy(b + n, "\x80\xff\0\0\0\0\0\1\0\0\0\0\0\0", 14);
	assert_int_equal(fails_with(b, n + 14), 1009);
	free(b);
}

/* ---- permessage-deflate ------------------------------------------------- */

static size_t
deflated(const void *p, size_t n, uint8_t *to, size_t cap)
{
	struct deflate_input in = { .p = p, .n = n, .window_bits = 15 };
	struct outbuf out = { .p = to, .cap = cap };
	struct deflater *d = NULL;

	assert_int_equal(deflater_new(&d), 0);
	assert_int_equal(deflate_message(d, &in, &out), 0);
	deflater_free(&d);
	return out.n;
}

struct collected {
	struct inflate_sink sink;
	size_t n;
	char text[70000];
};

static int
collect(struct inflate_sink *sink, uint8_t *p, size_t n)
{
	struct collected *c = CT_CONTAINER(sink, struct collected, sink);

	assert_true(c->n + n < sizeof(c->text));
	memcpy(c->text + c->n, p, n);
	c->n += n;
	c->text[c->n] = '\0';
	return 0;
}

static void
inflate_and_compare(const struct rig_frame *f, const char *want)
{
	static struct collected c;
	struct inflater *i = NULL;

	c = (struct collected){ .sink = { .put = collect,
	    .limit = sizeof(c.text) - 1 } };
	assert_int_equal(inflater_new(&i), 0);
	assert_int_equal(inflate_message(i, f->p, f->n, &c.sink), 0);
	inflater_free(&i);
	assert_string_equal(c.text, want);
}

static char long_text[600];

static void
check_deflated(void)
{
	struct rig_frame f;

	assert_true(client.deflate);
	for (int i = 0; i < 2; i++) {
		assert_true(rig_frame(&client, &f));
		assert_int_equal(f.first_byte, WS_FIN | WS_RSV1 | WS_OP_TEXT);
		assert_true(f.n < 100);
		inflate_and_compare(&f, long_text);
	}
	rig_expect_text(&client, "short");
}

static void
deflated_messages_in_whole_and_in_fragments(void **state)
{
	uint8_t b[2048], z[600];
	size_t n = 0, zn;

	(void)state;
	memset(long_text, 'l', sizeof(long_text) - 1);
	zn = deflated(long_text, strlen(long_text), z, sizeof(z));
	n += rig_frame_bytes(b + n, WS_FIN | WS_RSV1 | WS_OP_TEXT, z, zn);
	n += rig_frame_bytes(b + n, WS_RSV1 | WS_OP_TEXT, z, 2);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_PONG, "", 0);
	n += rig_frame_bytes(b + n, WS_OP_CONTINUATION, z + 2, zn - 2);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_CONTINUATION, "", 0);
	n += rig_frame_bytes(b + n, WS_FIN | WS_OP_TEXT, "short", 5);
	twice(b, n, &deflating, check_deflated);
}

#define BOMBS 100
#define BOMB_SIZE 60000

static void
count_bomb(struct rig *r, struct channel *c, uint8_t *p, size_t n, bool text)
{
	(void)c;
	assert_false(text);
	assert_int_equal(n, BOMB_SIZE);
	assert_int_equal(p[0], r->messages - 1);
	assert_int_equal(p[n - 1], p[0]);
}

/* One device's 10 KB that are 6 MB must not hold up its worker. */
static void
what_expands_a_lot_leaves_others_their_turn(void **state)
{
	static uint8_t big[BOMB_SIZE], wire[BOMBS * 200], z[200];
	unsigned before, most = 0;
	size_t n = 0, zn;

	(void)state;
	rig.on_message = count_bomb;
	rig_dial(&rig, &deflating, &client);
	for (int i = 0; i < BOMBS; i++) {
		memset(big, i, sizeof(big));
		zn = deflated(big, sizeof(big), z, sizeof(z));
		n += rig_frame_bytes(wire + n, WS_FIN | WS_RSV1 |
		    WS_OP_BINARY, z, zn);
	}
	rig.messages = 0;
	assert_int_equal(send(client.fd, wire, n, 0), n);
	for (int i = 0; i < 1000 && rig.messages < BOMBS; i++) {
		before = rig.messages;
		rig_turn(&rig);
		if (rig.messages - before > most)
			most = rig.messages - before;
	}
	assert_int_equal(rig.messages, BOMBS);
	/* A wake-up and the held rest may fall into one turn. */
	assert_true(most <= 2 * (INFLATE_AT_ONCE / BOMB_SIZE + 1));
	assert_int_equal(rig_channels(&rig), 1);
}

static void
what_does_not_shrink_is_sent_as_it_is(void **state)
{
	uint8_t noise[2000];
	unsigned seed = 7;
	struct rig_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++) {
		seed = seed * 1103515245u + 12345u;
		noise[i] = (uint8_t)(seed >> 16);
	}
	rig_dial(&rig, &deflating, &client);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_BINARY, noise,
	    sizeof(noise)));
	assert_true(rig_frame(&client, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_BINARY);
	assert_int_equal(f.n, sizeof(noise));
	assert_memory_equal(f.p, noise, f.n);
}

static void
deflate_fails(const uint8_t *z, size_t zn, unsigned first_byte, uint16_t code)
{
	rig_dial(&rig, &deflating, &client);
	assert_true(rig_send_frame(&client, first_byte, z, zn));
	rig_expect_close(&client, code);
	rig_expect_eof(&client);
	rig_hang_up(&client);
	rig_wait_empty(&rig);
}

static void
bombs_garbage_and_bad_text_are_refused(void **state)
{
	uint8_t *big = calloc(1, 65537), z[1000];
	size_t zn;

	(void)state;
	assert_non_null(big);
	zn = deflated(big, 65537, z, sizeof(z));
	deflate_fails(z, zn, WS_FIN | WS_RSV1 | WS_OP_BINARY, 1009);
	assert_int_equal(atomic_load(&rig.counters.too_big), 1);
	deflate_fails((const uint8_t *)"\xff\xff\xff\xff", 4,
	    WS_FIN | WS_RSV1 | WS_OP_BINARY, 1002);
	zn = deflated("\xc3(", 2, z, sizeof(z));
	deflate_fails(z, zn, WS_FIN | WS_RSV1 | WS_OP_TEXT, 1007);
	free(big);
}

/* What a stranger may send is bounded as it is meant, not as it is packed. */
static void
a_stranger_cannot_inflate_more_than_it_may_send(void **state)
{
	uint8_t *big = calloc(1, 60000), z[1000];
	size_t zn;

	(void)state;
	assert_non_null(big);
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.anonymous = false;
	zn = deflated(big, 60000, z, sizeof(z));
	deflate_fails(z, zn, WS_FIN | WS_RSV1 | WS_OP_BINARY, 1009);
	assert_int_equal(rig.messages, 0);
	free(big);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(fragments_with_control_frames_between_are_one_message),
		T(empty_fragments_and_messages_are_fine),
		T(sixty_thousand_fragments_are_one_message),
		T(close_codes_follow_the_rules),
		T(broken_frames_fail_the_connection),
		T(text_fails_inside_its_frame),
		T(what_came_before_an_error_is_answered_first),
		T(messages_are_limited_before_they_are_kept),
		T(deflated_messages_in_whole_and_in_fragments),
		T(what_expands_a_lot_leaves_others_their_turn),
		T(what_does_not_shrink_is_sent_as_it_is),
		T(bombs_garbage_and_bad_text_are_refused),
		T(a_stranger_cannot_inflate_more_than_it_may_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
