/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of records as they go out: sizes, room, own KeyUpdates, the end. */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "../lib/record_rig.h"
#include "tls/record_priv.h"

#define TLS12 STRICT_SUITES_13

static uint8_t big[100000];

static ssize_t
put(struct rig *g, const void *p, size_t n)
{
	return g->t->ops->write(g->t, &g->st, p, n);
}

static void
records_hold_no_more_than_the_peer_takes(void **state)
{
	static const uint16_t limits[] = { 63, 64, 512, 1024, 16383, 16384 };

	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++)
		for (size_t i = 0; i < 6; i++) {
			struct rig *g = rig_new(s, false);
			size_t n = 20000;

			g->t->ops->free(&g->t);
			g->detach.limit = limits[i];
			assert_int_equal(tls_record_new(&g->detach, &g->t), 0);
			g->peer.limit = limits[i];
			assert_int_equal(put(g, big, n), n);
			rig_flush(g);
			assert_int_equal(g->peer.data_n, n);
			assert_memory_equal(g->peer.data, big, n);
			assert_int_equal(g->peer.records,
			    (n + limits[i] - 1) / limits[i]);
			rig_free(&g);
		}
}

static void
a_full_tx_takes_part_and_the_rest_later(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);
		size_t done = 0;

		g->st.tx.cap = 40000;
		while (done < sizeof(big)) {
			ssize_t k = put(g, big + done, sizeof(big) - done);

			assert_true(k > 0);
			assert_true(g->st.tx.n <= g->st.tx.cap);
			done += (size_t)k;
			rig_flush(g);
		}
		assert_int_equal(g->peer.data_n, sizeof(big));
		assert_memory_equal(g->peer.data, big, sizeof(big));
		rig_free(&g);
	}
}

static void
a_tx_too_small_for_a_record_gets_smaller_ones(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);
		size_t done = 0;

		g->st.tx.cap = 100;
		while (done < 1000) {
			ssize_t k = put(g, big + done, 1000 - done);

			assert_true(k > 0);
			done += (size_t)k;
			rig_flush(g);
		}
		assert_memory_equal(g->peer.data, big, 1000);
		g->st.tx.cap = 10;
		assert_int_equal(put(g, big, 1000), 0);
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), -ENOBUFS);
		g->st.tx.cap = rec_sealed_size(g->t, 0);
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		rig_flush(g);
		assert_int_equal(g->peer.alert, 0);
		rig_free(&g);
	}
}

static void
sealed_size_is_room_for_a_record_and_what_is_owed(void **state)
{
	static const size_t lengths[] = { 1, 100, 16384 };

	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++)
		for (size_t i = 0; i < 3; i++) {
			struct rig *g = rig_new(s, false);

			if (s < STRICT_SUITES_13) {
				g->st.tx.cap = 0;
				rig_key_update(g, true);
				rig_read_ok(g);
			}
			g->st.tx.cap = rec_sealed_size(g->t, lengths[i]);
			assert_int_equal(put(g, big, lengths[i]), lengths[i]);
			rig_flush(g);
			rig_free(&g);
		}
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		/* never more than one record's worth */
		assert_int_equal(rec_sealed_size(g->t, 16384),
		    rec_sealed_size(g->t, SIZE_MAX));
		rig_free(&g);
	}
}

static void
keys_are_renewed_before_they_are_used_up(void **state)
{
	(void)state;
	tls_record_test_bounds(8, 0);
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);

		for (int i = 0; i < 80; i++)
			rig_echo(g);
		assert_int_equal(g->peer.updates, 9);
		assert_int_equal(g->peer.requests, 0);
		/* in the middle of one write as well */
		assert_int_equal(put(g, big, 90000), 90000);
		rig_flush(g);
		assert_memory_equal(g->peer.data, big, 90000);
		assert_int_equal(g->peer.updates, 10);
		rig_free(&g);
	}
	tls_record_test_bounds(0, 0);
}

static void
tls12_keys_that_are_used_up_end_the_connection(void **state)
{
	(void)state;
	tls_record_test_bounds(0, 5);		/* numbers 1 to 4 are left */
	for (unsigned s = TLS12; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		assert_int_equal(put(g, big, 16384 * 3), 16384 * 3);
		rig_flush(g);
		assert_int_equal(put(g, big, 16384 * 3), 16384);
		assert_int_equal(put(g, big, 1), -EOVERFLOW);
		assert_string_equal(g->t->ops->reason(g->t),
		    "the keys are used up");
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		rig_flush(g);
		assert_int_equal(g->peer.alert, 0);
		rig_free(&g);
	}
	tls_record_test_bounds(0, 0);
}

static void
tls12_bounds_follow_the_cipher(void **state)
{
	static const uint64_t bound[STRICT_SUITES - TLS12] = { 23726566,
	    23726566, UINT64_MAX, 1 << 23, 1 << 23 };

	(void)state;
	for (unsigned s = TLS12; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		g->t->ops->free(&g->t);
		g->detach.wr.seq = bound[s - TLS12] - 1;
		g->peer.in.seq = g->detach.wr.seq;
		assert_int_equal(tls_record_new(&g->detach, &g->t), 0);
		assert_int_equal(put(g, "x", 1), 1);
		rig_flush(g);
		assert_int_equal(put(g, "x", 1), -EOVERFLOW);
		rig_free(&g);
	}
}

static void
a_key_update_can_be_asked_for(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2 * STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s / 2, s % 2);

		assert_int_equal(tls_record_rekey(g->t, true), -EAGAIN);
		rig_echo(g);
		assert_int_equal(tls_record_rekey(g->t, false), 0);
		assert_int_equal(tls_record_rekey(g->t, true), 0);
		assert_int_equal(put(g, NULL, 0), 0);
		rig_flush(g);
		assert_int_equal(g->peer.updates, 1);
		assert_int_equal(g->peer.requests, 1);
		assert_int_equal(tls_record_rekey(g->t, false), -EAGAIN);
		/* the peer does as asked */
		rig_key_update(g, false);
		rig_echo(g);
		assert_int_equal(tls_record_rekey(g->t, false), 0);
		rig_echo(g);
		assert_int_equal(g->peer.updates, 2);
		assert_int_equal(g->peer.requests, 1);
		rig_free(&g);
	}
	{
		struct rig *g = rig_new(TLS12, false);

		rig_echo(g);
		assert_int_equal(tls_record_rekey(g->t, false), -ENOTSUP);
		rig_free(&g);
	}
}

static void
an_answer_serves_for_a_wish_of_our_own(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	rig_echo(g);
	g->st.tx.cap = 0;
	rig_key_update(g, true);
	rig_read_ok(g);
	assert_int_equal(tls_record_rekey(g->t, true), 0);
	g->st.tx.cap = STAGE_TX_SIZE;
	rig_echo(g);
	assert_int_equal(g->peer.updates, 1);
	assert_int_equal(g->peer.requests, 0);
	rig_echo(g);
	rig_free(&g);
}

static void
writing_nothing_puts_out_nothing(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	assert_int_equal(put(g, NULL, 0), 0);
	assert_int_equal(g->st.tx.n, 0);
	rig_free(&g);
}

static void
the_end_is_sent_once_and_nothing_after_it(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		rig_echo(g);
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		assert_int_equal(put(g, "x", 1), -EPIPE);
		rig_flush(g);
		assert_int_equal(g->peer.alert, 0);
		assert_int_equal(g->peer.level, 1);
		assert_int_equal(g->peer.records, 2);
		rig_free(&g);
	}
}

static void
record_numbers_do_not_wrap(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	g->t->ops->free(&g->t);
	g->detach.wr.seq = UINT64_MAX;
	assert_int_equal(tls_record_new(&g->detach, &g->t), 0);
	assert_int_equal(put(g, "x", 1), -EOVERFLOW);
	assert_int_equal(g->st.tx.n, 0);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_hold_no_more_than_the_peer_takes),
		cmocka_unit_test(a_full_tx_takes_part_and_the_rest_later),
		cmocka_unit_test(a_tx_too_small_for_a_record_gets_smaller_ones),
		cmocka_unit_test(
		    sealed_size_is_room_for_a_record_and_what_is_owed),
		cmocka_unit_test(keys_are_renewed_before_they_are_used_up),
		cmocka_unit_test(
		    tls12_keys_that_are_used_up_end_the_connection),
		cmocka_unit_test(tls12_bounds_follow_the_cipher),
		cmocka_unit_test(a_key_update_can_be_asked_for),
		cmocka_unit_test(an_answer_serves_for_a_wish_of_our_own),
		cmocka_unit_test(writing_nothing_puts_out_nothing),
		cmocka_unit_test(the_end_is_sent_once_and_nothing_after_it),
		cmocka_unit_test(record_numbers_do_not_wrap),
	};

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 11 + i / 256);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
