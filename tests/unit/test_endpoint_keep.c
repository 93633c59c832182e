/* SPDX-License-Identifier: Apache-2.0 */
/* What of the endpoint table is stored, and what comes back after a start
 * (core/endpoint/endpoint_keep.c), with a keeper that is an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "endpoint/endpoint_priv.h"
#include "endpoint/recovery.h"
#include "../lib/event_tap.h"

#define ROWS 4000

static struct event_tap tap;
static struct endpoint_table *table;
static struct endpoint_facts row[ROWS];
static char row_id[ROWS][ENDPOINT_ID_MAX + 1];
static size_t rows;
static unsigned saves;
static int fail_save;			/* this save fails, counted from 1 */
static _Atomic unsigned nudges;
static _Atomic uint64_t mono = 1000;	/* the publisher reads it */

static void
nudge(void *ctx)
{
	(void)ctx;
	nudges++;
}

static uint64_t
fake_mono(void)
{
	return mono;
}

static int64_t
fake_wall(void)
{
	return 1800000000000 + (int64_t)mono;
}

static void
new_table(bool keep)
{
	static const struct endpoint_keeper keeper = { nudge, NULL };

	assert_int_equal(endpoint_table_new(tap.bus, &table), 0);
	if (keep)
		endpoint_table_keep(table, &keeper);
}

static int
set_up(void **state)
{
	(void)state;
	rows = 0;
	saves = 0;
	nudges = 0;
	fail_save = 0;
	mono = 1000;
	clock_replace(fake_mono, fake_wall);
	if (event_tap_start(&tap) != 0)
		return -1;
	new_table(true);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	event_tap_stop(&tap);
	endpoint_table_free(&table);
	clock_replace(NULL, NULL);
	return 0;
}

static int
save(void *ctx, const struct endpoint_facts *f)
{
	size_t i;

	(void)ctx;
	if (++saves == (unsigned)fail_save)
		return -ENOSPC;
	for (i = 0; i < rows && strcmp(row_id[i], f->id) != 0; i++)
		continue;
	if (i == rows) {
		assert_true(rows < ROWS);
		(void)snprintf(row_id[rows++], sizeof(row_id[0]), "%s", f->id);
	}
	row[i] = *f;
	row[i].id = row_id[i];
	return 0;
}

static const struct endpoint_facts *
stored(const char *id)
{
	for (size_t i = 0; i < rows; i++)
		if (strcmp(row_id[i], id) == 0)
			return &row[i];
	return NULL;
}

static void
flush(int error)
{
	(void)endpoint_table_collect(table, save, NULL);
	endpoint_table_settled(table, error);
}

static struct endpoint *
online(const char *id, uint64_t channel)
{
	const struct endpoint_claim c = {
		.id = id, .place = { channel, 0 }, .security = SECURITY_WSS,
		.peer = "", .agent = "", .credential = 77
	};
	struct endpoint_place old;
	struct endpoint *e = NULL;
	uint64_t number;

	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old), 0);
	return e;
}

/* Forgets memory, as kill -9 does, and reads what is stored. */
static void
restart(const struct endpoint_start *start)
{
	endpoint_table_give_up(table);
	endpoint_table_free(&table);
	new_table(true);
	for (size_t i = 0; i < rows; i++)
		assert_int_equal(endpoint_table_load(table, &row[i], start),
		    0);
	endpoint_table_loaded(table, start);
}

/* As the daemon does before devices come. */
static void
restart_and_flush(const struct endpoint_start *start)
{
	restart(start);
	while (endpoint_table_behind(table))
		flush(0);
}

static struct endpoint_facts
facts(const char *id)
{
	struct endpoint_facts f;

	assert_int_equal(endpoint_get(table, id, &f), 0);
	return f;
}

static void
an_endpoint_is_small(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct endpoint), 104);
}

static void
every_change_is_stored_once(void **state)
{
	struct endpoint *e = online("dev", 256);

	(void)state;
	assert_int_equal(nudges, 1);
	flush(0);
	assert_int_equal(saves, 1);
	assert_int_equal(stored("dev")->presence.state, PRESENCE_ONLINE);
	assert_int_equal(stored("dev")->number, 1);
	assert_int_equal(stored("dev")->credential, 77);
	assert_int_equal(stored("dev")->since_ms, fake_wall());
	assert_int_equal(stored("dev")->last_seen_ms, fake_wall());
	flush(0);
	assert_int_equal(saves, 1);
	/* A pong is not worth a write of its own. */
	mono += 500;
	endpoint_set_rtt(table, e, 256, 1234);
	flush(0);
	assert_int_equal(saves, 1);
	assert_int_equal(facts("dev").last_seen_ms, fake_wall());
	assert_int_equal(facts("dev").since_ms, fake_wall() - 500);
	endpoint_input(table, e, 256, PRESENCE_IN_INTENT, INTENT_SUSPENDING);
	flush(0);
	assert_int_equal(saves, 2);
	assert_int_equal(stored("dev")->presence.intent, INTENT_SUSPENDING);
	assert_int_equal(stored("dev")->rtt_us, 1234);
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_RESET);
	flush(0);
	assert_int_equal(stored("dev")->presence.state, PRESENCE_OFFLINE);
	assert_int_equal(stored("dev")->credential, 0);
	assert_int_equal(nudges, 3);
}

static void
what_was_not_committed_is_stored_again(void **state)
{
	struct endpoint *e = online("a", 256);

	(void)state;
	(void)online("b", 512);
	(void)endpoint_table_collect(table, save, NULL);
	assert_int_equal(saves, 2);
	/* Changed while the commit was under way: */
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_RESET);
	endpoint_table_settled(table, -EIO);
	flush(0);
	assert_int_equal(saves, 4);
	assert_int_equal(stored("a")->presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(stored("b")->presence.state, PRESENCE_ONLINE);
	e = online("a", 768);
	(void)endpoint_table_collect(table, save, NULL);
	nudges = 0;
	endpoint_input(table, e, 768, PRESENCE_IN_END, REASON_RESET);
	endpoint_table_settled(table, 0);
	assert_true(nudges > 0);
	flush(0);
	assert_int_equal(saves, 6);
	assert_int_equal(stored("a")->presence.state, PRESENCE_DISCONNECTED);
	/* One row that cannot be written keeps none back for good. */
	(void)online("a", 1024);
	(void)online("b", 1280);
	(void)online("c", 1536);
	fail_save = 7;
	assert_int_equal(endpoint_table_collect(table, save, NULL), -ENOSPC);
	endpoint_table_settled(table, -ENOSPC);
	flush(0);
	assert_int_equal(stored("a")->number, 3);
	assert_int_equal(stored("b")->number, 2);
	assert_int_equal(stored("c")->number, 1);
}

static void
many_changes_go_in_several_commits(void **state)
{
	char id[16];
	int flushes = 0;

	(void)state;
	for (unsigned i = 0; i < ROWS; i++) {
		(void)snprintf(id, sizeof(id), "d%u", i);
		(void)online(id, 256 + i);
	}
	while (rows < ROWS && flushes++ < 10) {
		nudges = 0;
		flush(0);
		assert_true(rows == ROWS || nudges > 0);
	}
	assert_int_equal(rows, ROWS);
	assert_int_equal(saves, ROWS);
}

struct told {
	struct endpoint_waiter w;
	unsigned calls;
	int error;
};

static void
tell(struct endpoint_waiter *w, int error)
{
	struct told *t = (struct told *)w;

	t->calls++;
	t->error = error;
}

static void
who_waits_is_told_when_it_is_durable(void **state)
{
	struct told a = { .w.fn = tell }, b = a, c = a;
	struct endpoint *e = online("dev", 256);

	(void)state;
	endpoint_wait(table, e, &a.w);
	(void)endpoint_table_collect(table, save, NULL);
	assert_int_equal(a.calls, 0);
	/* Said after the collection: not in this commit. */
	endpoint_input(table, e, 256, PRESENCE_IN_INTENT, INTENT_BYE);
	endpoint_wait(table, e, &b.w);
	endpoint_table_settled(table, 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.error, 0);
	assert_int_equal(b.calls, 0);
	(void)endpoint_table_collect(table, save, NULL);
	endpoint_table_settled(table, -ENOSPC);
	assert_int_equal(b.calls, 1);
	assert_int_equal(b.error, -ENOSPC);
	flush(0);
	/* All is stored: at once. */
	endpoint_wait(table, e, &c.w);
	assert_int_equal(c.calls, 1);
	assert_int_equal(c.error, 0);
	endpoint_input(table, e, 256, PRESENCE_IN_INTENT, INTENT_NONE);
	endpoint_wait(table, e, &c.w);
	endpoint_table_give_up(table);
	assert_int_equal(c.calls, 2);
	assert_int_equal(c.error, -ESHUTDOWN);
}

static void
without_a_keeper_nobody_waits(void **state)
{
	struct told a = { .w.fn = tell };

	(void)state;
	endpoint_table_free(&table);
	new_table(false);
	endpoint_wait(table, online("dev", 256), &a.w);
	assert_int_equal(a.calls, 1);
	for (unsigned i = 0; i < 2 * ENDPOINT_LEAP_NUMBERS; i++)
		(void)online("dev", 512 + i);
}

/* Each state of a live endpoint, and what it is after kill -9. */
static void
who_was_there_is_unknown_and_the_others_are_what_they_were(void **state)
{
	const struct endpoint_start start = { .epoch = 2, .killed = true,
	    .last_alive_ms = fake_wall() + 60000, .dead_ms = 35000 };
	static const char *const id[] = {
		"online", "suspect", "asleep", "offline", "disconnected",
		"announced"
	};
	struct endpoint *e[6];
	struct endpoint_facts f;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		e[i] = online(id[i], 256 * (i + 1));
	assert_int_equal(endpoint_known(table, "unlinked"), 0);
	endpoint_input(table, e[1], 512, PRESENCE_IN_UNANSWERED, 0);
	endpoint_sleep(table, e[2], 768, 1900000000000);
	endpoint_input(table, e[2], 768, PRESENCE_IN_END, REASON_PEER_CLOSE);
	endpoint_input(table, e[3], 1024, PRESENCE_IN_INTENT, INTENT_BYE);
	endpoint_input(table, e[3], 1024, PRESENCE_IN_END, REASON_PEER_CLOSE);
	endpoint_input(table, e[4], 1280, PRESENCE_IN_END, REASON_RESET);
	endpoint_input(table, e[5], 1536, PRESENCE_IN_INTENT,
	    INTENT_SHUTTING_DOWN);
	flush(0);
	mono += 100000;
	restart(&start);
	f = facts("online");
	assert_int_equal(f.presence.state, PRESENCE_UNKNOWN);
	assert_int_equal(f.presence.reason, REASON_START);
	assert_int_equal(f.number, 1 + ENDPOINT_LEAP_NUMBERS);
	assert_int_equal(f.revision, 2 + ENDPOINT_LEAP_REVISIONS);
	assert_int_equal(f.last_seen_ms, start.last_alive_ms - 35000);
	assert_int_equal(f.place.channel_id, 0);
	assert_int_equal(facts("suspect").presence.state, PRESENCE_UNKNOWN);
	assert_int_equal(facts("announced").presence.state, PRESENCE_UNKNOWN);
	f = facts("asleep");
	assert_int_equal(f.presence.state, PRESENCE_ASLEEP);
	assert_int_equal(f.asleep_until_ms, 1900000000000);
	assert_int_equal(f.last_seen_ms, stored("asleep")->last_seen_ms);
	assert_int_equal(f.since_ms, stored("asleep")->since_ms);
	assert_int_equal(f.revision, stored("asleep")->revision +
	    ENDPOINT_LEAP_REVISIONS);
	assert_int_equal(facts("offline").presence.state, PRESENCE_OFFLINE);
	assert_int_equal(facts("offline").presence.reason, REASON_BYE);
	f = facts("disconnected");
	assert_int_equal(f.presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(f.presence.reason, REASON_RESET);
	assert_int_equal(facts("unlinked").presence.state, PRESENCE_UNLINKED);
	/* The leap is stored in turn. */
	flush(0);
	assert_int_equal(stored("online")->number, 1 + ENDPOINT_LEAP_NUMBERS);
	/* A sleeper that was loaded can oversleep. */
	endpoint_table_sweep(table, 1900000000001, 0);
	assert_int_equal(facts("asleep").presence.state,
	    PRESENCE_DISCONNECTED);
}

static void
after_a_clean_end_nothing_leaps_and_sent_away_are_awaited(void **state)
{
	const struct endpoint_start start = { .epoch = 2, .killed = false };
	struct endpoint *e = online("sent", 256), *f = online("reset", 512);

	(void)state;
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_STOPPING);
	endpoint_input(table, f, 512, PRESENCE_IN_END, REASON_RESET);
	flush(0);
	restart(&start);
	assert_int_equal(facts("sent").presence.state, PRESENCE_UNKNOWN);
	assert_int_equal(facts("sent").number, 1);
	assert_int_equal(facts("sent").revision, 3);
	assert_int_equal(facts("reset").presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(facts("reset").revision, 2);
}

static void
numbers_never_go_back_however_long_the_store_stalls(void **state)
{
	const struct endpoint_start start = { .epoch = 2, .killed = true },
	    third = { .epoch = 3, .killed = true };
	struct endpoint_claim c = { .id = "dev", .peer = "", .agent = "",
	    .security = SECURITY_WSS };
	struct endpoint_place old;
	struct endpoint *e;
	uint64_t number, last = 0;

	(void)state;
	for (unsigned i = 0; i < ENDPOINT_LEAP_NUMBERS; i++) {
		c.place.channel_id = 256 + i;
		assert_int_equal(endpoint_claim(table, &c, &e, &last, &old),
		    0);
		if (i == 10)
			flush(-EIO);
	}
	c.place.channel_id = 9999;
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old),
	    -EAGAIN);
	assert_int_equal(facts("dev").place.channel_id, 256 + 999);
	/* Never stored: and still not given out again. */
	rows = 0;
	restart(&start);
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old), 0);
	assert_true(number > last);
	/* Again never stored. */
	last = number;
	restart(&third);
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old), 0);
	assert_true(number > last);
	flush(0);
	/* While a commit is under way numbers count for the next one. */
	for (unsigned i = 0; i < 600; i++)
		(void)online("dev", 20000 + i);
	(void)endpoint_table_collect(table, save, NULL);
	for (unsigned i = 0; i < 400; i++)
		(void)online("dev", 30000 + i);
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old),
	    -EAGAIN);
	endpoint_table_settled(table, 0);
	for (unsigned i = 0; i < 600; i++)
		(void)online("dev", 40000 + i);
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old),
	    -EAGAIN);
	last = facts("dev").number;
	restart(&third);
	/* Not before the leap is durable: this run may die as well. */
	assert_true(endpoint_table_behind(table));
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old),
	    -EAGAIN);
	flush(-EIO);
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old),
	    -EAGAIN);
	flush(0);
	assert_false(endpoint_table_behind(table));
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old), 0);
	assert_true(number > last);
}

static void
rows_that_make_no_sense_do_no_harm(void **state)
{
	const struct endpoint_start start = { .epoch = 2, .killed = true };
	struct endpoint_facts f = { .id = "no good", .number = 1 };

	(void)state;
	assert_int_equal(endpoint_table_load(table, &f, &start), -EINVAL);
	f = (struct endpoint_facts){ .id = "dev", .number = 4,
	    .presence = { 200, 200, 200 }, .since_ms = -5,
	    .last_seen_ms = INT64_MIN, .asleep_until_ms = INT64_MAX };
	assert_int_equal(endpoint_table_load(table, &f, &start), 0);
	assert_int_equal(endpoint_table_load(table, &f, &start), -EEXIST);
	assert_int_equal(facts("dev").presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(facts("dev").presence.intent, INTENT_NONE);
	assert_int_equal(facts("dev").last_seen_ms, 0);
	/* A row that was only admitted. */
	f = (struct endpoint_facts){ .id = "new" };
	assert_int_equal(endpoint_table_load(table, &f, &start), 0);
	assert_int_equal(facts("new").presence.state, PRESENCE_UNLINKED);
}

static void
who_is_forgotten_is_stored_no_more(void **state)
{
	struct endpoint_figures n;
	struct endpoint_facts f;
	struct endpoint *e = online("dev", 256);
	size_t events;

	(void)state;
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_RESET);
	(void)online("other", 512);
	endpoint_table_figures(table, &n);
	assert_int_equal(n.known, 2);
	assert_int_equal(endpoint_forget(table, "dev"), 0);
	assert_int_equal(endpoint_forget(table, "dev"), -ENOENT);
	assert_int_equal(endpoint_get(table, "dev", &f), -ENOENT);
	assert_int_equal(endpoint_table_count(table), 1);
	endpoint_table_figures(table, &n);
	assert_int_equal(n.known, 1);
	assert_int_equal(n.state[PRESENCE_ONLINE], 1);
	events = event_tap_sync(&tap);
	assert_int_equal(tap.got[events - 1].type, EVENT_ENDPOINT_FORGOTTEN);
	flush(0);
	assert_null(stored("dev"));
	/* It may come back, with higher numbers. */
	(void)online("dev", 768);
	assert_int_equal(facts("dev").number, 2);
	assert_true(facts("dev").revision > tap.got[events - 1].revision);
	endpoint_table_figures(table, &n);
	assert_int_equal(n.state[PRESENCE_ONLINE], 2);
	flush(0);
	assert_non_null(stored("dev"));
}

static void
known_ones_are_unlinked_until_they_come(void **state)
{
	(void)state;
	assert_int_equal(endpoint_known(table, "dev"), 0);
	assert_int_equal(endpoint_known(table, "dev"), 0);
	assert_int_equal(event_tap_sync(&tap), 1);
	assert_int_equal(tap.got[0].type, EVENT_ENDPOINT_UNLINKED);
	flush(0);
	assert_int_equal(stored("dev")->presence.state, PRESENCE_UNLINKED);
	(void)online("dev", 256);
	assert_int_equal(endpoint_known(table, "dev"), 0);
	assert_int_equal(facts("dev").presence.state, PRESENCE_ONLINE);
	assert_int_equal(endpoint_forget(table, "dev"), 0);
	assert_int_equal(endpoint_known(table, "dev"), 0);
	assert_int_equal(facts("dev").presence.state, PRESENCE_UNLINKED);
}

/* ---- recovery ----------------------------------------------------------- */

static const struct tapped *
recovered(void)
{
	size_t n = event_tap_sync(&tap);

	for (size_t i = 0; i < n; i++)
		if (tap.got[i].type == EVENT_DAEMON_RECOVERED)
			return &tap.got[i];
	return NULL;
}

static void
recovery_ends_when_all_have_come(void **state)
{
	const struct endpoint_start start = { .epoch = 2, .killed = true };

	(void)state;
	(void)online("a", 256);
	(void)online("b", 512);
	flush(0);
	restart_and_flush(&start);
	recovery_begin(table, 60000);
	assert_true(recovery_tick(table, 100) > 0);
	(void)online("a", 768);
	(void)online("c", 1024);	/* nobody waited for it */
	assert_true(recovery_tick(table, 100) > 0);
	assert_null(recovered());
	mono += 1500;
	(void)online("b", 1280);
	(void)online("b", 1536);
	assert_int_equal(recovery_tick(table, 100), 0);
	assert_non_null(recovered());
	assert_memory_equal(recovered()->detail,
	    "{\"expected\":2,\"heard\":2,\"disconnected\":0,", 41);
	assert_int_equal(recovery_tick(table, 100), 0);
}

static void
recovery_ends_with_its_window_in_slices(void **state)
{
	const struct endpoint_start start = { .epoch = 2, .killed = true };
	struct endpoint *e;
	char id[16];
	uint32_t next;
	unsigned calls = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(id, sizeof(id), "d%u", i);
		(void)online(id, 256 + i);
	}
	e = online("sleeper", 5000);
	endpoint_sleep(table, e, 5000, fake_wall() + 1000000);
	e = online("off", 5001);
	endpoint_input(table, e, 5001, PRESENCE_IN_INTENT,
	    INTENT_SHUTTING_DOWN);
	while (rows < 1002)
		flush(0);
	restart_and_flush(&start);
	recovery_begin(table, 60000);
	(void)online("d7", 9000);
	mono += 59999;
	assert_int_equal(recovery_tick(table, 100), 1);
	assert_int_equal(facts("d1").presence.state, PRESENCE_UNKNOWN);
	mono += 1;
	while ((next = recovery_tick(table, 100)) != 0) {
		assert_true(next <= 100);
		calls++;
	}
	assert_in_range(calls, 8, 16);
	assert_int_equal(facts("d1").presence.state, PRESENCE_DISCONNECTED);
	assert_int_equal(facts("d1").presence.reason, REASON_TIMEOUT);
	assert_int_equal(facts("d7").presence.state, PRESENCE_ONLINE);
	assert_int_equal(facts("sleeper").presence.state, PRESENCE_ASLEEP);
	assert_int_equal(facts("off").presence.state, PRESENCE_OFFLINE);
	assert_memory_equal(recovered()->detail, "{\"expected\":1002,"
	    "\"heard\":1,\"disconnected\":999,", 46);
}

static void
who_waits_for_nobody_has_nothing_to_recover(void **state)
{
	(void)state;
	recovery_begin(table, 60000);
	assert_int_equal(recovery_tick(table, 100), 0);
	assert_null(recovered());
}

/* ---- threads ------------------------------------------------------------ */

static _Atomic bool done;

static void *
keep_on(void *arg)
{
	(void)arg;
	while (!done)
		flush(0);
	return NULL;
}

static _Atomic unsigned called;

static void
count_call(struct endpoint_waiter *w, int error)
{
	(void)error;
	free(w);
	called++;
}

static void
a_keeper_on_its_own_thread_gets_the_last_state(void **state)
{
	struct endpoint_waiter *w;
	struct endpoint *e;
	unsigned waits = 0;
	pthread_t thread;
	char id[16];

	(void)state;
	done = false;
	called = 0;
	assert_int_equal(pthread_create(&thread, NULL, keep_on, NULL), 0);
	for (uint64_t i = 1; i < 20000; i++) {
		(void)snprintf(id, sizeof(id), "d%u", (unsigned)i % 50);
		e = online(id, i);
		if (i % 7 == 0) {
			w = calloc(1, sizeof(*w));
			assert_non_null(w);
			w->fn = count_call;
			endpoint_wait(table, e, w);
			waits++;
		}
		if (i % 3 == 0)
			endpoint_input(table, e, i, PRESENCE_IN_END,
			    REASON_RESET);
	}
	done = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	flush(0);
	assert_int_equal(called, waits);
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(id, sizeof(id), "d%u", i);
		assert_int_equal(stored(id)->revision, facts(id).revision);
		assert_int_equal(stored(id)->presence.state,
		    facts(id).presence.state);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_endpoint_is_small),
		T(every_change_is_stored_once),
		T(what_was_not_committed_is_stored_again),
		T(many_changes_go_in_several_commits),
		T(who_waits_is_told_when_it_is_durable),
		T(without_a_keeper_nobody_waits),
		T(who_was_there_is_unknown_and_the_others_are_what_they_were),
		T(after_a_clean_end_nothing_leaps_and_sent_away_are_awaited),
		T(numbers_never_go_back_however_long_the_store_stalls),
		T(rows_that_make_no_sense_do_no_harm),
		T(who_is_forgotten_is_stored_no_more),
		T(known_ones_are_unlinked_until_they_come),
		T(recovery_ends_when_all_have_come),
		T(recovery_ends_with_its_window_in_slices),
		T(who_waits_for_nobody_has_nothing_to_recover),
		T(a_keeper_on_its_own_thread_gets_the_last_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
