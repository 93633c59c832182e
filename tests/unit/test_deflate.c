/* SPDX-License-Identifier: Apache-2.0 */
/* permessage-deflate's transforms, RFC 7692 section 7.2. */
#include "wire/deflate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define BIG (300u * 1024)

struct collect {
	struct inflate_sink sink;
	size_t n;
	unsigned calls;
	int error;			/* to return at the second call */
	uint8_t p[BIG];
};

static struct collect got;
static struct deflater *deflater;
static struct inflater *inflater;

static int
put(struct inflate_sink *sink, uint8_t *p, size_t n)
{
	struct collect *c = (struct collect *)sink;

	assert_true(n > 0 && n <= INFLATE_CHUNK);
	assert_true(n <= sizeof c->p - c->n);
	memcpy(c->p + c->n, p, n);
	c->n += n;
	return ++c->calls > 1 ? c->error : 0;
}

static int
inflate_all(const void *p, size_t n, uint64_t limit)
{
	got.sink = (struct inflate_sink){ .put = put, .limit = limit };
	got.n = got.calls = 0;
	return inflate_message(inflater, p, n, &got.sink);
}

static int
deflate_all(const void *p, size_t n, unsigned bits, struct outbuf *out)
{
	struct deflate_input in = { .p = p, .n = n, .window_bits = bits };

	return deflate_message(deflater, &in, out);
}

static int
setup(void **state)
{
	(void)state;
	return deflater_new(&deflater) || inflater_new(&inflater);
}

static int
teardown(void **state)
{
	(void)state;
	deflater_free(&deflater);
	inflater_free(&inflater);
	assert_null(deflater);
	assert_null(inflater);
	deflater_free(&deflater);
	inflater_free(&inflater);
	return 0;
}

/* kind 0: one byte; 1: text-like; else noise. */
static void
fill(uint8_t *p, size_t n, int kind)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = kind == 0 ? 'a' : kind == 1 ?
		    (uint8_t)"{\"temp\":12.5,\"id\":\"abc\"},"[
		    (i + (size_t)(random() % 8 == 0)) % 25] :
		    (uint8_t)random();
}

static void
messages_come_back_for_every_window_size_and_length(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 63, 64, 249, 250, 251, 511,
	    512, 3000, 4096, 32768, 65535, 65536, 65537, 200000, BIG };
	static uint8_t in[BIG], room[BIG + BIG / 4];
	struct outbuf out;
	unsigned bits;
	size_t i;
	int kind;

	(void)state;
	for (kind = 0; kind < 3; kind++) {
		fill(in, sizeof in, kind);
		for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			for (bits = 9; bits <= 15; bits++) {
				out = (struct outbuf){ .p = room,
				    .cap = sizeof room };
				assert_int_equal(deflate_all(in, sizes[i],
				    bits, &out), 0);
				assert_int_equal(inflate_all(room, out.n,
				    sizes[i]), 0);
				assert_int_equal(got.n, sizes[i]);
				assert_memory_equal(got.p, in, got.n);
			}
		}
	}
}

static void
the_examples_of_the_rfc_are_read(void **state)
{
	(void)state;
	/* 7.2.3.1, one block; 7.2.3.3 stored; 7.2.3.4 final; 7.2.3.5 two */
	assert_int_equal(inflate_all("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 99), 0);
	assert_memory_equal(got.p, "Hello", 5);
	assert_int_equal(inflate_all("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f"
	    "\x00", 11, 99), 0);
	assert_int_equal(got.n, 5);
	assert_int_equal(inflate_all("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8,
	    99), 0);
	assert_int_equal(got.n, 5);
	assert_memory_equal(got.p, "Hello", 5);
	assert_int_equal(inflate_all("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9"
	    "\xc9\x07\x00", 13, 99), 0);
	assert_int_equal(got.n, 5);
	assert_int_equal(got.calls, 1);
	assert_memory_equal(got.p, "Hello", 5);
}

static void
an_empty_message_is_one_byte(void **state)
{
	uint8_t room[64];
	struct outbuf out = { .p = room, .cap = sizeof room };

	(void)state;
	assert_int_equal(deflate_all(NULL, 0, 15, &out), 0);
	assert_int_equal(out.n, 1);
	assert_int_equal(room[0], 0);
	assert_int_equal(inflate_all(room, 1, 0), 0);
	assert_int_equal(got.n, 0);
	assert_int_equal(got.calls, 0);
	assert_int_equal(inflate_all("", 0, 0), 0);
}

static void
blocks_after_a_final_block_are_read(void **state)
{
	(void)state;
	/* Two messages of 7.2.3.4 in one, and one that ends with its BFINAL. */
	assert_int_equal(inflate_all("\xf3\x48\xcd\xc9\xc9\x07\x00"
	    "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 15, 99), 0);
	assert_int_equal(got.n, 10);
	assert_memory_equal(got.p, "HelloHello", 10);
	assert_int_equal(inflate_all("\xf3\x48\xcd\xc9\xc9\x07\x00", 7, 99),
	    0);
	assert_int_equal(got.n, 5);
}

static void
garbage_is_a_protocol_error(void **state)
{
	(void)state;
	/* A reserved block type, a wrong complement, garbage after BFINAL. */
	assert_int_equal(inflate_all("\x06", 1, 99), -EPROTO);
	assert_int_equal(inflate_all("\x00\x05\x00\x00\x00zzzzz\x00", 11, 99),
	    -EPROTO);
	assert_int_equal(inflate_all("\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff",
	    9, 99), -EPROTO);
	assert_int_equal(inflate_all("plain text", 10, 99), -EPROTO);
	/* The next message is not disturbed. */
	assert_int_equal(inflate_all("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 99), 0);
}

static void
a_message_that_was_cut_short_is_a_protocol_error(void **state)
{
	static uint8_t in[1000], room[1200];
	struct outbuf out = { .p = room, .cap = sizeof room };
	unsigned caught = 0;
	size_t i;

	(void)state;
	fill(in, sizeof in, 1);
	assert_int_equal(deflate_all(in, sizeof in, 15, &out), 0);
	for (i = 1; i < out.n; i++)
		caught += inflate_all(room, i, 5000) == -EPROTO;
	/* By chance a cut may look whole; it is rare. */
	assert_in_range(caught, (out.n - 1) * 9 / 10, out.n - 1);
}

static void
the_limit_is_exact_and_nothing_beyond_it_is_given(void **state)
{
	static uint8_t in[BIG], room[BIG];
	static const size_t sizes[] = { 1, 100, INFLATE_CHUNK - 1,
	    INFLATE_CHUNK, INFLATE_CHUNK + 1, BIG };
	struct outbuf out;
	size_t i;

	(void)state;
	fill(in, sizeof in, 0);
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		out = (struct outbuf){ .p = room, .cap = sizeof room };
		assert_int_equal(deflate_all(in, sizes[i], 15, &out), 0);
		assert_int_equal(inflate_all(room, out.n, sizes[i]), 0);
		assert_int_equal(inflate_all(room, out.n, sizes[i] - 1),
		    -EMSGSIZE);
		assert_true(got.n < sizes[i]);
		assert_int_equal(inflate_all(room, out.n, 0), -EMSGSIZE);
		assert_int_equal(got.n, 0);
	}
}

static void
a_message_up_to_a_chunk_comes_in_one_call(void **state)
{
	static uint8_t in[INFLATE_CHUNK + 1], room[INFLATE_CHUNK];
	struct outbuf out = { .p = room, .cap = sizeof room };

	(void)state;
	fill(in, sizeof in, 0);
	assert_int_equal(deflate_all(in, INFLATE_CHUNK, 15, &out), 0);
	assert_int_equal(inflate_all(room, out.n, BIG), 0);
	assert_int_equal(got.calls, 1);
	out.n = 0;
	assert_int_equal(deflate_all(in, sizeof in, 15, &out), 0);
	assert_int_equal(inflate_all(room, out.n, BIG), 0);
	assert_int_equal(got.calls, 2);
}

static void
an_error_of_the_sink_ends_the_message(void **state)
{
	static uint8_t in[BIG], room[BIG];
	struct outbuf out = { .p = room, .cap = sizeof room };

	(void)state;
	fill(in, sizeof in, 0);
	assert_int_equal(deflate_all(in, sizeof in, 15, &out), 0);
	got.error = -EILSEQ;
	assert_int_equal(inflate_all(room, out.n, BIG), -EILSEQ);
	got.error = 0;
	assert_int_equal(got.calls, 2);
	assert_int_equal(inflate_all(room, out.n, BIG), 0);
}

static void
too_little_room_leaves_the_output_as_it_was(void **state)
{
	uint8_t in[400], room[800];
	struct outbuf out = { .p = room, .n = 3, .cap = sizeof room };
	size_t need, cap;

	(void)state;
	fill(in, sizeof in, 1);
	assert_int_equal(deflate_all(in, sizeof in, 15, &out), 0);
	need = out.n + 4;
	for (cap = 3; cap < sizeof room; cap++) {
		out.n = 3;
		out.cap = cap;
		if (deflate_all(in, sizeof in, 15, &out) == 0) {
			assert_true(cap > need);
			assert_int_equal(out.n, need - 4);
		} else {
			assert_true(cap <= need);
			assert_int_equal(out.n, 3);
		}
	}
	fill(in, sizeof in, 2);
	out.n = 0;
	out.cap = sizeof in;
	assert_int_equal(deflate_all(in, sizeof in, 15, &out), -ENOBUFS);
}

static void
short_memory_is_an_error_and_no_leak(void **state)
{
	uint8_t in[2000], room[4000];
	struct outbuf out = { .p = room, .cap = sizeof room };
	struct deflater *d = NULL;
	struct inflater *f = NULL;
	unsigned long n;
	int r;

	(void)state;
	fill(in, sizeof in, 1);
	for (n = 1;; n++) {
		out.n = 0;
		(void)mem_fail_nth(n);
		r = deflater_new(&d);
		if (r == 0) {
			struct deflate_input i = { in, sizeof in, 15 };

			r = deflate_message(d, &i, &out);
		}
		if (r == 0)
			r = inflater_new(&f);
		if (r == 0) {
			got.sink = (struct inflate_sink){ put, BIG };
			got.n = got.calls = 0;
			r = inflate_message(f, room, out.n, &got.sink);
		}
		(void)mem_fail_nth(0);
		deflater_free(&d);
		inflater_free(&f);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_true(n > 6);
	assert_int_equal(got.n, sizeof in);
}

static void
a_deflater_works_after_memory_was_short(void **state)
{
	uint8_t in[2000], room[4000];
	struct outbuf out = { .p = room, .cap = sizeof room };
	struct deflate_input i = { in, sizeof in, 15 };
	struct deflater *d = NULL;

	(void)state;
	fill(in, sizeof in, 1);
	assert_int_equal(deflater_new(&d), 0);
	(void)mem_fail_nth(3);
	assert_int_equal(deflate_message(d, &i, &out), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(out.n, 0);
	assert_int_equal(deflate_message(d, &i, &out), 0);
	assert_int_equal(inflate_all(room, out.n, BIG), 0);
	assert_memory_equal(got.p, in, sizeof in);
	deflater_free(&d);
}

#define T(x) cmocka_unit_test(x)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_come_back_for_every_window_size_and_length),
		T(the_examples_of_the_rfc_are_read),
		T(an_empty_message_is_one_byte),
		T(blocks_after_a_final_block_are_read),
		T(garbage_is_a_protocol_error),
		T(a_message_that_was_cut_short_is_a_protocol_error),
		T(the_limit_is_exact_and_nothing_beyond_it_is_given),
		T(a_message_up_to_a_chunk_comes_in_one_call),
		T(an_error_of_the_sink_ends_the_message),
		T(too_little_room_leaves_the_output_as_it_was),
		T(short_memory_is_an_error_and_no_leak),
		T(a_deflater_works_after_memory_was_short),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
