/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of records as they come in: headers, lengths, padding, partial ones. */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/record_rig.h"

#define FIRST_12 STRICT_SUITES_13
#define CHACHA_12 (STRICT_SUITES_13 + 2)

static uint8_t zeros[20000];

/* The header alone, with the length it claims. */
static void
header(struct rig *g, uint8_t type, unsigned version, size_t n)
{
	const uint8_t h[5] = { type, (uint8_t)(version >> 8), (uint8_t)version,
	    (uint8_t)(n >> 8), (uint8_t)n };

	memcpy(g->wire, h, 5);
	g->n = 5;
}

static void
header_is_refused(unsigned suite, uint8_t type, unsigned version, size_t n,
    int alert)
{
	struct rig *g = rig_new(suite, false);

	header(g, type, version, n);
	rig_refuses(g, alert);
	rig_free(&g);
}

static void
header_is_accepted(unsigned suite, uint8_t type, unsigned version, size_t n)
{
	struct rig *g = rig_new(suite, false);

	header(g, type, version, n);
	assert_int_equal(rig_read(g), 0);
	assert_int_equal(g->st.tx.n, 0);
	rig_free(&g);
}

static void
tls13_takes_no_outer_type_but_23(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++)
		if (type != 23)
			header_is_refused(0, (uint8_t)type, 0x0303, 100, 10);
}

static void
tls12_takes_alerts_handshake_and_data_only(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++)
		if (type < 21 || type > 23)
			header_is_refused(FIRST_12, (uint8_t)type, 0x0303, 100,
			    10);
}

static void
tls13_ignores_the_version_and_tls12_does_not(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	header_is_accepted(0, 23, 0x0301, 100);
	header_is_accepted(0, 23, 0x0304, 100);
	header_is_refused(FIRST_12, 23, 0x0302, 100, 70);
	header_is_refused(FIRST_12, 23, 0x0304, 100, 70);
	/* but it is authenticated */
	rig_text(g, "x");
	g->wire[2] ^= 1;
	rig_refuses(g, 20);
	rig_free(&g);
}

static void
record_lengths_are_bounded_before_the_body_comes(void **state)
{
	(void)state;
	header_is_accepted(0, 23, 0x0303, 16384 + 256);
	header_is_refused(0, 23, 0x0303, 16384 + 257, 22);
	header_is_refused(0, 23, 0x0303, 65535, 22);
	header_is_accepted(0, 23, 0x0303, 16);	/* a tag can be checked */
	header_is_refused(0, 23, 0x0303, 15, 20);
	header_is_refused(0, 23, 0x0303, 0, 20);
	header_is_accepted(FIRST_12, 23, 0x0303, 16384 + 24);
	header_is_refused(FIRST_12, 23, 0x0303, 16384 + 25, 22);
	header_is_refused(FIRST_12, 23, 0x0303, 23, 20);
	header_is_accepted(CHACHA_12, 23, 0x0303, 16384 + 16);
	header_is_refused(CHACHA_12, 23, 0x0303, 16384 + 17, 22);
	header_is_refused(CHACHA_12, 23, 0x0303, 15, 20);
}

static void
inner_plaintext_is_bounded_with_its_padding(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	rig_record(g, 23, zeros, 16384);
	rig_padded(g, 23, "x", 1, 16383);
	rig_read_ok(g);
	assert_int_equal(g->st.rx.n, 16385);
	g->st.rx.n = 0;
	rig_padded(g, 23, "x", 1, 16384);
	rig_refuses(g, 22);
	rig_free(&g);
	g = rig_new(0, false);
	rig_record(g, 23, zeros, 16385);
	rig_refuses(g, 22);
	assert_int_equal(g->st.rx.n, 0);
	rig_free(&g);
}

static void
padding_is_taken_off(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);

		for (size_t pad = 0; pad < 40; pad++)
			rig_padded(g, 23, "\1\0\0", 3, pad);
		rig_read_ok(g);
		assert_int_equal(g->st.rx.n, 120);
		for (size_t i = 0; i < 120; i++)
			assert_int_equal(g->st.rx.p[i], i % 3 == 0);
		g->st.rx.n = 0;
		rig_echo(g);
		rig_free(&g);
	}
}

static void
nothing_but_padding_is_an_unexpected_message(void **state)
{
	static const size_t lengths[] = { 1, 2, 100, 16385 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig *g = rig_new(0, false);

		g->n = strict_seal_inner(&g->peer, zeros, lengths[i], g->wire);
		rig_refuses(g, 10);
		rig_free(&g);
	}
}

static void
inner_types_other_than_the_four_are_refused(void **state)
{
	(void)state;
	for (unsigned type = 1; type < 256; type++) {
		struct rig *g;

		if (type >= 21 && type <= 23)
			continue;
		g = rig_new(0, false);
		rig_record(g, (uint8_t)type, "\1", 1);	/* also CCS */
		rig_refuses(g, 10);
		rig_free(&g);
	}
}

static void
any_changed_bit_is_a_bad_record_mac(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++)
		for (size_t at = 5; at < 5 + 8 + 5 + 16; at += 3) {
			struct rig *g = rig_new(s, false);

			rig_text(g, "before");
			rig_text(g, "hello there, more");
			g->wire[g->n - at + 4] ^= 0x40;
			rig_refuses(g, 20);
			rig_got(g, "before");
			rig_free(&g);
		}
}

static void
a_repeated_record_is_a_bad_record_mac(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		rig_text(g, "once");
		memcpy(g->wire + g->n, g->wire, g->n);
		g->n *= 2;
		rig_refuses(g, 20);
		rig_got(g, "once");
		rig_free(&g);
	}
}

static void
empty_records_are_allowed_in_small_numbers(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s += 4) {
		struct rig *g = rig_new(s, false);

		for (int round = 0; round < 3; round++) {
			for (int i = 0; i < TLS_RECORD_EMPTY_MAX; i++)
				rig_text(g, "");
			rig_text(g, "x");
			rig_read_ok(g);
			rig_got(g, "x");
		}
		for (int i = 0; i < TLS_RECORD_EMPTY_MAX + 1; i++)
			rig_text(g, "");
		rig_refuses(g, 10);
		rig_free(&g);
	}
}

static void
byte_by_byte_gives_the_same_as_at_once(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);
		size_t start = 0;
		ssize_t k;

		rig_text(g, "one ");
		rig_text(g, "");
		if (s < STRICT_SUITES_13)
			rig_key_update(g, true);
		rig_text(g, "two");
		for (size_t i = 1; i <= g->n; i++) {
			uint8_t *part = malloc(i - start);

			assert_non_null(part);
			memcpy(part, g->wire + start, i - start);
			k = g->t->ops->read(g->t, &g->st, part, i - start);
			free(part);
			assert_true(k == 0 || k == (ssize_t)(i - start));
			start += (size_t)k;
		}
		assert_int_equal(start, g->n);
		g->n = 0;
		rig_got(g, "one two");
		rig_flush(g);
		rig_echo(g);
		rig_free(&g);
	}
}

static void
reading_stops_when_rx_is_full_and_goes_on_later(void **state)
{
	struct rig *g = rig_new(0, false);
	size_t used = 0, total = 0;

	(void)state;
	for (int i = 0; i < 9; i++)
		rig_record(g, 23, zeros, 16384);
	while (used < g->n) {
		ssize_t k = g->t->ops->read(g->t, &g->st, g->wire + used,
		    g->n - used);

		assert_true(k > 0);
		used += (size_t)k;
		assert_true(g->st.rx.n <= g->st.rx.cap);
		total += g->st.rx.n;
		g->st.rx.n = 0;
	}
	assert_int_equal(total, 9 * 16384);
	g->n = 0;
	rig_echo(g);
	rig_free(&g);
}

static void
record_numbers_do_not_wrap(void **state)
{
	struct rig *g = rig_new(FIRST_12, false);

	(void)state;
	g->t->ops->free(&g->t);
	g->detach.rd.seq = UINT64_MAX;
	assert_int_equal(tls_record_new(&g->detach, &g->t), 0);
	g->peer.out.seq = UINT64_MAX;
	rig_text(g, "x");
	rig_refuses(g, 80);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls13_takes_no_outer_type_but_23),
		cmocka_unit_test(tls12_takes_alerts_handshake_and_data_only),
		cmocka_unit_test(tls13_ignores_the_version_and_tls12_does_not),
		cmocka_unit_test(
		    record_lengths_are_bounded_before_the_body_comes),
		cmocka_unit_test(inner_plaintext_is_bounded_with_its_padding),
		cmocka_unit_test(padding_is_taken_off),
		cmocka_unit_test(nothing_but_padding_is_an_unexpected_message),
		cmocka_unit_test(inner_types_other_than_the_four_are_refused),
		cmocka_unit_test(any_changed_bit_is_a_bad_record_mac),
		cmocka_unit_test(a_repeated_record_is_a_bad_record_mac),
		cmocka_unit_test(empty_records_are_allowed_in_small_numbers),
		cmocka_unit_test(byte_by_byte_gives_the_same_as_at_once),
		cmocka_unit_test(
		    reading_stops_when_rx_is_full_and_goes_on_later),
		cmocka_unit_test(record_numbers_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
