/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record layer against a real GnuTLS client over memory: every suite, full
 * and resumed, large data, KeyUpdates started by either end with data after
 * each step, limits, both ways to end.
 */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "../lib/gnutls_both.h"

#define BIG 40960

static uint8_t big[BIG];

static void
open_both(struct both *b, unsigned suite)
{
	both_open(b, both_suites[suite], true, false);
}

/* What the client sent, through the layer. */
static ssize_t
layer_reads(struct both *b)
{
	ssize_t k = b->t->ops->read(b->t, &b->st, b->up.b + b->up.start,
	    b->up.end - b->up.start);

	assert_true(b->got_n + b->st.rx.n <= sizeof(b->got));
	memcpy(b->got + b->got_n, b->st.rx.p, b->st.rx.n);
	b->got_n += b->st.rx.n;
	b->st.rx.n = 0;
	both_push(&b->down, b->st.tx.p, b->st.tx.n);
	b->st.tx.n = 0;
	if (k >= 0)
		assert_int_equal(k, b->up.end - b->up.start);
	b->up.start = b->up.end = 0;
	return k;
}

static void
layer_got(struct both *b, const void *p, size_t n)
{
	assert_true(layer_reads(b) >= 0);
	assert_int_equal(b->got_n, n);
	assert_memory_equal(b->got, p, n);
	b->got_n = 0;
}

static void
layer_sends(struct both *b, const uint8_t *p, size_t n)
{
	assert_int_equal(b->t->ops->write(b->t, &b->st, p, n), n);
	both_push(&b->down, b->st.tx.p, b->st.tx.n);
	b->st.tx.n = 0;
}

static void
client_got(struct both *b, const uint8_t *p, size_t n)
{
	uint8_t buf[17000];
	ssize_t k;

	while (n > 0) {
		k = gnutls_record_recv(b->client, buf, sizeof(buf));
		if (k == GNUTLS_E_AGAIN && b->down.end > 0)
			continue;	/* a ticket or KeyUpdate was taken */
		if (k < 0)
			fail_msg("%s", gnutls_strerror((int)k));
		assert_true(k > 0 && (size_t)k <= n);
		assert_memory_equal(buf, p, (size_t)k);
		p += k;
		n -= (size_t)k;
	}
}

static void
client_sends(struct both *b, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t k = gnutls_record_send(b->client, p, n);

		assert_true(k > 0);
		p += k;
		n -= (size_t)k;
	}
}

static void
echo(struct both *b, size_t n)
{
	client_sends(b, big, n);
	layer_got(b, big, n);
	layer_sends(b, big, n);
	client_got(b, big, n);
}

static void
every_suite_full_and_resumed(void **state)
{
	struct both *b = *state;

	for (size_t i = 0; i < BOTH_SUITES; i++) {
		for (int resumed = 0; resumed < 2; resumed++) {
			open_both(b, (unsigned)i);
			assert_int_equal(gnutls_session_is_resumed(b->client),
			    resumed);
			layer_got(b, "at once", 7);
			echo(b, 1);
			echo(b, BIG);
			echo(b, 17);
			if (!resumed)
				assert_int_equal(gnutls_session_get_data2(
				    b->client, &b->ticket), 0);
			both_close(b);
		}
		gnutls_free(b->ticket.data);
		b->ticket.data = NULL;
	}
}

static void
keys_change_both_ways_with_data_after_each_step(void **state)
{
	struct both *b = *state;

	for (size_t i = 0; i < BOTH_SUITES_13; i++) {
		open_both(b, (unsigned)i);
		layer_got(b, "at once", 7);
		assert_int_equal(gnutls_session_key_update(b->client, 0), 0);
		echo(b, 100);
		assert_int_equal(gnutls_session_key_update(b->client,
		    GNUTLS_KU_PEER), 0);
		echo(b, BIG);
		assert_int_equal(tls_record_rekey(b->t, false), 0);
		echo(b, 100);
		assert_int_equal(tls_record_rekey(b->t, true), 0);
		echo(b, BIG);
		echo(b, 100);
		/* Both at the same time.  Ours must not ask: GnuTLS 3.7.9
		 * refuses requests that cross, which RFC 8446 allows. */
		assert_int_equal(tls_record_rekey(b->t, false), 0);
		layer_sends(b, big, 10);
		assert_int_equal(gnutls_session_key_update(b->client,
		    GNUTLS_KU_PEER), 0);
		client_got(b, big, 10);
		echo(b, BIG);
		echo(b, 100);
		both_close(b);
	}
}

static void
own_key_updates_do_not_upset_the_peer(void **state)
{
	struct both *b = *state;

	tls_record_test_bounds(20, 0);
	open_both(b, 0);
	layer_got(b, "at once", 7);
	for (int i = 0; i < 100; i++)
		echo(b, 50);		/* 5 KeyUpdates in far under a second */
	tls_record_test_bounds(0, 0);
	both_close(b);
}

static void
a_moved_connection_keeps_its_peer(void **state)
{
	struct both *b = *state;
	uint8_t p[512];

	for (size_t i = 0; i < BOTH_SUITES; i++) {
		open_both(b, (unsigned)i);
		layer_got(b, "at once", 7);
		for (int k = 0; k < 5; k++) {
			struct outbuf out = { p, 0, sizeof(p) };

			echo(b, 1000);
			assert_int_equal(b->t->ops->export(b->t, &out), 0);
			b->t->ops->free(&b->t);
			assert_int_equal(tls_record_ops.import(p, out.n,
			    &b->t), 0);
		}
		both_close(b);
	}
}

static void
either_end_may_close_first(void **state)
{
	struct both *b = *state;
	uint8_t buf[16];

	for (size_t i = 0; i < BOTH_SUITES; i++) {
		open_both(b, (unsigned)i);
		layer_got(b, "at once", 7);
		echo(b, 10);
		assert_int_equal(b->t->ops->shutdown(b->t, &b->st), 0);
		both_push(&b->down, b->st.tx.p, b->st.tx.n);
		b->st.tx.n = 0;
		assert_int_equal(gnutls_record_recv(b->client, buf, 16), 0);
		both_close(b);
		open_both(b, (unsigned)i);
		layer_got(b, "at once", 7);
		assert_int_equal(gnutls_bye(b->client, GNUTLS_SHUT_WR), 0);
		assert_int_equal(layer_reads(b), -EPIPE);
		assert_int_equal(b->t->ops->eof(b->t), -EPIPE);
		both_close(b);
	}
}

static void
alerts_are_understood_both_ways(void **state)
{
	struct both *b = *state;
	uint8_t buf[16];

	for (size_t i = 0; i < BOTH_SUITES; i++) {
		open_both(b, (unsigned)i);
		layer_got(b, "at once", 7);
		assert_int_equal(gnutls_alert_send(b->client, GNUTLS_AL_FATAL,
		    GNUTLS_A_INTERNAL_ERROR), 0);
		assert_int_equal(layer_reads(b), -ECONNABORTED);
		assert_string_equal(b->t->ops->reason(b->t),
		    "the peer sent the alert internal_error");
		both_close(b);
		open_both(b, (unsigned)i);
		layer_got(b, "at once", 7);
		client_sends(b, big, 10);
		b->up.b[b->up.end - 1] ^= 1;
		assert_int_equal(layer_reads(b), -EPROTO);
		while (gnutls_record_recv(b->client, buf, 16) ==
		    GNUTLS_E_AGAIN && b->down.end > 0)
			;		/* the ticket comes first */
		assert_int_equal(gnutls_alert_get(b->client),
		    GNUTLS_A_BAD_RECORD_MAC);
		both_close(b);
	}
}

static void
tls12_client_that_renegotiates_is_told_no(void **state)
{
	struct both *b = *state;

	open_both(b, BOTH_SUITES_13);
	layer_got(b, "at once", 7);
	assert_int_equal(gnutls_handshake(b->client), GNUTLS_E_AGAIN);
	assert_true(layer_reads(b) > 0);
	assert_int_equal(gnutls_handshake(b->client),
	    GNUTLS_E_WARNING_ALERT_RECEIVED);
	assert_int_equal(gnutls_alert_get(b->client),
	    GNUTLS_A_NO_RENEGOTIATION);
	both_close(b);
}

static int
setup(void **state)
{
	static struct both b;

	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 13 + i / 255);
	both_init(&b);
	*state = &b;
	return 0;
}

static int
teardown(void **state)
{
	both_fini(*state);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_full_and_resumed),
		cmocka_unit_test(
		    keys_change_both_ways_with_data_after_each_step),
		cmocka_unit_test(own_key_updates_do_not_upset_the_peer),
		cmocka_unit_test(a_moved_connection_keeps_its_peer),
		cmocka_unit_test(either_end_may_close_first),
		cmocka_unit_test(alerts_are_understood_both_ways),
		cmocka_unit_test(tls12_client_that_renegotiates_is_told_no),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
