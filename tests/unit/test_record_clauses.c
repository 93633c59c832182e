/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clauses of RFC 8446 and RFC 5246 that the other tests of the record layer
 * leave open; doc/record-layer.md lists them all.
 */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/record_rig.h"
#include "tls/aead.h"
#include "tls/record_priv.h"

#define TLS12 STRICT_SUITES_13

static uint8_t zeros[20000];

/* RFC 8446 5.4: no type in what was opened; not a failure to open it. */
static void
an_empty_inner_plaintext_is_an_unexpected_message(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);

		g->n = strict_seal_inner(&g->peer, zeros, 0, g->wire);
		rig_refuses(g, 10);
		rig_free(&g);
		g = rig_new(s, false);
		g->n = strict_seal_inner(&g->peer, zeros, 0, g->wire);
		g->wire[g->n - 1] ^= 1;
		rig_refuses(g, 20);
		rig_free(&g);
	}
}

/* RFC 8446 4.6.3: the new key is worth nothing before its KeyUpdate. */
static void
the_next_key_does_not_open_before_its_key_update(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);

		rig_echo(g);
		strict_next_key(&g->peer.out, g->peer.suite);
		rig_text(g, "x");
		rig_refuses(g, 20);
		rig_free(&g);
	}
}

/* RFC 8446 4.6.3, 7.2: and the old one nothing behind it. */
static void
the_old_key_does_not_open_behind_a_key_update(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);
		struct strict_half old;

		rig_echo(g);
		old = g->peer.out;
		rig_key_update(g, false);
		rig_echo(g);
		g->peer.out = old;
		g->peer.out.seq = 1;
		rig_text(g, "x");
		rig_refuses(g, 20);
		rig_free(&g);
	}
}

/* RFC 8446 7.2: secrets and keys of before are gone from memory. */
static void
nothing_of_the_old_keys_is_kept(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);
		struct tls_record *r = rec_of(g->t);
		uint8_t old[2][48];
		uint64_t made, id = r->key_id[RD];
		size_t n = rec_secret_n(r);

		rig_echo(g);
		memcpy(old[RD], rec_secret(r, RD), n);
		memcpy(old[WR], rec_secret(r, WR), n);
		rig_key_update(g, true);
		rig_echo(g);
		assert_memory_not_equal(old[RD], rec_secret(r, RD), n);
		assert_memory_not_equal(old[WR], rec_secret(r, WR), n);
		assert_true(r->key_id[RD] != id);
		/* the handles of the old keys as well */
		made = aead_cache_misses(g->st.aead);
		assert_int_equal(made, 4);
		rig_echo(g);
		assert_int_equal(aead_cache_misses(g->st.aead), made);
		rig_free(&g);
	}
}

/* RFC 8446 6, RFC 5246 7.2.2: keys of a failed connection are forgotten. */
static void
a_failed_connection_forgets_its_keys(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2 * STRICT_SUITES; s++) {
		struct rig *g = rig_new(s / 2, false);
		struct tls_record *r = rec_of(g->t);
		size_t n = 2 * rec_direction_n(r);

		rig_echo(g);
		assert_memory_not_equal(r->keys, zeros, n);
		if (s % 2 == 0) {
			rig_text(g, "x");
			g->wire[g->n - 1] ^= 1;
			rig_refuses(g, 20);
		} else {
			rig_record(g, 21, "\2\120", 2);
			assert_int_equal(rig_read(g), -ECONNABORTED);
		}
		assert_memory_equal(r->keys, zeros, n);
		rig_free(&g);
	}
}

/* RFC 8446 6.1: what comes behind close_notify is ignored, whatever it is. */
static void
nothing_behind_close_notify_is_looked_at(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		rig_record(g, 21, "\1\0", 2);
		rig_text(g, "x");
		rig_record(g, 22, "\1", 1);
		memcpy(g->wire + g->n, zeros, 100);
		g->n += 100;
		assert_int_equal(rig_read(g), -EPIPE);
		assert_int_equal(g->st.rx.n, 0);
		assert_int_equal(g->st.tx.n, 0);
		rig_text(g, "y");
		assert_int_equal(rig_read(g), -EPIPE);
		assert_int_equal(g->st.rx.n, 0);
		/* our direction is open until we close it */
		assert_int_equal(g->t->ops->write(g->t, &g->st,
		    (const uint8_t *)"still", 5), 5);
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		rig_flush(g);
		assert_int_equal(g->peer.data_n, 5);
		assert_int_equal(g->peer.alert, 0);
		rig_free(&g);
	}
}

/* RFC 8446 6: what is sent as an error is fatal, close_notify is a warning. */
static void
close_notify_counts_at_every_level_of_tls13(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 256; level += 51) {
		const uint8_t p[2] = { (uint8_t)level, 0 };
		struct rig *g = rig_new(0, false);

		rig_record(g, 21, p, 2);
		assert_int_equal(rig_read(g), -EPIPE);
		rig_free(&g);
	}
}

/* RFC 8446 5.1: alerts and data of TLS 1.2 may come inside a message; those of
 * 1.3 may not (test_record_message.c). */
static void
tls12_messages_may_be_interrupted(void **state)
{
	struct rig *g = rig_new(TLS12, false);

	(void)state;
	rig_record(g, 22, "\1\0\0", 3);
	rig_text(g, "x");
	rig_record(g, 21, "\1\144", 2);
	rig_record(g, 22, "\2ab", 3);
	rig_read_ok(g);
	rig_got(g, "x");
	rig_flush(g);
	assert_int_equal(g->peer.alert, 100);
	rig_echo(g);
	rig_free(&g);
}

/* RFC 5246 6.2.3.3: number, type, version and length are all authenticated. */
static void
tls12_authenticates_each_field_of_the_header(void **state)
{
	(void)state;
	for (unsigned s = TLS12; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);
		size_t first;

		/* type: data turned into an alert */
		rig_record(g, 23, "\1\0", 2);
		g->wire[0] = 21;
		rig_refuses(g, 20);
		rig_free(&g);
		/* length: a byte less */
		g = rig_new(s, false);
		rig_text(g, "xyz");
		g->wire[4]--;
		g->n--;
		rig_refuses(g, 20);
		rig_free(&g);
		/* number: the second record first */
		g = rig_new(s, false);
		rig_text(g, "one");
		first = g->n;
		rig_text(g, "two");
		memmove(g->wire, g->wire + first, g->n - first);
		g->n -= first;
		rig_refuses(g, 20);
		rig_free(&g);
	}
}

/* RFC 8446 5.2: so is the header of TLS 1.3, and the order by the nonce. */
static void
tls13_authenticates_header_and_order(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);
		size_t first;

		rig_text(g, "xyz");
		g->wire[4]--;
		g->n--;
		rig_refuses(g, 20);
		rig_free(&g);
		g = rig_new(s, false);
		rig_text(g, "one");
		first = g->n;
		rig_text(g, "two");
		memmove(g->wire, g->wire + first, g->n - first);
		g->n -= first;
		rig_refuses(g, 20);
		rig_free(&g);
	}
}

/* RFC 8446 5.3: each direction counts by itself. */
static void
the_numbers_of_the_directions_are_independent(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		for (int i = 0; i < 20; i++) {
			rig_text(g, "x");
			rig_read_ok(g);
			rig_got(g, "x");
		}
		rig_echo(g);
		for (int i = 0; i < 50; i++) {
			assert_int_equal(g->t->ops->write(g->t, &g->st, zeros,
			    1), 1);
			rig_flush(g);
		}
		rig_echo(g);
		rig_free(&g);
	}
}

/* RFC 8446 4.6.3: requests that cross are both answered. */
static void
requests_that_cross_are_both_answered(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);

		rig_echo(g);
		assert_int_equal(tls_record_rekey(g->t, true), 0);
		assert_int_equal(g->t->ops->write(g->t, &g->st, NULL, 0), 0);
		rig_flush(g);			/* ours has gone out */
		assert_int_equal(g->peer.requests, 1);
		rig_key_update(g, true);	/* theirs, not the answer */
		rig_key_update(g, false);	/* the answer */
		rig_read_ok(g);
		rig_flush(g);
		assert_int_equal(g->peer.updates, 2);
		assert_int_equal(g->peer.requests, 1);
		rig_echo(g);
		rig_free(&g);
	}
}

/* RFC 8446 6: a message that does not parse is a decode_error, a value out of
 * range an illegal_parameter, whatever else the record holds. */
static void
syntax_and_meaning_have_alerts_of_their_own(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	rig_padded(g, 22, "\30\0\0\2\0\0", 6, 300);
	rig_refuses(g, 50);
	rig_free(&g);
	g = rig_new(0, false);
	rig_padded(g, 22, "\30\0\0\1\7", 5, 300);
	rig_refuses(g, 47);
	rig_free(&g);
}

/* RFC 8446 5.4: also a record of an alert or a KeyUpdate may be padded. */
static void
padding_may_be_on_every_type(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	rig_padded(g, 22, "\30\0\0\1\1", 5, 16384 - 5);
	strict_next_key(&g->peer.out, g->peer.suite);
	g->peer.asked = true;
	rig_padded(g, 21, "\1\132", 2, 1000);
	rig_padded(g, 23, "", 0, 16384);
	rig_echo(g);
	assert_int_equal(g->peer.updates, 1);
	rig_padded(g, 22, "", 0, 100);
	rig_refuses(g, 10);
	rig_free(&g);
	g = rig_new(0, false);
	rig_padded(g, 21, "", 0, 100);
	rig_refuses(g, 10);
	rig_free(&g);
}

/* RFC 6066 4, RFC 8446 5.4: a bound that was agreed on is one for records that
 * come in, padding included; it moves with the connection. */
static void
records_over_an_agreed_bound_are_an_overflow(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++)
		for (int i = 0; i < 4; i++) {
			struct rig *g = rig_new(s, false);
			uint8_t b[256];
			struct outbuf out = { b, 0, sizeof(b) };
			bool pad = i >= 2 && s < STRICT_SUITES_13;
			size_t more = (size_t)i % 2;

			g->t->ops->free(&g->t);
			g->detach.take = 512;
			assert_int_equal(tls_record_new(&g->detach, &g->t), 0);
			assert_int_equal(g->t->ops->export(g->t, &out), 0);
			g->t->ops->free(&g->t);
			assert_int_equal(tls_record_ops.import(b, out.n,
			    &g->t), 0);
			rig_padded(g, 23, zeros, (pad ? 1 : 512 + more),
			    pad ? 511 + more : 0);
			if (more != 0) {
				rig_refuses(g, 22);
				assert_int_equal(g->st.rx.n, 0);
			} else {
				rig_read_ok(g);
				assert_int_equal(g->st.rx.n, pad ? 1 : 512);
			}
			rig_free(&g);
		}
}

/* RFC 8446 5.5, RFC 7905: CHACHA20 needs no new keys before 2^64, but gets
 * them; for TLS 1.2 it goes on to the last number. */
static void
our_own_key_updates_come_far_before_the_bound(void **state)
{
	(void)state;
	assert_true(TLS_RECORD_REKEY_AFTER < UINT64_C(23726566));
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);

		g->t->ops->free(&g->t);
		g->detach.wr.seq = TLS_RECORD_REKEY_AFTER;
		g->peer.in.seq = g->detach.wr.seq;
		assert_int_equal(tls_record_new(&g->detach, &g->t), 0);
		rig_echo(g);
		assert_int_equal(g->peer.updates, 1);
		assert_int_equal(g->peer.in.seq, 1);
		rig_free(&g);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_empty_inner_plaintext_is_an_unexpected_message),
		cmocka_unit_test(
		    the_next_key_does_not_open_before_its_key_update),
		cmocka_unit_test(the_old_key_does_not_open_behind_a_key_update),
		cmocka_unit_test(nothing_of_the_old_keys_is_kept),
		cmocka_unit_test(a_failed_connection_forgets_its_keys),
		cmocka_unit_test(nothing_behind_close_notify_is_looked_at),
		cmocka_unit_test(close_notify_counts_at_every_level_of_tls13),
		cmocka_unit_test(tls12_messages_may_be_interrupted),
		cmocka_unit_test(tls12_authenticates_each_field_of_the_header),
		cmocka_unit_test(tls13_authenticates_header_and_order),
		cmocka_unit_test(the_numbers_of_the_directions_are_independent),
		cmocka_unit_test(requests_that_cross_are_both_answered),
		cmocka_unit_test(syntax_and_meaning_have_alerts_of_their_own),
		cmocka_unit_test(padding_may_be_on_every_type),
		cmocka_unit_test(records_over_an_agreed_bound_are_an_overflow),
		cmocka_unit_test(our_own_key_updates_come_far_before_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
