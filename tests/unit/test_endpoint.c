/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint table (core/endpoint/endpoint.c), seen through the bus. */
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

#include "base/mem.h"
#include "endpoint/endpoint.h"
#include "../lib/event_tap.h"

static struct event_tap tap;
static struct endpoint_table *table;

static int
set_up(void **state)
{
	(void)state;
	return event_tap_start(&tap) != 0 ||
	    endpoint_table_new(tap.bus, &table) != 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	event_tap_stop(&tap);
	endpoint_table_free(&table);
	return 0;
}

static struct endpoint *
claim(const char *id, uint64_t channel, unsigned worker, uint64_t *ret_number,
    struct endpoint_place *ret_old)
{
	const struct endpoint_claim c = {
		.id = id, .place = { channel, worker },
		.security = SECURITY_WSS, .peer = "192.0.2.1:7", .agent = "a/1"
	};
	struct endpoint *e = NULL;

	assert_int_equal(endpoint_claim(table, &c, &e, ret_number, ret_old),
	    0);
	assert_non_null(e);
	return e;
}

static struct endpoint *
online(const char *id, uint64_t channel)
{
	struct endpoint_place old;
	uint64_t number;

	return claim(id, channel, 0, &number, &old);
}

static void
the_first_claim_is_one_online_event(void **state)
{
	struct endpoint_place old = { 9, 9 };
	uint64_t number = 0;
	struct endpoint *e = claim("dev", 256, 1, &number, &old);

	(void)state;
	assert_int_equal(number, 1);
	assert_int_equal(old.channel_id, 0);
	assert_string_equal(endpoint_id(e), "dev");
	assert_int_equal(endpoint_table_count(table), 1);
	assert_int_equal(event_tap_sync(&tap), 1);
	assert_int_equal(tap.got[0].type, EVENT_ENDPOINT_ONLINE);
	assert_int_equal(tap.got[0].state, PRESENCE_ONLINE);
	assert_int_equal(tap.got[0].reason, REASON_HELLO);
	assert_int_equal(tap.got[0].security, SECURITY_WSS);
	assert_int_equal(tap.got[0].channel, 1);
	assert_int_equal(tap.got[0].revision, 1);
	assert_string_equal(tap.got[0].endpoint, "dev");
	assert_string_equal(tap.got[0].peer, "192.0.2.1:7");
	assert_string_equal(tap.got[0].text, "a/1");
}

static void
a_takeover_is_one_replaced_event_and_names_the_old_place(void **state)
{
	struct endpoint_place old;
	uint64_t number;

	(void)state;
	(void)claim("dev", 256, 1, &number, &old);
	(void)claim("dev", 512, 3, &number, &old);
	assert_int_equal(number, 2);
	assert_int_equal(old.channel_id, 256);
	assert_int_equal(old.worker, 1);
	assert_int_equal(endpoint_table_count(table), 1);
	assert_int_equal(event_tap_sync(&tap), 2);
	assert_int_equal(tap.got[1].type, EVENT_ENDPOINT_REPLACED);
	assert_int_equal(tap.got[1].old_channel, 1);
	assert_int_equal(tap.got[1].channel, 2);
	assert_int_equal(tap.got[1].revision, 2);
	assert_int_equal(tap.got[1].state, PRESENCE_ONLINE);
}

static void
late_words_of_an_old_channel_change_nothing(void **state)
{
	struct endpoint *e = online("dev", 256);
	struct endpoint *again;

	(void)state;
	assert_ptr_equal(online("dev", 512), e);
	endpoint_input(table, e, 256, PRESENCE_IN_UNANSWERED, 0);
	endpoint_input(table, e, 256, PRESENCE_IN_INTENT, INTENT_BYE);
	endpoint_sleep(table, e, 256, 1);
	endpoint_set_rtt(table, e, 256, 77);
	assert_int_equal(endpoint_publish(table, e, 256, "{}", 2), -EPERM);
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_RESET);
	assert_int_equal(endpoint_moved(table, "dev",
	    (struct endpoint_place){ 256, 2 }, &again), -ESTALE);
	assert_int_equal(event_tap_sync(&tap), 2);
	/* The live one's end is what it is, not what the old one announced. */
	endpoint_input(table, e, 512, PRESENCE_IN_END, REASON_TIMEOUT);
	assert_int_equal(event_tap_sync(&tap), 3);
	assert_int_equal(tap.got[2].type, EVENT_ENDPOINT_DISCONNECTED);
	assert_int_equal(tap.got[2].reason, REASON_TIMEOUT);
	assert_int_equal(tap.got[2].channel, 2);
	assert_int_equal(tap.got[2].rtt_us, 0);
	assert_int_equal(tap.got[2].security, SECURITY_NONE);
	/* After the end nobody is live; a second end is late as well. */
	endpoint_input(table, e, 512, PRESENCE_IN_END, REASON_TIMEOUT);
	assert_int_equal(event_tap_sync(&tap), 3);
	(void)online("dev", 768);
	assert_int_equal(event_tap_sync(&tap), 4);
	assert_int_equal(tap.got[3].type, EVENT_ENDPOINT_ONLINE);
	assert_int_equal(tap.got[3].channel, 3);
	assert_int_equal(tap.got[3].revision, 4);
}

static void
suspect_and_heard_are_one_event_each(void **state)
{
	struct endpoint *e = online("dev", 256);

	(void)state;
	endpoint_set_rtt(table, e, 256, 1234);
	endpoint_input(table, e, 256, PRESENCE_IN_UNANSWERED, 0);
	endpoint_input(table, e, 256, PRESENCE_IN_UNANSWERED, 0);
	endpoint_input(table, e, 256, PRESENCE_IN_HEARD, 0);
	endpoint_input(table, e, 256, PRESENCE_IN_HEARD, 0);
	assert_int_equal(event_tap_sync(&tap), 3);
	assert_int_equal(tap.got[1].type, EVENT_ENDPOINT_SUSPECT);
	assert_int_equal(tap.got[1].rtt_us, 1234);
	assert_int_equal(tap.got[2].type, EVENT_ENDPOINT_ONLINE);
	assert_int_equal(tap.got[2].reason, REASON_HEARD);
}

static void
a_sleeper_is_asleep_until_its_time_and_grace_are_over(void **state)
{
	struct endpoint *e = online("dev", 256);

	(void)state;
	endpoint_sleep(table, e, 256, 10000);
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_PEER_CLOSE);
	assert_int_equal(event_tap_sync(&tap), 2);
	assert_int_equal(tap.got[1].type, EVENT_ENDPOINT_ASLEEP);
	endpoint_table_sweep(table, 10499, 500);
	assert_int_equal(event_tap_sync(&tap), 2);
	endpoint_table_sweep(table, 10500, 500);
	assert_int_equal(event_tap_sync(&tap), 3);
	assert_int_equal(tap.got[2].type, EVENT_ENDPOINT_DISCONNECTED);
	assert_int_equal(tap.got[2].reason, REASON_TIMEOUT);
	endpoint_table_sweep(table, 99999, 500);
	assert_int_equal(event_tap_sync(&tap), 3);
}

static void
who_wakes_up_is_not_overdue_and_may_sleep_again(void **state)
{
	struct endpoint *e = online("dev", 256);

	(void)state;
	endpoint_sleep(table, e, 256, 10000);
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_PEER_CLOSE);
	(void)online("dev", 512);
	/* Before a sweep has forgotten the first sleep: */
	endpoint_sleep(table, e, 512, 30000);
	endpoint_input(table, e, 512, PRESENCE_IN_END, REASON_PEER_CLOSE);
	endpoint_table_sweep(table, 20000, 0);
	assert_int_equal(event_tap_sync(&tap), 4);
	assert_int_equal(tap.got[3].state, PRESENCE_ASLEEP);
	/* And behind it: */
	(void)online("dev", 768);
	endpoint_table_sweep(table, 40000, 0);
	assert_int_equal(event_tap_sync(&tap), 5);
	endpoint_sleep(table, e, 768, 50000);
	endpoint_input(table, e, 768, PRESENCE_IN_END, REASON_PEER_CLOSE);
	endpoint_table_sweep(table, 49999, 0);
	assert_int_equal(event_tap_sync(&tap), 6);
	endpoint_table_sweep(table, 50000, 0);
	assert_int_equal(event_tap_sync(&tap), 7);
	assert_int_equal(tap.got[6].state, PRESENCE_DISCONNECTED);
}

/* The time comes from a device. */
static void
absurd_times_of_sleep_overflow_nothing(void **state)
{
	struct endpoint *e = online("dev", 256), *f = online("dev2", 512);

	(void)state;
	endpoint_sleep(table, e, 256, INT64_MAX);
	endpoint_sleep(table, f, 512, INT64_MIN);
	endpoint_input(table, e, 256, PRESENCE_IN_END, REASON_RESET);
	endpoint_input(table, f, 512, PRESENCE_IN_END, REASON_RESET);
	endpoint_table_sweep(table, 1800000000000, 35000);
	assert_int_equal(event_tap_sync(&tap), 5);
	assert_string_equal(tap.got[4].endpoint, "dev2");
	assert_int_equal(tap.got[4].state, PRESENCE_DISCONNECTED);
}

static void
a_message_is_published_as_it_is(void **state)
{
	struct endpoint *e = online("dev", 256);

	(void)state;
	assert_int_equal(endpoint_publish(table, e, 256, "{\"a\":1}", 7), 0);
	assert_int_equal(event_tap_sync(&tap), 2);
	assert_int_equal(tap.got[1].type, EVENT_ENDPOINT_MESSAGE);
	assert_string_equal(tap.got[1].detail, "{\"a\":1}");
	assert_int_equal(tap.got[1].revision, 1);
}

static void
a_moved_channel_is_taken_over_where_it_is_now(void **state)
{
	struct endpoint *e = online("dev", 256), *again = NULL;
	struct endpoint_place old;
	uint64_t number;

	(void)state;
	assert_int_equal(endpoint_moved(table, "nobody",
	    (struct endpoint_place){ 256, 5 }, &again), -ENOENT);
	assert_int_equal(endpoint_moved(table, "dev",
	    (struct endpoint_place){ 256, 5 }, &again), 0);
	assert_ptr_equal(again, e);
	(void)claim("dev", 512, 0, &number, &old);
	assert_int_equal(old.worker, 5);
	assert_int_equal(old.channel_id, 256);
}

static void
thousands_of_ids_of_every_length_are_found_again(void **state)
{
	char id[ENDPOINT_ID_MAX + 1];
	struct endpoint_place old;
	uint64_t number;

	(void)state;
	for (int round = 1; round <= 2; round++)
		for (unsigned i = 0; i < 5000; i++) {
			(void)snprintf(id, sizeof(id), "%0*u", 1 + (int)i % 128,
			    i);
			/* Collisions of short widths are wanted. */
			(void)claim(id, i * 2 + (unsigned)round, 0, &number,
			    &old);
			assert_true(number >= (unsigned)round);
		}
	assert_true(endpoint_table_count(table) <= 5000);
	assert_true(endpoint_table_count(table) > 4000);
}

static void
no_more_than_the_maximum_and_not_fewer(void **state)
{
	struct endpoint_claim c = {
		.place = { 1, 0 }, .security = SECURITY_WS, .peer = "",
		.agent = ""
	};
	struct endpoint_place old;
	struct endpoint *e, *kept;
	uint64_t number;
	char id[16];

	(void)state;
	c.id = id;
	/* Without a bus: a million events are not what is looked at. */
	endpoint_table_free(&table);
	assert_int_equal(endpoint_table_new(NULL, &table), 0);
	for (unsigned i = 0; i < ENDPOINTS_MAX; i++) {
		(void)snprintf(id, sizeof(id), "d%u", i);
		assert_int_equal(endpoint_claim(table, &c, &e, &number, &old),
		    0);
	}
	kept = e;
	(void)snprintf(id, sizeof(id), "one-more");
	number = 4711;
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old),
	    -ENOSPC);
	assert_ptr_equal(e, kept);
	assert_int_equal(number, 4711);
	assert_int_equal(endpoint_table_count(table), ENDPOINTS_MAX);
	/* Known ones are still served. */
	(void)snprintf(id, sizeof(id), "d77");
	assert_int_equal(endpoint_claim(table, &c, &e, &number, &old), 0);
	assert_int_equal(number, 2);
}

static void
a_claim_without_memory_changes_nothing(void **state)
{
	const struct endpoint_claim c = {
		.id = "an-id-that-is-too-long-for-its-node", .peer = "",
		.place = { 256, 0 }, .security = SECURITY_WS, .agent = ""
	};
	struct endpoint_place old;
	struct endpoint *e = NULL;
	unsigned long n;
	uint64_t number = 0;
	int r = -ENOMEM;

	(void)state;
	endpoint_table_free(&table);
	for (n = 1; table == NULL; n++) {
		(void)mem_fail_nth(n);
		r = endpoint_table_new(NULL, &table);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
	}
	assert_int_equal(n, 3);
	r = -ENOMEM;
	for (n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = endpoint_claim(table, &c, &e, &number, &old);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM);
		if (r != 0) {
			assert_int_equal(endpoint_table_count(table), 0);
			assert_null(e);
			assert_int_equal(number, 0);
		}
	}
	assert_true(n > 3);
	assert_int_equal(number, 1);
}

/* ---- threads ------------------------------------------------------------ */

#define THREADS 8
#define SHARED_IDS 4
#define ROUNDS 400

struct crowd {
	pthread_t thread;
	unsigned index;
};

static void *
claim_and_end(void *arg)
{
	const struct crowd *me = arg;
	struct endpoint_place old;
	struct endpoint *e;
	uint64_t number;
	char id[16];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct endpoint_claim c = {
			.id = id, .security = SECURITY_WSS, .peer = "",
			.agent = "", .place = { (i + 1) * 256 + me->index,
			    me->index }
		};

		(void)snprintf(id, sizeof(id), "dev-%u", i % SHARED_IDS);
		if (endpoint_claim(table, &c, &e, &number, &old) != 0)
			abort();
		endpoint_input(table, e, c.place.channel_id,
		    PRESENCE_IN_UNANSWERED, 0);
		endpoint_input(table, e, c.place.channel_id, PRESENCE_IN_HEARD,
		    0);
		if (i % 3 == 0)
			endpoint_sleep(table, e, c.place.channel_id, 5);
		endpoint_input(table, e, c.place.channel_id, PRESENCE_IN_END,
		    REASON_RESET);
		if (i % 16 == 0)
			endpoint_table_sweep(table, 10, 0);
		event_kick(tap.bus);
	}
	return NULL;
}

/* On the bus each endpoint's revisions rise one by one, its channel numbers
 * never fall, and an end is of the channel that was live. */
static void
check_order(size_t n, const char *id)
{
	uint64_t revision = 0, live = 0, last = 0;

	for (size_t i = 0; i < n; i++) {
		const struct tapped *e = &tap.got[i];

		if (strcmp(e->endpoint, id) != 0)
			continue;
		assert_int_equal(e->revision, revision + 1);
		revision = e->revision;
		if (e->type == EVENT_ENDPOINT_REPLACED) {
			assert_int_equal(e->old_channel, live);
			assert_int_equal(e->channel, last + 1);
			live = last = e->channel;
		} else if (e->reason == REASON_HELLO) {
			assert_int_equal(live, 0);
			assert_int_equal(e->channel, last + 1);
			live = last = e->channel;
		} else {
			assert_int_equal(e->channel, last);
		}
		if (e->state != PRESENCE_ONLINE && e->state != PRESENCE_SUSPECT)
			live = 0;
		else
			assert_true(live != 0);
	}
	assert_true(revision > 0);
}

static void
events_of_an_endpoint_are_in_order_whoever_causes_them(void **state)
{
	struct crowd crowd[THREADS];
	char id[16];
	size_t n;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		crowd[i].index = i;
		assert_int_equal(pthread_create(&crowd[i].thread, NULL,
		    claim_and_end, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(crowd[i].thread, NULL), 0);
	n = event_tap_sync(&tap);
	assert_true(n >= THREADS * ROUNDS);
	for (unsigned i = 1; i < n; i++)
		assert_int_equal(tap.got[i].seq, tap.got[i - 1].seq + 1);
	for (unsigned i = 0; i < SHARED_IDS; i++) {
		(void)snprintf(id, sizeof(id), "dev-%u", i);
		check_order(n, id);
	}
}

static void
figures_count_every_endpoint_once_in_its_state(void **state)
{
	struct endpoint_figures f;
	char id[16];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		(void)snprintf(id, sizeof(id), "dev-%u", i);
		endpoint_input(table, online(id, i + 1), i + 1,
		    i % 4 == 0 ? PRESENCE_IN_END : PRESENCE_IN_UNANSWERED,
		    REASON_RESET);
	}
	endpoint_table_figures(table, &f);
	assert_int_equal(f.state[PRESENCE_DISCONNECTED], 5000);
	assert_int_equal(f.state[PRESENCE_SUSPECT], 15000);
	assert_int_equal(f.state[PRESENCE_ONLINE], 0);
	assert_int_equal(f.live[SECURITY_WSS], 15000);
	assert_int_equal(f.live[SECURITY_NONE], 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_claim_is_one_online_event),
		T(a_takeover_is_one_replaced_event_and_names_the_old_place),
		T(late_words_of_an_old_channel_change_nothing),
		T(suspect_and_heard_are_one_event_each),
		T(a_sleeper_is_asleep_until_its_time_and_grace_are_over),
		T(who_wakes_up_is_not_overdue_and_may_sleep_again),
		T(absurd_times_of_sleep_overflow_nothing),
		T(a_message_is_published_as_it_is),
		T(a_moved_channel_is_taken_over_where_it_is_now),
		T(thousands_of_ids_of_every_length_are_found_again),
		T(no_more_than_the_maximum_and_not_fewer),
		T(a_claim_without_memory_changes_nothing),
		T(figures_count_every_endpoint_once_in_its_state),
		T(events_of_an_endpoint_are_in_order_whoever_causes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
