/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts, KeyUpdate, tickets, renegotiation: what is understood and refused. */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/record_rig.h"

#define TLS12 STRICT_SUITES_13

static uint8_t zeros[20000];

/* A suite's side that gets one record of this type and must refuse it. */
static void
refused(unsigned suite, bool client, uint8_t type, const char *p, size_t n,
    int alert)
{
	struct rig *g = rig_new(suite, client);

	rig_record(g, type, p, n);
	rig_refuses(g, alert);
	rig_free(&g);
}

static void
fatal_alerts_end_with_their_name_and_no_answer(void **state)
{
	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s += 4) {
		struct rig *g = rig_new(s, false);

		rig_text(g, "early");
		rig_record(g, 21, "\2\60", 2);
		assert_int_equal(rig_read(g), -ECONNABORTED);
		rig_got(g, "early");
		assert_string_equal(g->t->ops->reason(g->t),
		    "the peer sent the alert unknown_ca");
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		assert_int_equal(g->st.tx.n, 0);
		assert_int_equal(g->t->ops->eof(g->t), -ECONNRESET);
		rig_free(&g);
	}
}

static void
tls13_takes_every_other_alert_for_an_error_at_any_level(void **state)
{
	(void)state;
	for (unsigned a = 1; a < 256; a++)
		for (unsigned level = 0; level < 4; level++) {
			const uint8_t p[2] = { (uint8_t)level, (uint8_t)a };
			struct rig *g = rig_new(0, false);

			rig_record(g, 21, p, 2);
			assert_int_equal(rig_read(g),
			    a == 90 ? 2 + 1 + 16 + 5 : -ECONNABORTED);
			rig_free(&g);
		}
}

static void
tls12_ignores_warnings_in_small_numbers(void **state)
{
	struct rig *g = rig_new(TLS12, false);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < TLS_RECORD_WARNING_MAX; i++)
			rig_record(g, 21, "\1\144", 2);
		rig_text(g, "x");
		rig_read_ok(g);
		rig_got(g, "x");
	}
	for (int i = 0; i < TLS_RECORD_WARNING_MAX + 1; i++)
		rig_record(g, 21, "\1\144", 2);
	rig_refuses(g, 10);
	rig_free(&g);
}

static void
tls13_bounds_user_canceled(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	for (int i = 0; i < TLS_RECORD_WARNING_MAX + 1; i++)
		rig_record(g, 21, "\1\132", 2);
	rig_refuses(g, 10);
	rig_free(&g);
}

static void
malformed_alerts_are_refused(void **state)
{
	(void)state;
	refused(0, false, 21, "", 0, 10);
	refused(0, false, 21, "\1", 1, 50);
	refused(0, false, 21, "\1\0\1\0", 4, 50);
	refused(TLS12, false, 21, "", 0, 10);
	refused(TLS12, false, 21, "\1\0\1", 3, 50);
	refused(TLS12, false, 21, "\3\12", 2, 47);
}

static void
tls12_alerts_may_share_a_record(void **state)
{
	struct rig *g = rig_new(TLS12, false);

	(void)state;
	rig_record(g, 21, "\1\144\1\0", 4);
	assert_int_equal(rig_read(g), -EPIPE);
	rig_free(&g);
}

static void
key_updates_are_followed_and_answered_before_data(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2 * STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s / 2, s % 2);

		for (int i = 0; i < 5; i++) {
			rig_key_update(g, false);
			rig_echo(g);
			rig_key_update(g, true);
			rig_echo(g);	/* the strict peer watches the order */
		}
		assert_int_equal(g->peer.updates, 5);
		assert_int_equal(g->peer.requests, 0);
		assert_int_equal(g->peer.data_n, 0);
		rig_free(&g);
	}
}

static void
one_answer_serves_many_requests(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	for (int i = 0; i < 20; i++)
		rig_key_update(g, true);
	rig_read_ok(g);
	rig_flush(g);
	assert_int_equal(g->peer.updates, 1);
	rig_echo(g);
	rig_free(&g);
}

static void
an_answer_without_room_goes_out_with_the_next_write(void **state)
{
	struct rig *g = rig_new(0, false);
	size_t cap = g->st.tx.cap;

	(void)state;
	g->st.tx.cap = 26;		/* a sealed KeyUpdate has 27 */
	rig_key_update(g, true);
	rig_read_ok(g);
	rig_key_update(g, true);
	rig_read_ok(g);
	assert_int_equal(g->st.tx.n, 0);
	assert_int_equal(g->t->ops->write(g->t, &g->st, (const uint8_t *)"x",
	    1), 0);
	assert_int_equal(g->st.tx.n, 0);
	g->st.tx.cap = cap;
	assert_int_equal(g->t->ops->write(g->t, &g->st, NULL, 0), 0);
	rig_flush(g);
	assert_int_equal(g->peer.updates, 1);
	rig_echo(g);
	rig_free(&g);
}

static void
a_key_update_may_be_cut_at_any_place(void **state)
{
	static const uint8_t m[5] = { 24, 0, 0, 1, 1 };

	(void)state;
	for (unsigned cuts = 0; cuts < 16; cuts++) {
		struct rig *g = rig_new(0, false);
		size_t from = 0;

		for (size_t i = 1; i <= 5; i++)
			if (i == 5 || (cuts >> (i - 1) & 1) != 0) {
				rig_record(g, 22, m + from, i - from);
				from = i;
			}
		strict_next_key(&g->peer.out, g->peer.suite);
		g->peer.asked = true;
		rig_read_ok(g);
		rig_flush(g);
		assert_int_equal(g->peer.updates, 1);
		rig_echo(g);
		rig_free(&g);
	}
}

static void
nothing_may_come_between_the_parts_of_a_message(void **state)
{
	static const struct {
		uint8_t type;
		const char *p;
		size_t n;
	} other[] = { { 23, "x", 1 }, { 23, "", 0 }, { 21, "\1\0", 2 },
	    { 21, "\2\50", 2 } };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t part = 1; part < 5; part++) {
			struct rig *g = rig_new(0, false);

			rig_record(g, 22, "\30\0\0\1", part);
			rig_record(g, other[i].type, other[i].p, other[i].n);
			rig_refuses(g, 10);
			assert_int_equal(g->st.rx.n, 0);
			rig_free(&g);
		}
}

static void
malformed_key_updates_are_refused(void **state)
{
	(void)state;
	refused(0, false, 22, "\30\0\0\1\2", 5, 47);
	refused(0, false, 22, "\30\0\0\1\377", 5, 47);
	refused(0, false, 22, "\30\0\0\0", 4, 50);
	refused(0, false, 22, "\30\0\0\2\0\0", 6, 50);
	refused(0, false, 22, "\30\1\0\1\0", 5, 50);
	/* it changes keys, so its record ends with it */
	refused(0, false, 22, "\30\0\0\1\0\30\0\0\1\0", 10, 10);
	refused(0, false, 22, "\30\0\0\1\1\30", 6, 10);
	refused(0, true, 22, "\30\0\0\1\0\4\0\0\0", 9, 10);
	refused(0, false, 22, "", 0, 10);
	refused(TLS12, false, 22, "\30\0\0\1\0", 5, 10);
}

static void
every_other_handshake_message_is_refused(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		const char m[4] = { (char)type, 0, 0, 0 };

		if (type != 24)
			refused(0, false, 22, m, 4, 10);
		if (type != 24 && type != 4)
			refused(0, true, 22, m, 4, 10);
		if (type != 1)
			refused(TLS12, false, 22, m, 4, 10);
		if (type != 0)
			refused(TLS12, true, 22, m, 4, 10);
	}
	refused(TLS12, false, 22, "", 0, 10);
	refused(0, false, 22, "\1", 1, 10);	/* seen at its first byte */
}

static void
key_updates_are_bounded_and_earned_back_by_data(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	for (int i = 0; i < TLS_RECORD_KEYUPDATE_BURST; i++)
		rig_key_update(g, i % 2 != 0);
	rig_read_ok(g);
	rig_flush(g);
	for (int i = 0; i < 10; i++) {
		for (int k = 0; k < TLS_RECORD_KEYUPDATE_EVERY; k++)
			rig_echo(g);
		rig_key_update(g, true);
		rig_read_ok(g);
		rig_flush(g);
	}
	for (int k = 0; k < TLS_RECORD_KEYUPDATE_EVERY - 1; k++)
		rig_echo(g);
	rig_text(g, "");	/* an empty record earns nothing */
	rig_key_update(g, false);
	rig_refuses(g, 10);
	rig_free(&g);
}

static void
a_client_ignores_tickets_in_small_numbers(void **state)
{
	static const uint8_t head[4] = { 4, 0, 0x40, 0 };
	struct rig *g = rig_new(0, true);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < TLS_RECORD_TICKET_MAX; i++) {
			rig_record(g, 22, head, 3);
			rig_record(g, 22, head + 3, 1);
			rig_record(g, 22, zeros, 0x3ffe);
			rig_record(g, 22, zeros, 2);
			rig_read_ok(g);
		}
		rig_text(g, "x");
		rig_read_ok(g);
		rig_got(g, "x");
	}
	/* two in one record, a KeyUpdate behind them */
	rig_record(g, 22, "\4\0\0\2aa\4\0\0\3bbb\30\0\0\1\0", 18);
	strict_next_key(&g->peer.out, g->peer.suite);
	rig_echo(g);
	for (int i = 0; i < TLS_RECORD_TICKET_MAX + 1; i++)
		rig_record(g, 22, "\4\0\0\0", 4);
	rig_refuses(g, 10);
	rig_free(&g);
	g = rig_new(0, true);
	rig_record(g, 22, head, 4);
	rig_text(g, "x");
	rig_refuses(g, 10);
	rig_free(&g);
	refused(0, true, 22, "\4\377\377\377", 4, 50);
}

static void
renegotiation_is_declined_and_the_third_time_closed(void **state)
{
	uint8_t hello[300] = { 1, 0, 1, 300 - 4 - 256 };

	(void)state;
	for (unsigned s = STRICT_SUITES_13; s < 2 * STRICT_SUITES; s++) {
		bool client = s >= STRICT_SUITES;
		struct rig *g;

		if (client && s - STRICT_SUITES < STRICT_SUITES_13)
			continue;
		g = rig_new(client ? s - STRICT_SUITES : s, client);
		for (unsigned i = 1; i < TLS_RECORD_RENEGOTIATE_MAX; i++) {
			if (client) {
				rig_record(g, 22, "\0\0\0\0", 4);
			} else {
				rig_record(g, 22, hello, 10);
				rig_record(g, 22, hello + 10, 290);
			}
			rig_read_ok(g);
			rig_flush(g);
			assert_int_equal(g->peer.alert, 100);
			assert_int_equal(g->peer.level, 1);
			assert_int_equal(g->peer.warnings, i);
			rig_echo(g);
		}
		rig_record(g, 22, client ? zeros : hello, client ? 4 : 300);
		rig_refuses(g, 40);
		rig_free(&g);
	}
	refused(TLS12, true, 22, "\0\0\0\1x", 5, 50);
	refused(TLS12, false, 22, "\1\377\377\377", 4, 50);
}

static void
requests_after_our_close_are_not_answered(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
	rig_flush(g);
	assert_int_equal(g->peer.alert, 0);
	rig_key_update(g, true);
	rig_text(g, "still read");
	rig_read_ok(g);
	rig_got(g, "still read");
	assert_int_equal(g->st.tx.n, 0);
	rig_free(&g);
	g = rig_new(TLS12, false);
	assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
	rig_flush(g);
	rig_record(g, 22, "\1\0\0\0", 4);
	rig_read_ok(g);
	assert_int_equal(g->st.tx.n, 0);
	rig_free(&g);
}

static void
an_alert_without_room_is_left_out(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	g->st.tx.cap = 23;
	rig_record(g, 22, "\1", 1);
	assert_int_equal(rig_read(g), -EPROTO);
	assert_int_equal(g->st.tx.n, 0);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    fatal_alerts_end_with_their_name_and_no_answer),
		cmocka_unit_test(
		    tls13_takes_every_other_alert_for_an_error_at_any_level),
		cmocka_unit_test(tls12_ignores_warnings_in_small_numbers),
		cmocka_unit_test(tls13_bounds_user_canceled),
		cmocka_unit_test(malformed_alerts_are_refused),
		cmocka_unit_test(tls12_alerts_may_share_a_record),
		cmocka_unit_test(
		    key_updates_are_followed_and_answered_before_data),
		cmocka_unit_test(one_answer_serves_many_requests),
		cmocka_unit_test(
		    an_answer_without_room_goes_out_with_the_next_write),
		cmocka_unit_test(a_key_update_may_be_cut_at_any_place),
		cmocka_unit_test(
		    nothing_may_come_between_the_parts_of_a_message),
		cmocka_unit_test(malformed_key_updates_are_refused),
		cmocka_unit_test(every_other_handshake_message_is_refused),
		cmocka_unit_test(
		    key_updates_are_bounded_and_earned_back_by_data),
		cmocka_unit_test(a_client_ignores_tickets_in_small_numbers),
		cmocka_unit_test(
		    renegotiation_is_declined_and_the_third_time_closed),
		cmocka_unit_test(requests_after_our_close_are_not_answered),
		cmocka_unit_test(an_alert_without_room_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
