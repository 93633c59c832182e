/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames, RFC 6455 section 5.  Every case is fed whole, byte by byte and cut at
 * random; what comes out, put together, must be the same each time.
 */
#include "wire/ws_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

_Static_assert(sizeof(struct ws_parser) <= 48, "one for every idle channel");

#define STREAM_MAX 8192

/* What a stream yielded, put together so that cuts do not show: for each frame
 * a line of facts and its payload, and at last how it failed. */
struct trace {
	size_t n;
	unsigned pieces;
	bool in_frame;			/* the last frame was not at its end */
	uint16_t close_code;		/* 0: did not fail */
	const char *reason;
	char text[STREAM_MAX * 8];
};

struct stream {
	size_t n;
	uint8_t p[STREAM_MAX];
};

static const struct ws_rules server = { .max_message = 100000,
    .from_client = true };
static const struct ws_rules server_deflate = { .max_message = 100000,
    .from_client = true, .deflate = true };
static const struct ws_rules client = { .max_message = 100000 };

static void __attribute__((format(printf, 2, 3)))
note(struct trace *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->text + t->n, sizeof t->text - t->n, fmt, ap);
	va_end(ap);
	assert_in_range(n, 0, sizeof t->text - t->n - 1);
	t->n += (size_t)n;
}

static void
note_piece(struct trace *t, const struct ws_piece *p)
{
	size_t i;

	t->pieces++;
	assert_int_not_equal(p->opcode, 0);
	assert_int_equal(p->control, p->opcode >= 8);
	assert_int_equal(p->frame_end, p->left == 0);
	assert_int_equal(p->close_code, 0);
	if (!t->in_frame) {
		note(t, "\n%u%s%s%llu:", p->opcode,
		    p->first ? "!" : "+", p->compressed ? "z" : "",
		    (unsigned long long)(p->left + p->len));
	} else {
		assert_false(p->first);
	}
	for (i = 0; i < p->len; i++)
		note(t, "%02x", p->data[i]);
	t->in_frame = !p->frame_end;
	if (p->last)
		note(t, ".");
}

/* Feeds s in steps: 0 = all at once, 1 = byte by byte, else at random. */
static void
run(const struct stream *s, const struct ws_rules *rules, unsigned steps,
    struct trace *t)
{
	struct ws_parser w = { 0 };
	struct ws_piece piece;
	struct ws_input in;
	enum ws_result r = WS_MORE;
	uint8_t *copy;
	size_t at = 0, n;

	memset(t, 0, offsetof(struct trace, text));
	t->text[0] = '\0';
	while (at < s->n && r != WS_FAIL) {
		n = steps == 0 ? s->n : steps == 1 ? 1 :
		    1 + (size_t)random() % steps;
		if (n > s->n - at)
			n = s->n - at;
		/* A block of its own, so that overreads are found. */
		copy = malloc(n);
		assert_non_null(copy);
		memcpy(copy, s->p + at, n);
		in.p = copy;
		in.n = n;
		while ((r = ws_parse(&w, rules, &in, &piece)) == WS_PIECE) {
			assert_true(piece.data >= copy);
			assert_true(piece.data + piece.len <= copy + n);
			note_piece(t, &piece);
		}
		if (r == WS_MORE)
			assert_int_equal(in.n, 0);
		assert_true(ws_parser_sane(&w));
		free(copy);
		at += n;
	}
	if (r == WS_FAIL) {
		t->close_code = piece.close_code;
		t->reason = piece.reason;
		in.n = 0;
		in.p = NULL;
		assert_int_equal(ws_parse(&w, rules, &in, &piece), WS_FAIL);
		assert_int_equal(piece.close_code, t->close_code);
	}
}

/* All ways of feeding; *t is of the whole one. */
static void
feed(const struct stream *s, const struct ws_rules *rules, struct trace *t)
{
	static struct trace other;
	unsigned steps;

	run(s, rules, 0, t);
	for (steps = 1; steps <= 40; steps += 13) {
		run(s, rules, steps, &other);
		assert_string_equal(other.text, t->text);
		assert_int_equal(other.close_code, t->close_code);
		assert_ptr_equal(other.reason, t->reason);
		assert_int_equal(other.in_frame, t->in_frame);
	}
}

static void
add_frame(struct stream *s, unsigned first_byte, const void *p, size_t n,
    bool masked)
{
	const uint8_t mask[4] = { 0xa1, 0x02, 0xf3, 0x54 };
	size_t h;

	assert_true(s->n + n + WS_HEADER_MAX <= sizeof s->p);
	h = ws_encode_header(s->p + s->n, first_byte, n, masked ? mask : NULL);
	s->n += h;
	if (n > 0)
		memcpy(s->p + s->n, p, n);
	if (masked)
		ws_mask(s->p + s->n, n, mask, 0);
	s->n += n;
}

static void
add(struct stream *s, unsigned first_byte, const char *text)
{
	add_frame(s, first_byte, text, strlen(text), true);
}

static void
add_raw(struct stream *s, const void *p, size_t n)
{
	memcpy(s->p + s->n, p, n);
	s->n += n;
}

static void
expect(const struct stream *s, const struct ws_rules *rules, const char *text,
    unsigned code)
{
	static struct trace t;

	feed(s, rules, &t);
	assert_string_equal(t.text, text);
	assert_int_equal(t.close_code, code);
}

#define TEXT (WS_FIN | WS_OP_TEXT)
#define PING (WS_FIN | WS_OP_PING)

static void
the_example_of_the_rfc_is_read(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add_raw(&s, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
	expect(&s, &server, "\n1!5:48656c6c6f.", 0);
	s.n = 0;
	add_raw(&s, "\x81\x05Hello", 7);
	expect(&s, &client, "\n1!5:48656c6c6f.", 0);
}

static void
a_whole_frame_is_exactly_one_piece_inside_the_input(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 125, 126, 127, 4000 };
	static struct trace t;
	struct stream s;
	uint8_t p[4000];
	size_t i;

	(void)state;
	memset(p, 'x', sizeof p);
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		s.n = 0;
		add_frame(&s, TEXT, p, sizes[i], true);
		run(&s, &server, 0, &t);
		assert_int_equal(t.pieces, 1);
	}
	s.n = 0;
	for (i = 0; i < 10; i++)
		add_frame(&s, TEXT, p, i, true);
	run(&s, &server, 0, &t);
	assert_int_equal(t.pieces, 10);
}

static void
fragments_keep_the_opcode_of_their_message(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add(&s, WS_OP_BINARY, "a");
	add(&s, WS_OP_CONTINUATION, "");
	add(&s, WS_FIN | WS_OP_CONTINUATION, "b");
	add(&s, TEXT, "");
	expect(&s, &server, "\n2!1:61\n2+0:\n2+1:62.\n1!0:.", 0);
}

static void
control_frames_come_between_fragments(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add(&s, WS_OP_TEXT, "a\xc3");
	add(&s, PING, "\xff!");
	add(&s, WS_FIN | WS_OP_PONG, "");
	add(&s, WS_FIN | WS_OP_CONTINUATION, "\xa9");
	add(&s, WS_FIN | WS_OP_CLOSE, "\x03\xe8");
	expect(&s, &server,
	    "\n1!2:61c3\n9!2:ff21.\n10!0:.\n1+1:a9.\n8!2:03e8.", 0);
}

/* first_byte of a frame that fails after a good one. */
static void
expect_bad_frame(unsigned first_byte, const struct ws_rules *rules)
{
	struct stream s = { 0 };

	add(&s, TEXT, "ok");
	add(&s, first_byte, "x");
	add(&s, TEXT, "never seen");
	expect(&s, rules, "\n1!2:6f6b.", 1002);
}

static void
close_1002_on_a_reserved_bit(void **state)
{
	(void)state;
	expect_bad_frame(TEXT | 0x40, &server);
	expect_bad_frame(TEXT | 0x20, &server_deflate);
	expect_bad_frame(TEXT | 0x10, &server_deflate);
	expect_bad_frame(TEXT | 0x70, &server_deflate);
	expect_bad_frame(PING | 0x40, &server_deflate);
	expect_bad_frame(PING | 0x10, &server);
}

static void
close_1002_on_rsv1_of_a_continuation(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add(&s, WS_OP_TEXT | WS_RSV1, "a");
	add(&s, WS_FIN | WS_RSV1 | WS_OP_CONTINUATION, "b");
	expect(&s, &server_deflate, "\n1!z1:61", 1002);
}

static void
close_1002_on_a_reserved_opcode(void **state)
{
	unsigned op;

	(void)state;
	for (op = 3; op < 16; op++) {
		if (op < 8 || op > 10) {
			expect_bad_frame(WS_FIN | op, &server);
			expect_bad_frame(op, &server);
		}
	}
}

static void
close_1002_on_a_fragmented_control_frame(void **state)
{
	(void)state;
	expect_bad_frame(WS_OP_PING, &server);
	expect_bad_frame(WS_OP_PONG, &server);
	expect_bad_frame(WS_OP_CLOSE, &server);
}

static void
close_1002_on_a_control_frame_over_125_bytes(void **state)
{
	struct stream s = { 0 };
	uint8_t p[126] = { 0 };

	(void)state;
	add_frame(&s, PING, p, 126, true);
	expect(&s, &server, "", 1002);
	/* It is known from the second byte. */
	s.n = 2;
	expect(&s, &server, "", 1002);
}

static void
close_1002_on_a_continuation_of_nothing(void **state)
{
	(void)state;
	expect_bad_frame(WS_OP_CONTINUATION, &server);
	expect_bad_frame(WS_FIN | WS_OP_CONTINUATION, &server);
}

static void
close_1002_on_a_message_inside_a_message(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add(&s, WS_OP_TEXT, "a");
	add(&s, TEXT, "b");
	expect(&s, &server, "\n1!1:61", 1002);
}

static void
close_1002_on_the_wrong_masking(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add_frame(&s, TEXT, "a", 1, false);
	expect(&s, &server, "", 1002);
	s.n = 0;
	add_frame(&s, TEXT, "a", 1, true);
	expect(&s, &client, "", 1002);
}

static void
close_1002_on_a_length_that_is_not_minimal(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add_raw(&s, "\x82\x7e\x00\x7d", 4);
	expect(&s, &client, "", 1002);
	s.n = 0;
	add_raw(&s, "\x82\x7f\0\0\0\0\0\0\xff\xff", 10);
	expect(&s, &client, "", 1002);
	s.n = 0;
	add_raw(&s, "\x82\x7e\x00\x7e", 4);
	expect(&s, &client, "", 0);
}

static void
close_1002_on_a_length_of_64_bits(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add_raw(&s, "\x82\x7f\x80", 3);
	expect(&s, &client, "", 1002);
}

static void
close_1009_at_the_header_that_exceeds_the_limit(void **state)
{
	struct ws_rules rules = { .max_message = 10, .from_client = true };
	struct stream s = { 0 };
	uint8_t p[200] = { 0 };

	(void)state;
	add(&s, WS_OP_BINARY, "12345");
	add(&s, PING, "a ping has no part in it");
	add(&s, WS_FIN | WS_OP_CONTINUATION, "67890");
	add_frame(&s, WS_FIN | WS_OP_BINARY, p, 11, true);
	s.n -= 11 + 4;
	expect(&s, &rules, "\n2!5:3132333435\n9!24:612070696e6720686173206e"
	    "6f207061727420696e206974.\n2+5:3637383930.", 1009);
	s.n = 0;
	add(&s, WS_OP_BINARY, "12345");
	add(&s, WS_OP_CONTINUATION, "678901");
	expect(&s, &rules, "\n2!5:3132333435", 1009);
	s.n = 0;
	add_raw(&s, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
	expect(&s, &rules, "", 1009);
	rules.max_message = UINT64_MAX;
	expect(&s, &rules, "", 0);
	/* Compressed data may be a little bigger than what it expands to. */
	rules.max_message = 10;
	rules.deflate = true;
	s.n = 0;
	add_frame(&s, WS_FIN | WS_RSV1 | WS_OP_BINARY, p, 76, true);
	add(&s, PING, "");
	add_frame(&s, WS_FIN | WS_RSV1 | WS_OP_BINARY, p, 75, true);
	expect(&s, &rules, "", 1009);
}

/* Autobahn 6.4.3: one frame whose text goes wrong in its middle. */
static void
close_1007_at_the_first_impossible_byte_inside_a_frame(void **state)
{
	struct ws_parser w = { 0 };
	struct ws_piece piece;
	struct ws_input in;
	struct stream s = { 0 };

	(void)state;
	add(&s, TEXT, "\xce\xba\xf4\x90\x80\x80\xed");
	expect(&s, &server, "\n1!7:cebaf4", 1007);
	in.p = s.p;
	in.n = 6 + 4;
	assert_int_equal(ws_parse(&w, &server, &in, &piece), WS_PIECE);
	assert_int_equal(piece.len, 3);
	assert_int_equal(ws_parse(&w, &server, &in, &piece), WS_FAIL);
	assert_int_equal(piece.close_code, 1007);
}

static void
close_1007_when_a_text_ends_inside_a_character(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add(&s, TEXT, "a\xe2\x82");
	expect(&s, &server, "\n1!3:61e2", 1007);
	s.n = 0;
	add(&s, TEXT, "\xe2");
	expect(&s, &server, "", 1007);
	s.n = 0;
	add(&s, WS_OP_TEXT, "a\xe2");
	add(&s, WS_OP_CONTINUATION, "\x82");
	add(&s, WS_FIN | WS_OP_CONTINUATION, "");
	expect(&s, &server, "\n1!2:61e2\n1+1:82", 1007);
}

static void
utf8_is_only_asked_of_text_that_is_not_compressed(void **state)
{
	struct stream s = { 0 };

	(void)state;
	add(&s, WS_FIN | WS_OP_BINARY, "\xff");
	add(&s, WS_OP_TEXT | WS_RSV1, "\xff");
	add(&s, WS_FIN | WS_OP_CONTINUATION, "\xfe");
	add(&s, PING, "\xfd");
	expect(&s, &server_deflate,
	    "\n2!1:ff.\n1!z1:ff\n1+z1:fe.\n9!1:fd.", 0);
	s.n = 0;
	/* A new message starts with nothing left of the last. */
	add(&s, WS_FIN | WS_OP_TEXT | WS_RSV1, "\xc3");
	add(&s, TEXT, "\xc3\xa9");
	expect(&s, &server_deflate, "\n1!z1:c3.\n1!2:c3a9.", 0);
}

static void
a_half_received_stream_moves_as_plain_bytes(void **state)
{
	struct ws_parser a = { 0 }, b;
	struct stream s = { 0 };
	struct ws_piece piece;
	struct ws_input in;
	uint8_t bytes[sizeof a];
	char got[32] = "";
	size_t i;

	(void)state;
	add(&s, WS_OP_TEXT, "h\xc3");
	add(&s, WS_FIN | WS_OP_CONTINUATION, "\xa9!");
	for (i = 0; i < s.n; i++) {
		in.p = s.p + i;
		in.n = 1;
		if (ws_parse(&a, &server, &in, &piece) == WS_PIECE)
			strncat(got, (char *)piece.data, piece.len);
		memcpy(bytes, &a, sizeof a);
		memset(&a, 0xee, sizeof a);
		assert_false(ws_parser_sane(&a));
		memcpy(&b, bytes, sizeof b);
		assert_true(ws_parser_sane(&b));
		a = b;
	}
	assert_string_equal(got, "h\xc3\xa9!");
}

static void
headers_are_encoded_in_their_shortest_form(void **state)
{
	static const struct {
		uint64_t len;
		size_t size;
	} cases[] = { { 0, 2 }, { 125, 2 }, { 126, 4 }, { 65535, 4 },
	    { 65536, 10 }, { INT64_MAX, 10 } };
	static const uint8_t mask[4] = { 0, 0, 0, 0 };
	struct ws_rules rules = { .max_message = UINT64_MAX,
	    .from_client = true };
	struct ws_parser w;
	struct ws_piece piece;
	struct ws_input in;
	uint8_t to[WS_HEADER_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(ws_encode_header(to, 0x82, cases[i].len,
		    NULL), cases[i].size);
		in.n = ws_encode_header(to, 0x82, cases[i].len, mask);
		assert_int_equal(in.n, cases[i].size + 4);
		in.p = to;
		to[in.n] = 'x';
		if (cases[i].len > 0)
			in.n++;
		memset(&w, 0, sizeof w);
		assert_int_equal(ws_parse(&w, &rules, &in, &piece), WS_PIECE);
		assert_int_equal(piece.left + piece.len, cases[i].len);
	}
}

static void
masking_is_the_same_in_parts_of_any_size(void **state)
{
	static const uint8_t mask[4] = { 1, 2, 0xfe, 0x80 };
	uint8_t a[300], b[300];
	size_t i, n, at;
	int round;

	(void)state;
	for (round = 0; round < 1000; round++) {
		for (i = 0; i < sizeof a; i++)
			a[i] = b[i] = (uint8_t)random();
		for (i = 0; i < sizeof a; i++)
			a[i] ^= mask[i & 3];
		for (at = 0; at < sizeof b; at += n) {
			n = (size_t)random() % 80;
			if (n > sizeof b - at)
				n = sizeof b - at;
			ws_mask(b + at, n, mask, at);
		}
		assert_memory_equal(a, b, sizeof a);
	}
}

static void
add_random_frame(struct stream *s, bool masked, bool *open)
{
	static const unsigned wrong[] = { 0x83, 0x8b, 0xc9, 0x91, 0xa1, 0x09 };
	static const char *const texts[] = { "plain", "\xc3\xa9", "\xe2\x82",
	    "\xac", "\xf0\x9f\x98\x80", "", "\xed\xa0", "\xff" };
	unsigned first, kind = (unsigned)random() % 100;
	char p[400];
	size_t n = 0;

	/* Mostly right texts, so that streams live for some frames. */
	do {
		const char *t = texts[(size_t)random() %
		    (random() % 20 ? 2 : 8)];
		memcpy(p + n, t, strlen(t));
		n += strlen(t);
	} while (n < 300 && random() % 8);
	if (kind < 20) {
		first = PING + (unsigned)random() % 2;
		n = n > 125 ? 125 : n;
	} else if (kind < 22) {
		first = wrong[(size_t)random() % 6];
	} else if (kind < 24) {
		first = (unsigned)random() % 256;
	} else {
		first = *open ? WS_OP_CONTINUATION :
		    (unsigned)(1 + random() % 2);
		if (!*open && random() % 4 == 0)
			first |= WS_RSV1;
		*open = random() % 3 != 0;
		if (!*open)
			first |= WS_FIN;
	}
	add_frame(s, first, p, n, masked ^ (random() % 200 == 0));
}

static void
random_streams_give_the_same_however_they_are_cut(void **state)
{
	static struct trace t;
	static struct stream s;
	struct ws_rules rules;
	unsigned failed = 0, frames, round;
	bool open;

	(void)state;
	srandom(2);
	for (round = 0; round < 4000; round++) {
		rules = (struct ws_rules){ .from_client = random() % 2,
		    .deflate = random() % 4 != 0,
		    .max_message = 100u + (unsigned)random() % 3000 };
		s.n = 0;
		open = false;
		for (frames = 1 + (unsigned)random() % 8; frames > 0; frames--)
			add_random_frame(&s, rules.from_client, &open);
		if (random() % 10 == 0)
			s.p[(size_t)random() % s.n] ^= (uint8_t)random();
		if (random() % 10 == 0)
			s.n = (size_t)random() % s.n;
		feed(&s, &rules, &t);
		failed += t.close_code != 0;
	}
	/* The generator is of use only if it makes both kinds. */
	assert_in_range(failed, 800, 3200);
}

/* 4 MiB in fragments of 64 bytes: the work is counted by calls. */
static void
many_small_fragments_cost_one_call_each(void **state)
{
	struct ws_rules rules = { .max_message = 4 << 20,
	    .from_client = true };
	struct ws_parser w = { 0 };
	struct ws_piece piece;
	struct ws_input in;
	struct stream s;
	uint8_t p[64];
	uint64_t total = 0;
	unsigned i, calls = 0;

	(void)state;
	memset(p, 'y', sizeof p);
	for (i = 0; i < 65536; i++) {
		s.n = 0;
		add_frame(&s, (i == 0 ? WS_OP_TEXT : 0u) |
		    (i == 65535 ? WS_FIN : 0), p, sizeof p, true);
		in.p = s.p;
		in.n = s.n;
		while (ws_parse(&w, &rules, &in, &piece) == WS_PIECE) {
			total += piece.len;
			calls++;
		}
	}
	assert_int_equal(total, 4 << 20);
	assert_int_equal(calls, 65536);
	assert_true(piece.last);
}

#define T(x) cmocka_unit_test(x)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_example_of_the_rfc_is_read),
		T(a_whole_frame_is_exactly_one_piece_inside_the_input),
		T(fragments_keep_the_opcode_of_their_message),
		T(control_frames_come_between_fragments),
		T(close_1002_on_a_reserved_bit),
		T(close_1002_on_rsv1_of_a_continuation),
		T(close_1002_on_a_reserved_opcode),
		T(close_1002_on_a_fragmented_control_frame),
		T(close_1002_on_a_control_frame_over_125_bytes),
		T(close_1002_on_a_continuation_of_nothing),
		T(close_1002_on_a_message_inside_a_message),
		T(close_1002_on_the_wrong_masking),
		T(close_1002_on_a_length_that_is_not_minimal),
		T(close_1002_on_a_length_of_64_bits),
		T(close_1009_at_the_header_that_exceeds_the_limit),
		T(close_1007_at_the_first_impossible_byte_inside_a_frame),
		T(close_1007_when_a_text_ends_inside_a_character),
		T(utf8_is_only_asked_of_text_that_is_not_compressed),
		T(a_half_received_stream_moves_as_plain_bytes),
		T(headers_are_encoded_in_their_shortest_form),
		T(masking_is_the_same_in_parts_of_any_size),
		T(random_streams_give_the_same_however_they_are_cut),
		T(many_small_fragments_cost_one_call_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
