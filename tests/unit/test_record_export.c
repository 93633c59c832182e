/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a live connection, and every way an import must refuse. */
#include "tls/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "../lib/record_rig.h"

#define TLS12 STRICT_SUITES_13

struct bytes {
	uint8_t p[512];
	size_t n;
};

static struct bytes
exported(const struct rig *g)
{
	struct bytes b;
	struct outbuf out = { b.p, 0, sizeof(b.p) };

	memset(&b, 0, sizeof(b));
	assert_int_equal(g->t->ops->export(g->t, &out), 0);
	b.n = out.n;
	return b;
}

/* Export, free, import: the connection must not notice. */
static void
move(struct rig *g)
{
	struct bytes b = exported(g), again;

	g->t->ops->free(&g->t);
	assert_int_equal(tls_record_ops.import(b.p, b.n, &g->t), 0);
	again = exported(g);
	assert_int_equal(again.n, b.n);
	assert_memory_equal(again.p, b.p, b.n);
}

static void
a_moved_connection_goes_on(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 2 * STRICT_SUITES; s++) {
		struct rig *g = rig_new(s / 2, s % 2);

		move(g);
		rig_echo(g);
		move(g);
		rig_echo(g);
		if (s / 2 < STRICT_SUITES_13) {
			rig_key_update(g, false);
			rig_read_ok(g);
			move(g);
			rig_echo(g);
		}
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		move(g);
		assert_int_equal(g->t->ops->shutdown(g->t, &g->st), 0);
		rig_flush(g);
		assert_int_equal(g->peer.alert, 0);
		rig_free(&g);
	}
}

static void
an_export_is_small(void **state)
{
	static const size_t sizes[STRICT_SUITES] = { 104, 136, 104, 104, 96,
	    128, 128, 96, 128 };

	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);

		assert_int_equal(exported(g).n, sizes[s]);
		rig_free(&g);
	}
}

static void
a_message_under_way_and_what_is_owed_move_too(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	/* a KeyUpdate cut at every place */
	for (size_t i = 0; i < 5; i++) {
		rig_record(g, 22, &"\30\0\0\1\1"[i], 1);
		if (i == 4) {
			strict_next_key(&g->peer.out, g->peer.suite);
			g->peer.asked = true;
			g->st.tx.cap = 0;	/* no room for the answer */
		}
		rig_read_ok(g);
		move(g);
	}
	g->st.tx.cap = STAGE_TX_SIZE;
	rig_echo(g);
	assert_int_equal(g->peer.updates, 1);
	assert_int_equal(tls_record_rekey(g->t, true), 0);
	move(g);
	rig_echo(g);
	assert_int_equal(g->peer.requests, 1);
	rig_free(&g);
	/* a ClientHello cut in its body */
	g = rig_new(TLS12, false);
	rig_record(g, 22, "\1\0\0\4ab", 6);
	rig_read_ok(g);
	move(g);
	rig_record(g, 22, "cd", 2);
	rig_echo(g);
	/* and a ticket */
	rig_free(&g);
	g = rig_new(0, true);
	rig_record(g, 22, "\4\0\0\4ab", 6);
	rig_read_ok(g);
	move(g);
	rig_record(g, 22, "cd", 2);
	rig_echo(g);
	rig_free(&g);
}

static void
counters_move_too(void **state)
{
	struct rig *g = rig_new(0, false);

	(void)state;
	for (int i = 0; i < TLS_RECORD_EMPTY_MAX; i++)
		rig_text(g, "");
	rig_read_ok(g);
	move(g);
	rig_text(g, "");
	rig_refuses(g, 10);
	rig_free(&g);
	g = rig_new(0, false);
	for (int i = 0; i < TLS_RECORD_KEYUPDATE_BURST; i++)
		rig_key_update(g, false);
	rig_read_ok(g);
	move(g);
	rig_key_update(g, false);
	rig_refuses(g, 10);
	rig_free(&g);
}

static void
export_says_when_there_is_no_room_or_no_connection(void **state)
{
	struct rig *g = rig_new(0, false);
	uint8_t p[128];
	struct outbuf out = { p, 0, 0 };

	(void)state;
	for (out.cap = 0; out.cap < 104; out.cap++)
		assert_int_equal(g->t->ops->export(g->t, &out), -ENOBUFS);
	assert_int_equal(out.n, 0);
	rig_record(g, 21, "\1\0", 2);
	assert_int_equal(rig_read(g), -EPIPE);
	out.cap = sizeof(p);
	assert_int_equal(g->t->ops->export(g->t, &out), -EINVAL);
	assert_int_equal(out.n, 0);
	rig_free(&g);
}

static void
import_fails(const uint8_t *p, size_t n)
{
	struct transport *t = NULL;

	assert_int_equal(tls_record_ops.import(p, n, &t), -EINVAL);
	assert_null(t);
}

static void
other_lengths_and_fields_are_refused(void **state)
{
	static const struct {
		unsigned suite, at, value;
	} bad[] = {
		{ 0, 0, 'P' }, { 0, 1, 1 }, { 0, 1, 3 }, { 0, 2, 1 },
		{ 0, 3, 103 }, { 0, 3, 105 },
		{ 0, 4, 0x05 }, { 0, 4, 0x11 },		/* ended */
		{ 0, 4, 0x81 },			/* asks without wanting */
		{ 0, 4, 0x00 },			/* 1.2 has other lengths */
		{ TLS12, 4, 0x20 }, { TLS12, 4, 0x40 }, { TLS12, 4, 0xc0 },
		{ TLS12, 4, 0x01 },
		{ 0, 5, 1 }, { 0, 5, 4 }, { 0, 5, 5 }, { 0, 5, 255 },
		{ 0, 6, 0 }, { 0, 7, 1 }, { 0, 6, 0xff },
		{ 0, 8, 0 }, { 0, 9, 1 }, { 0, 8, 0xff },
		{ 0, 10, 24 }, { 0, 13, 1 },	/* header bytes not counted */
		{ 0, 14, 1 }, { 0, 14, 5 },
		{ 0, 15, 65 }, { 0, 16, 9 }, { 0, 17, 33 }, { 0, 18, 3 },
		{ 0, 19, 129 },
		{ 0, 20, 1 }, { 0, 23, 1 },	/* a 1.3 server skips nothing */
		{ TLS12, 20, 1 },		/* too long a message */
		{ TLS12, 40 + 16 + 4, 1 },	/* IV bytes that are not used */
		{ TLS12, 40 + 28 + 16 + 11, 1 },
	};

	(void)state;
	for (unsigned s = 0; s < STRICT_SUITES; s++) {
		struct rig *g = rig_new(s, false);
		struct bytes b = exported(g);

		for (size_t n = 0; n <= sizeof(b.p); n++)
			if (n != b.n)
				import_fails(b.p, n);
		rig_free(&g);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rig *g = rig_new(bad[i].suite, false);
		struct bytes b = exported(g);

		b.p[bad[i].at] = (uint8_t)bad[i].value;
		import_fails(b.p, b.n);
		rig_free(&g);
	}
}

static void
short_memory_changes_nothing(void **state)
{
	struct rig *g = rig_new(0, false);
	struct bytes b = exported(g);
	struct transport *t = NULL;

	(void)state;
	mem_fail_nth(1);
	assert_int_equal(tls_record_ops.import(b.p, b.n, &t), -ENOMEM);
	mem_fail_nth(0);
	assert_null(t);
	rig_free(&g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_moved_connection_goes_on),
		cmocka_unit_test(an_export_is_small),
		cmocka_unit_test(a_message_under_way_and_what_is_owed_move_too),
		cmocka_unit_test(counters_move_too),
		cmocka_unit_test(
		    export_says_when_there_is_no_room_or_no_connection),
		cmocka_unit_test(other_lengths_and_fields_are_refused),
		cmocka_unit_test(short_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
