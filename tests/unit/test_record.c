/* SPDX-License-Identifier: Apache-2.0 */
/* Making a detached connection, every suite both ways, and its end. */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "base/mem.h"
#include "tls/aead.h"
#include "../lib/record_rig.h"

#define BIG 40960

static uint8_t big[BIG];

static void
every_suite_carries_data_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 7);
	for (unsigned s = 0; s < 2 * STRICT_SUITES; s++) {
		struct rig *g = rig_new(s / 2, s % 2);

		rig_echo(g);
		for (size_t i = 0; i < BIG; i += 16384)
			rig_record(g, 23, big + i,
			    BIG - i < 16384 ? BIG - i : 16384);
		rig_read_ok(g);
		assert_int_equal(g->st.rx.n, BIG);
		assert_memory_equal(g->st.rx.p, big, BIG);
		g->st.rx.n = 0;
		assert_int_equal(g->t->ops->write(g->t, &g->st, big, BIG), BIG);
		rig_flush(g);
		assert_int_equal(g->peer.data_n, BIG);
		assert_memory_equal(g->peer.data, big, BIG);
		assert_int_equal(g->peer.records, 1 + 3);
		rig_echo(g);
		rig_free(&g);
	}
}

static void
fields_out_of_range_are_refused(void **state)
{
	struct rig *g = rig_new(0, false);
	struct tls_detach d;
	struct transport *t = NULL;

	(void)state;
#define REFUSED(change) do {						\
	d = g->detach;							\
	change;								\
	assert_int_equal(tls_record_new(&d, &t), -EINVAL);		\
	assert_null(t);							\
} while (0)
	REFUSED(d.version = 0x0302);
	REFUSED(d.version = 0x0303);	/* secrets, and 12 bytes of IV */
	REFUSED(d.cipher = GNUTLS_CIPHER_AES_128_CBC);
	REFUSED(d.cipher = GNUTLS_CIPHER_AES_128_CCM_8);
	REFUSED(d.cipher = GNUTLS_CIPHER_AES_256_GCM);
	REFUSED(d.cipher = GNUTLS_CIPHER_AES_256_CCM);	/* not in 1.3 */
	REFUSED(d.cipher = -1);
	REFUSED(d.prf = GNUTLS_MAC_SHA384);
	REFUSED(d.limit = 62);
	REFUSED(d.limit = 16385);
	REFUSED(d.take = 62);
	REFUSED(d.take = 16385);
	REFUSED(d.rd.key_len = 32);
	REFUSED(d.wr.key_len = 15);
	REFUSED(d.rd.iv_len = 4);
	REFUSED(d.wr.iv_len = 0);
	REFUSED(d.wr.secret_len = 0);
	REFUSED(d.rd.secret_len = 48);
	rig_free(&g);
}

static void
keys_that_are_not_those_of_the_secrets_are_refused(void **state)
{
	struct transport *t = NULL;

	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES_13; s++) {
		struct rig *g = rig_new(s, false);

		g->detach.rd.key[0] ^= 1;
		assert_int_equal(tls_record_new(&g->detach, &t), -EBADMSG);
		g->detach.rd.key[0] ^= 1;
		g->detach.wr.iv[11] ^= 1;
		assert_int_equal(tls_record_new(&g->detach, &t), -EBADMSG);
		g->detach.wr.iv[11] ^= 1;
		g->detach.wr.secret[0] ^= 1;
		assert_int_equal(tls_record_new(&g->detach, &t), -EBADMSG);
		assert_null(t);
		rig_free(&g);
	}
}

static void
short_memory_changes_nothing(void **state)
{
	struct rig *g = rig_new(0, false);
	struct transport *t = NULL;
	unsigned long n;
	int rc;

	(void)state;
	for (n = 1;; n++) {
		mem_fail_nth(n);
		rc = tls_record_new(&g->detach, &t);
		mem_fail_nth(0);
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_null(t);
	}
	assert_int_equal(n, 2);
	t->ops->free(&t);
	assert_null(t);
	t = NULL;
	tls_record_ops.free(&t);
	rig_free(&g);
}

static void
end_of_file_is_clean_only_after_close_notify(void **state)
{
	const uint8_t close_notify[2] = { 1, 0 };

	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, s % 2);

		assert_int_equal(g->t->ops->eof(g->t), -ECONNRESET);
		assert_string_equal(g->t->ops->reason(g->t), "no error");
		rig_text(g, "last words");
		rig_record(g, 21, close_notify, 2);
		rig_text(g, "not to be seen");
		assert_int_equal(rig_read(g), -EPIPE);
		rig_got(g, "last words");
		assert_int_equal(g->t->ops->eof(g->t), -EPIPE);
		assert_int_equal(rig_read(g), -EPIPE);
		assert_string_equal(g->t->ops->reason(g->t),
		    "the peer closed");
		/* ours is still owed */
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		rig_flush(g);
		assert_int_equal(g->peer.alert, 0);
		rig_free(&g);
	}
}

/* Keys are wiped on every path: also out of the worker's cache, where a handle
 * would keep a copy of them (issue 2). */
static void
a_retired_connection_leaves_no_handle_behind(void **state)
{
	struct rig *g = rig_new(0, false);
	uint64_t made;

	(void)state;
	rig_echo(g);
	made = aead_cache_misses(g->st.aead);
	rig_echo(g);
	assert_int_equal(aead_cache_misses(g->st.aead), made);
	g->t->ops->retire(g->t, &g->st);
	rig_echo(g);
	assert_int_equal(aead_cache_misses(g->st.aead), made + 2);
	rig_free(&g);
}

static void
the_ops_say_who_they_are(void **state)
{
	(void)state;
	assert_string_equal(tls_record_ops.name, "tls");
	assert_int_equal(tls_record_ops.tag, 'T');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_carries_data_both_ways),
		cmocka_unit_test(fields_out_of_range_are_refused),
		cmocka_unit_test(
		    keys_that_are_not_those_of_the_secrets_are_refused),
		cmocka_unit_test(short_memory_changes_nothing),
		cmocka_unit_test(end_of_file_is_clean_only_after_close_notify),
		cmocka_unit_test(a_retired_connection_leaves_no_handle_behind),
		cmocka_unit_test(the_ops_say_who_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
