/* SPDX-License-Identifier: Apache-2.0 */
/* Which of two channels stays (core/channel/takeover.c), who is kicked, and the
 * clone alarm (core/endpoint/clone.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/channel_rig.h"
#include "base/mem.h"
#include "channel/completion.h"

static struct rig rig;
static struct rig_client client, other;
static const struct rig_dial plain = { .early_n = 0 };

static int
set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	for (int i = 0; i < RIG_WORKERS; i++)
		rig.protocol[i].base.anonymous = false;
	client = other = (struct rig_client){ .fd = -1, .rig = &rig };
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rig_hang_up(&client);
	rig_hang_up(&other);
	rig_stop(&rig);
	return 0;
}

/* client is dev-1 by channel *ret_old; other has said hello as well. */
static void
contend(uint64_t *ret_old, uint64_t *ret_new)
{
	rig.limits.first_in_wins = true;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	assert_int_equal(rig_hello(&client, "dev-1"), 1);
	*ret_old = rig.last_id;
	rig_dial(&rig, &plain, &other);
	*ret_new = rig.last_id;
	assert_true(rig_send_text(&other, "hello dev-1 " RIG_TOKEN));
	rig_settle(&rig);
}

static void
expect_ping(struct rig_client *c)
{
	struct rig_frame f;

	assert_true(rig_frame(c, &f));
	assert_int_equal(f.first_byte, WS_FIN | WS_OP_PING);
}

static void
who_is_heard_has_the_right_of_way(void **state)
{
	uint64_t old, new;

	(void)state;
	contend(&old, &new);
	assert_int_equal(rig.authenticated, 1);
	expect_ping(&client);
	rig_advance(&rig, 1500);
	assert_int_equal(rig.authenticated, 1);
	assert_true(rig_send_frame(&client, WS_FIN | WS_OP_PONG, "x", 1));
	rig_expect_text(&other, "no -16");		/* EBUSY */
	assert_int_equal(rig.authenticated, 2);
	assert_int_equal(event_tap_sync(&rig.tap), 1);
	assert_int_equal(atomic_load(&rig.counters.refused_busy), 1);
	/* And the next one is asked about again. */
	rig_advance(&rig, 3000);
	assert_non_null(channel_find(rig.cw[0], old));
}

static void
who_is_not_heard_makes_room(void **state)
{
	uint64_t old, new;
	size_t n;

	(void)state;
	contend(&old, &new);
	rig_advance(&rig, 1900);
	assert_int_equal(rig.authenticated, 1);
	rig_advance(&rig, 200);
	rig_expect_text(&other, "ok 2 ws");
	n = event_tap_sync(&rig.tap);
	assert_int_equal(n, 3);
	assert_int_equal(rig.tap.got[1].type, EVENT_ENDPOINT_DISCONNECTED);
	assert_int_equal(rig.tap.got[1].reason, REASON_TIMEOUT);
	assert_int_equal(rig.tap.got[1].channel, 1);
	assert_int_equal(rig.tap.got[2].type, EVENT_ENDPOINT_ONLINE);
	assert_int_equal(rig.tap.got[2].channel, 2);
	assert_null(channel_find(rig.cw[0], old));
}

static void
the_question_finds_a_channel_on_another_worker(void **state)
{
	uint64_t old;

	(void)state;
	rig.limits.first_in_wins = true;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	old = rig.last_id;
	rig_settle(&rig);
	assert_int_equal(channel_migrate(rig.cw[0], old, 1), 0);
	/* The hello comes while it is on its way. */
	rig_dial(&rig, &plain, &other);
	assert_true(rig_send_text(&other, "hello dev-1 " RIG_TOKEN));
	rig_settle(&rig);
	assert_non_null(channel_find(rig.cw[1], old));
	expect_ping(&client);
	/* Who is being asked stays where it is. */
	assert_int_equal(channel_migrate(rig.cw[1], old, 0), -EBUSY);
	assert_true(rig_send_text(&client, "here"));
	rig_expect_text(&other, "no -16");
	assert_int_equal(channel_migrate(rig.cw[1], old, 0), 0);
	rig_settle(&rig);
	assert_non_null(channel_find(rig.cw[0], old));
}

static void
a_newcomer_may_go_meanwhile(void **state)
{
	uint64_t old, new;

	(void)state;
	contend(&old, &new);
	rig_hang_up(&other);
	rig_settle(&rig);
	assert_null(channel_find(rig.cw[0], new));
	rig_advance(&rig, 2500);
	assert_int_equal(rig.authenticated, 1);
	assert_int_equal(rig_channels(&rig), 0);	/* nobody answered */
}

static void
a_holder_may_go_meanwhile(void **state)
{
	uint64_t old, new;

	(void)state;
	contend(&old, &new);
	rig_hang_up(&client);
	rig_settle(&rig);
	rig_expect_text(&other, "ok 2 ws");
	assert_int_equal(event_tap_sync(&rig.tap), 3);
}

static void
the_deadline_of_a_hello_is_not_for_who_waits(void **state)
{
	uint64_t old, new;

	(void)state;
	rig.limits.auth_ms = 1000;
	contend(&old, &new);
	rig_advance(&rig, 1100);
	assert_int_equal(rig.authenticated, 1);
	rig_advance(&rig, 2000);
	assert_int_equal(rig.authenticated, 2);
}

static void
a_stop_leaves_no_question_behind(void **state)
{
	uint64_t old, new;

	(void)state;
	contend(&old, &new);
	/* rig_stop() and the leak checker are the test;
	 * a question that is still in a mailbox as well: */
	assert_true(rig_send_text(&other, "x"));
}

static void
of_many_newcomers_one_gets_in(void **state)
{
	struct rig_client more[3];
	struct rig_frame f;
	uint64_t old, new;
	unsigned in = 0;

	(void)state;
	contend(&old, &new);
	for (int i = 0; i < 3; i++) {
		more[i] = (struct rig_client){ .fd = -1, .rig = &rig };
		rig_dial(&rig, &plain, &more[i]);
		assert_true(rig_send_text(&more[i], "hello dev-1 " RIG_TOKEN));
	}
	rig_advance(&rig, 2100);
	/* They are asked in turn whether the first of them may stay: it may. */
	for (int turn = 0; turn < 4; turn++) {
		assert_true(rig_send_text(&other, "here"));
		for (int i = 0; i < 3; i++)
			(void)rig_send_text(&more[i], "here");
		rig_settle(&rig);
	}
	rig_advance(&rig, 2500);
	assert_int_equal(rig.authenticated, 5);
	assert_true(rig_frame(&other, &f));
	in += f.n > 2 && memcmp(f.p, "ok", 2) == 0;
	for (int i = 0; i < 3; i++) {
		assert_true(rig_frame(&more[i], &f));
		in += f.n > 2 && memcmp(f.p, "ok", 2) == 0;
		rig_hang_up(&more[i]);
	}
	assert_int_equal(in, 1);
}

/* ---- kicks -------------------------------------------------------------- */

static void
a_kick_closes_the_live_channel_with_its_code(void **state)
{
	size_t n;

	(void)state;
	rig_start(&rig);
	assert_int_equal(endpoint_kick(rig.endpoints, "dev-1", 4008, "no"),
	    -ENOENT);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	assert_int_equal(endpoint_kick(rig.endpoints, "dev-1", 4008, "no"), 0);
	rig_expect_close(&client, 4008);
	n = event_tap_sync(&rig.tap);
	assert_int_equal(rig.tap.got[n - 1].reason, REASON_KICKED);
}

static void
a_revoked_credential_ends_what_it_let_in(void **state)
{
	struct endpoint_facts f;
	size_t n;

	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	assert_int_equal(endpoint_get(rig.endpoints, "dev-1", &f), 0);
	assert_int_equal(endpoint_kick_credential(rig.endpoints, "dev-1",
	    f.credential + 1), -ENOENT);
	assert_int_equal(endpoint_kick_credential(rig.endpoints, "dev-1",
	    f.credential), 0);
	rig_expect_close(&client, 4005);
	n = event_tap_sync(&rig.tap);
	assert_int_equal(rig.tap.got[n - 1].reason, REASON_REVOKED);
}

static void
a_kick_bites_a_channel_on_its_way(void **state)
{
	uint64_t id;

	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	id = rig.last_id;
	rig_settle(&rig);
	assert_int_equal(channel_migrate(rig.cw[0], id, 1), 0);
	assert_int_equal(endpoint_kick(rig.endpoints, "dev-1", 4005, "out"),
	    0);
	rig_expect_close(&client, 4005);
}

static void
who_is_forgotten_is_closed(void **state)
{
	size_t n;

	(void)state;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	assert_int_equal(endpoint_forget(rig.endpoints, "dev-1"), 0);
	rig_expect_close(&client, 4004);
	n = event_tap_sync(&rig.tap);
	assert_int_equal(rig.tap.got[n - 1].type, EVENT_ENDPOINT_FORGOTTEN);
}

/* ---- clones ------------------------------------------------------------- */

static const struct clone_rules rules = { 3, 60000 };

static struct endpoint *
known(const char *id)
{
	static uint64_t channel;
	const struct endpoint_claim c = {
		.id = id, .place = { channel += 256, 0 }, .peer = "",
		.agent = "", .security = SECURITY_WS
	};
	struct endpoint_place old;
	struct endpoint *e;
	uint64_t number;

	assert_int_equal(endpoint_claim(rig.endpoints, &c, &e, &number, &old),
	    0);
	return e;
}

static void
seen(struct endpoint *e, const char *peer, const char *boot)
{
	const struct clone_sight s = { peer, boot };

	clone_replaced(rig.endpoints, e, &s, &rules);
}

static unsigned
alarms(void)
{
	size_t n = event_tap_sync(&rig.tap);
	unsigned found = 0;

	for (size_t i = 0; i < n; i++)
		found += rig.tap.got[i].type == EVENT_ENDPOINT_CLONE;
	return found;
}

static void
two_that_replace_each_other_are_told_once_a_window(void **state)
{
	struct endpoint *e;

	(void)state;
	rig_start(&rig);
	e = known("dev-1");
	seen(e, "192.0.2.1:1000", "one");
	seen(e, "192.0.2.1:1001", "two");
	assert_int_equal(alarms(), 0);
	seen(e, "192.0.2.1:1002", "one");
	assert_int_equal(alarms(), 1);
	for (int i = 0; i < 9; i++)
		seen(e, "192.0.2.1:1003", i % 2 == 0 ? "two" : "one");
	assert_int_equal(alarms(), 1);
	rig_advance(&rig, 60000);
	for (int i = 0; i < 3; i++)
		seen(e, i % 2 == 0 ? "192.0.2.1:5" : "192.0.2.2:5", "");
	assert_int_equal(alarms(), 2);
}

static void
one_that_comes_again_is_no_clone(void **state)
{
	struct endpoint *e;
	char peer[64];

	(void)state;
	rig_start(&rig);
	e = known("dev-1");
	for (int i = 0; i < 20; i++) {
		(void)snprintf(peer, sizeof(peer), "[2001:db8::1]:%d", i);
		seen(e, peer, "boot");
	}
	/* Two, but not often enough within the window. */
	e = known("dev-2");
	for (int i = 0; i < 20; i++) {
		seen(e, "192.0.2.1:1", i % 2 == 0 ? "one" : "two");
		rig_advance(&rig, 30016);
	}
	assert_int_equal(alarms(), 0);
}

static void
what_is_watched_is_bounded_and_may_lack_memory(void **state)
{
	struct endpoint *e;
	char id[16];

	(void)state;
	rig_start(&rig);
	e = known("first");
	seen(e, "a:1", "one");
	seen(e, "a:1", "two");
	for (unsigned i = 0; i < 2 * CLONES_MAX; i++) {
		(void)snprintf(id, sizeof(id), "d%u", i);
		seen(known(id), "a:1", "one");
	}
	seen(e, "a:1", "one");		/* was put out by the others */
	assert_int_equal(alarms(), 0);
	e = known("last");
	(void)mem_fail_nth(1);
	seen(e, "a:1", "one");
	(void)mem_fail_nth(0);
	seen(e, "a:1", "two");
	seen(e, "a:1", "one");
	assert_int_equal(alarms(), 0);
	seen(e, "a:1", "two");
	assert_int_equal(alarms(), 1);
}

/* ---- memory and announcements ------------------------------------------- */

static void
a_contest_without_memory_is_try_later(void **state)
{
	struct channel *c;
	unsigned refused = 0;

	(void)state;
	rig.limits.first_in_wins = true;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	(void)rig_hello(&client, "dev-1");
	/* The mail of a claim, then the question. */
	for (unsigned long n = 1; n <= 3; n++) {
		rig_dial(&rig, &plain, &other);
		c = channel_find(rig.cw[0], rig.last_id);
		c->pre->endpoint = mem_strdup("dev-1");
		c->pre->agent = mem_strdup("");
		c->pre->boot_id = mem_strdup("");
		(void)mem_fail_nth(n);
		takeover_begin(c);
		(void)mem_fail_nth(0);
		assert_int_equal(c->pre->contested, n == 3);
		if (n < 3) {
			rig_expect_text(&other, "no -11");	/* EAGAIN */
			refused++;
		}
		rig_hang_up(&other);
		rig_settle(&rig);
	}
	assert_int_equal(refused, 2);
}

static uint64_t told_request;
static int told_error;

static void
on_completed(struct channel *c, const struct channel_completion *what)
{
	(void)c;
	told_request = what->request;
	told_error = what->error;
}

static void
an_announcement_is_settled_at_once_where_nothing_is_stored(void **state)
{
	struct channel *c;

	(void)state;
	rig.protocol[0].base.completed = on_completed;
	rig_start(&rig);
	rig_dial(&rig, &plain, &client);
	c = channel_find(rig.cw[0], rig.last_id);
	assert_int_equal(channel_announce_settle(c, 4), -EPERM);
	(void)rig_hello(&client, "dev-1");
	(void)mem_fail_nth(1);
	assert_int_equal(channel_announce_settle(c, 4), -ENOMEM);
	(void)mem_fail_nth(0);
	told_request = 0;
	told_error = -1;
	assert_int_equal(channel_announce(c, POWER_REBOOTING), 0);
	assert_int_equal(channel_announce_settle(c, 4), 0);
	assert_int_equal(told_request, 0);	/* never inside the call */
	rig_settle(&rig);
	assert_int_equal(told_request, 4);
	assert_int_equal(told_error, 0);
	for (int i = 0; i < COMPLETIONS_MAX; i++)
		assert_int_equal(channel_announce_settle(c, 5), 0);
	assert_int_equal(channel_announce_settle(c, 6), -EAGAIN);
	rig_settle(&rig);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(who_is_heard_has_the_right_of_way),
		T(who_is_not_heard_makes_room),
		T(the_question_finds_a_channel_on_another_worker),
		T(a_newcomer_may_go_meanwhile),
		T(a_holder_may_go_meanwhile),
		T(the_deadline_of_a_hello_is_not_for_who_waits),
		T(a_stop_leaves_no_question_behind),
		T(of_many_newcomers_one_gets_in),
		T(a_kick_closes_the_live_channel_with_its_code),
		T(a_revoked_credential_ends_what_it_let_in),
		T(a_kick_bites_a_channel_on_its_way),
		T(who_is_forgotten_is_closed),
		T(two_that_replace_each_other_are_told_once_a_window),
		T(one_that_comes_again_is_no_clone),
		T(what_is_watched_is_bounded_and_may_lack_memory),
		T(a_contest_without_memory_is_try_later),
		T(an_announcement_is_settled_at_once_where_nothing_is_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
