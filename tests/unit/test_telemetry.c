/* SPDX-License-Identifier: Apache-2.0 */
/* What devices report, on its way to the store (core/channel/telemetry.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/product_rig.h"
#include "base/mem.h"
#include "channel/completion.h"
#include "store/endpoints.h"

static struct product p;

static int
set_up(void **state)
{
	(void)state;
	product_start(&p);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	product_stop(&p);
	return 0;
}

static int
put(uint64_t seq)
{
	return channel_telemetry(product_channel(&p), 5, seq, "[1]", 3);
}

static int
patch(const char *json)
{
	return channel_inventory(product_channel(&p), 6, json, strlen(json));
}

static void
telemetry_is_acknowledged_after_the_commit(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(put(3), 0);
	rig_settle(&p.rig);
	assert_int_equal(p.done_n, 0);
	product_release(&p, false);
	assert_int_equal(p.done_n, 1);
	assert_int_equal(p.done.error, 0);
	assert_int_equal(p.done.request, 5);
	assert_int_equal(p.done.value, 3);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_TELEMETRY), 1);
}

static void
a_number_that_is_known_is_stored_and_told_once(void **state)
{
	(void)state;
	assert_int_equal(put(3), 0);
	assert_int_equal(put(3), 0);
	assert_int_equal(put(2), 0);
	product_settle(&p);
	assert_int_equal(p.done_n, 3);
	assert_int_equal(p.done.value, 3);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_TELEMETRY), 1);
}

static void
refused(enum report_kind kind, enum report_refusal why, uint64_t times)
{
	assert_int_equal(telemetry_refused(p.telemetry, kind, why), times);
}

static void
a_disk_that_fails_acknowledges_nothing(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(put(1), 0);
	assert_int_equal(patch("{\"a\":1}"), 0);
	product_release(&p, true);
	assert_int_equal(p.done_n, 2);
	assert_int_equal(p.done.error, -EIO);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_TELEMETRY), 0);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_INVENTORY), 0);
	refused(REPORT_TELEMETRY, REPORT_REFUSED_STORE, 1);
	refused(REPORT_INVENTORY, REPORT_REFUSED_STORE, 1);
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.telemetry_seq, 0);
}

static int
run_forget(struct store_job *j, struct store_db *db)
{
	(void)j;
	return store_endpoint_forget(db, "dev-1");
}

static void
nothing(struct store_job *j)
{
	(void)j;
}

static void
who_is_being_forgotten_does_not_come_back_by_reporting(void **state)
{
	static struct store_job j;

	(void)state;
	assert_int_equal(endpoint_forget_begin(p.rig.endpoints, "dev-1"), 0);
	j = (struct store_job){ .run = run_forget, .done = nothing };
	assert_int_equal(store_submit(p.store, &j), 0);
	assert_int_equal(put(1), 0);
	assert_int_equal(patch("{\"a\":1}"), -EAGAIN);
	product_settle(&p);
	assert_int_equal(p.done_n, 1);
	assert_int_equal(p.done.error, -EAGAIN);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_TELEMETRY), 0);
	refused(REPORT_TELEMETRY, REPORT_REFUSED_BUSY, 1);
	refused(REPORT_INVENTORY, REPORT_REFUSED_BUSY, 1);
}

/* Numbers count as known when a higher one is stored:
 * what was refused for now has to come again before the others. */
static void
nothing_passes_what_was_refused_for_now(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(put(3), 0);
	product_release(&p, true);
	assert_int_equal(p.done.error, -EIO);
	assert_int_equal(put(4), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, -EAGAIN);
	assert_int_equal(put(3), 0);
	assert_int_equal(put(4), 0);
	assert_int_equal(put(9), 0);
	product_settle(&p);
	assert_int_equal(p.done_n, 5);
	assert_int_equal(p.done.error, 0);
	assert_int_equal(p.done.value, 9);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_TELEMETRY), 3);
}

/* A new channel may begin where it likes: the device may have lost some. */
static void
another_channel_begins_anew(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(put(3), 0);
	product_release(&p, true);
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(put(4), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, 0);
	assert_int_equal(p.done.value, 4);
}

static void
hello_tells_the_last_number_that_is_durable(void **state)
{
	(void)state;
	assert_int_equal(p.telemetry_seq, 0);
	assert_int_equal(put(7), 0);
	product_settle(&p);
	/* Also while the disk stalls. */
	product_hold(&p);
	assert_int_equal(put(9), 0);
	rig_hang_up(&p.client);
	rig_settle(&p.rig);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.telemetry_seq, 7);
	product_release(&p, false);
	/* And after a kill. */
	product_restart(&p);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.telemetry_seq, 9);
	product_connect(&p, &p.other, "dev-2");
	assert_int_equal(p.telemetry_seq, 0);
}

static void
what_is_no_array_and_no_object_is_refused(void **state)
{
	(void)state;
	assert_int_equal(channel_telemetry(product_channel(&p), 1, 1, "{}", 2),
	    -EINVAL);
	assert_int_equal(channel_telemetry(product_channel(&p), 1, 1, "[", 1),
	    -EINVAL);
	assert_int_equal(put(0), -EINVAL);
	assert_int_equal(put(UINT64_MAX), -EINVAL);
	assert_int_equal(patch("[]"), -EINVAL);
	assert_int_equal(patch("{"), -EINVAL);
	product_settle(&p);
	assert_int_equal(p.done_n, 0);
	refused(REPORT_TELEMETRY, REPORT_REFUSED_INVALID, 4);
	refused(REPORT_INVENTORY, REPORT_REFUSED_INVALID, 2);
	for (int i = 0; i < REPORT_REFUSALS; i++)
		assert_true(strlen(report_refusal_name(
		    (enum report_refusal)i)) > 0);
}

static void
an_inventory_gets_a_revision_and_is_remembered(void **state)
{
	struct telemetry_facts f;

	(void)state;
	assert_int_equal(patch("{\"mac\":\"00-11-22-aA-bb-Cc\",\"addresses\":["
	    "\"10.1.2.3/24\",\"fe80::1/64\",\"127.0.0.1/8\",\"10.9.0.1\","
	    "\"172.16.0.9/16\",7,\"169.254.3.3/16\",\"10.0.0.1/33\"]}"), 0);
	product_settle(&p);
	assert_int_equal(p.done.value, 1);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_INVENTORY), 1);
	for (int i = 0; i < 2; i++) {
		assert_true(telemetry_facts(p.telemetry, "dev-1", &f));
		assert_true(f.has_mac);
		assert_memory_equal(f.mac, "\x00\x11\x22\xaa\xbb\xcc", 6);
		assert_int_equal(f.networks, 2);
		assert_int_equal(f.network[0].address, 0x0a010203);
		assert_int_equal(f.network[0].mask, 0xffffff00);
		assert_int_equal(f.network[1].mask, 0xffff0000);
		product_restart(&p);	/* the same after a kill */
	}
	product_connect(&p, &p.client, "dev-1");
	/* A merge patch: what it does not name stays. */
	assert_int_equal(patch("{\"mac\":null,\"disk\":1}"), 0);
	product_settle(&p);
	assert_int_equal(p.done.value, 2);
	assert_true(telemetry_facts(p.telemetry, "dev-1", &f));
	assert_false(f.has_mac);
	assert_int_equal(f.networks, 2);
	telemetry_forget(p.telemetry, "dev-1");
	assert_false(telemetry_facts(p.telemetry, "dev-1", &f));
}

static struct channel *replaced;
static void (*authenticated)(struct rig *, struct channel *,
    const struct channel_auth_result *);
static int late_word;

static void
patch_by_the_replaced(struct rig *r, struct channel *c,
    const struct channel_auth_result *result)
{
	late_word = channel_inventory(replaced, 9, "{\"model\":\"old\"}", 15);
	authenticated(r, c, result);
}

/* The device has said something newer on the new channel, perhaps. */
static void
a_replaced_channel_patches_nothing(void **state)
{
	(void)state;
	replaced = product_channel(&p);
	authenticated = p.rig.on_authenticated;
	p.rig.on_authenticated = patch_by_the_replaced;
	product_connect(&p, &p.other, "dev-1");
	product_settle(&p);
	assert_int_equal(late_word, -EAGAIN);
	assert_int_equal(product_events(&p, EVENT_ENDPOINT_INVENTORY), 0);
}

static void
more_reports_than_may_wait_are_refused(void **state)
{
	unsigned n = 0;

	(void)state;
	product_hold(&p);
	while (n < 100 && put(n + 1) == 0)
		n++;
	assert_int_equal(n, COMPLETIONS_MAX);
	assert_int_equal(patch("{}"), -EAGAIN);
	refused(REPORT_TELEMETRY, REPORT_REFUSED_BUSY, 1);
	refused(REPORT_INVENTORY, REPORT_REFUSED_BUSY, 1);
	product_release(&p, false);
	assert_int_equal(p.done_n, n);
	assert_int_equal(put(1000), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, -EAGAIN);
	assert_int_equal(put(n + 1), 0);
	assert_int_equal(put(1000), 0);
	product_settle(&p);
	assert_int_equal(p.done.error, 0);
	assert_int_equal(p.done.value, 1000);
}

static void
a_channel_that_ended_takes_no_acknowledgement(void **state)
{
	(void)state;
	product_hold(&p);
	assert_int_equal(put(1), 0);
	rig_hang_up(&p.client);
	rig_wait_empty(&p.rig);
	product_release(&p, false);
	assert_int_equal(p.done_n, 0);
	product_connect(&p, &p.client, "dev-1");
	assert_int_equal(p.telemetry_seq, 1);
}

static void
short_memory_is_told(void **state)
{
	int r = -ENOMEM;

	(void)state;
	assert_int_equal(put(1), 0);
	product_settle(&p);
	for (unsigned long n = 1; r == -ENOMEM; n++) {
		(void)mem_fail_nth(n);
		r = put(2);
		(void)mem_fail_nth(0);
	}
	assert_int_equal(r, 0);
	assert_true(telemetry_refused(p.telemetry, REPORT_TELEMETRY,
	    REPORT_REFUSED_MEMORY) > 0);
	product_settle(&p);
	assert_int_equal(p.done_n, 2);
}

/* Its number cannot be remembered, and the next one must not pass it. */
static void
the_first_report_in_short_memory_ends_the_channel(void **state)
{
	(void)state;
	(void)mem_fail_nth(1);
	assert_int_equal(put(1), -ENOMEM);
	(void)mem_fail_nth(0);
	rig_wait_empty(&p.rig);
}

static void
drain_asks_everybody_and_closes_who_stays(void **state)
{
	struct channel_worker *cw = channel_find(p.rig.cw[0],
	    p.rig.last_id) != NULL ? p.rig.cw[0] : p.rig.cw[1];
	struct rig_frame f;

	(void)state;
	assert_int_equal(channel_worker_drain(cw, 10000, "wss://b", "moved"),
	    0);
	/* It is asked at some time in the first half, and closed half a window
	 * after that. */
	for (int i = 0; i < 26 && p.asked_n == 0; i++)
		rig_advance(&p.rig, 200);
	assert_int_equal(p.asked_n, 1);
	assert_string_equal(p.asked[0], "drain wss://b");
	assert_true(p.window_ms > 4000 && p.window_ms <= 10000);
	assert_int_equal(p.rig.closed, 0);
	rig_advance(&p.rig, 5200);
	while (rig_frame(&p.client, &f) && f.first_byte != 0x88)
		continue;
	assert_int_equal(f.code, 1012);
	rig_settle(&p.rig);
	assert_int_equal(p.rig.closed, 1);
}

#define CROWD 40

/* How many of CROWD + 1 may be over when `ms` of 10 s are. */
static void
is_even(unsigned n, uint32_t ms)
{
	unsigned due = (CROWD + 1) * ms / 10000;

	/* Each worker rounds up, and looks every 100 ms. */
	assert_true(n + 2 >= due && n <= due + 3);
}

static void
a_drain_is_even_over_its_window(void **state)
{
	static struct rig_client crowd[CROWD];
	char id[20];

	(void)state;
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = (struct rig_client){ .fd = -1, .rig = &p.rig };
		(void)snprintf(id, sizeof(id), "dev-%d", i + 2);
		product_connect(&p, &crowd[i], id);
	}
	for (int i = 0; i < RIG_WORKERS; i++)
		assert_int_equal(channel_worker_drain(p.rig.cw[i], 20000,
		    "wss://b", "restart"), 0);
	/* The first half to ask, the second to close who did not go. */
	for (uint32_t ms = 500; ms <= 10000; ms += 500) {
		rig_advance(&p.rig, 500);
		is_even(p.asked_n, ms);
		assert_int_equal(p.rig.closed, 0);
	}
	assert_int_equal(p.asked_n, CROWD + 1);
	for (uint32_t ms = 500; ms <= 10000; ms += 500) {
		rig_advance(&p.rig, 500);
		rig_settle(&p.rig);
		is_even(p.rig.closed, ms);
	}
	rig_advance(&p.rig, 500);
	rig_wait_empty(&p.rig);
	assert_int_equal(p.rig.closed, CROWD + 1);
	assert_int_equal(p.rig.close_code, 1012);
	for (int i = 0; i < CROWD; i++)
		rig_hang_up(&crowd[i]);
}

static void
a_drain_that_is_given_up_lets_the_others_stay(void **state)
{
	(void)state;
	product_connect(&p, &p.other, "dev-2");
	for (int i = 0; i < RIG_WORKERS; i++)
		assert_int_equal(channel_worker_drain(p.rig.cw[i], 20000, "",
		    "restart"), 0);
	rig_advance(&p.rig, 9000);
	for (int i = 0; i < RIG_WORKERS; i++)
		channel_worker_drain_abort(p.rig.cw[i]);
	for (int i = 0; i < RIG_WORKERS; i++)
		assert_int_equal(channel_worker_drain_left(p.rig.cw[i]), 0);
	rig_advance(&p.rig, 15000);
	assert_int_equal(p.asked_n, 2);
	assert_int_equal(rig_channels(&p.rig), 2);
}

static void
a_drain_leaves_those_alone_who_came_back(void **state)
{
	(void)state;
	for (int i = 0; i < RIG_WORKERS; i++)
		assert_int_equal(channel_worker_drain(p.rig.cw[i], 2000, "",
		    "restart"), 0);
	rig_advance(&p.rig, 200);
	rig_hang_up(&p.client);
	rig_wait_empty(&p.rig);
	product_connect(&p, &p.client, "dev-1");
	rig_advance(&p.rig, 4000);
	assert_int_equal(rig_channels(&p.rig), 1);
}

/* Found by the campaign: balancing moved them out of the lists of a drain. */
static void
a_channel_that_moves_is_drained_where_it_is(void **state)
{
	unsigned from = channel_find(p.rig.cw[0], p.rig.last_id) == NULL;

	(void)state;
	for (int i = 0; i < RIG_WORKERS; i++)
		assert_int_equal(channel_worker_drain(p.rig.cw[i], 2000, "",
		    "restart"), 0);
	assert_int_equal(channel_migrate(p.rig.cw[from], p.rig.last_id,
	    !from), 0);
	rig_settle(&p.rig);
	assert_non_null(channel_find(p.rig.cw[!from], p.rig.last_id));
	rig_advance(&p.rig, 1200);
	assert_int_equal(p.asked_n, 1);
	assert_int_equal(p.rig.closed, 0);
	rig_advance(&p.rig, 1000);
	assert_int_equal(p.rig.closed, 1);
	assert_int_equal(p.rig.close_code, 1012);
}

static void
a_channel_that_comes_after_the_drain_is_closed(void **state)
{
	unsigned from = channel_find(p.rig.cw[0], p.rig.last_id) == NULL;

	(void)state;
	assert_int_equal(channel_worker_drain(p.rig.cw[from], 2000, "",
	    "restart"), 0);
	assert_int_equal(channel_migrate(p.rig.cw[from], p.rig.last_id,
	    !from), 0);
	rig_settle(&p.rig);
	assert_int_equal(p.rig.closed, 1);
	assert_int_equal(p.rig.close_code, 1012);
}

static void
a_window_of_nothing_closes_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < RIG_WORKERS; i++)
		assert_int_equal(channel_worker_drain(p.rig.cw[i], 0, "",
		    "restart"), 0);
	rig_advance(&p.rig, 200);
	assert_int_equal(p.rig.closed, 1);
	assert_int_equal(p.rig.close_code, 1012);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(telemetry_is_acknowledged_after_the_commit),
		TEST(a_number_that_is_known_is_stored_and_told_once),
		TEST(a_disk_that_fails_acknowledges_nothing),
		TEST(who_is_being_forgotten_does_not_come_back_by_reporting),
		TEST(nothing_passes_what_was_refused_for_now),
		TEST(another_channel_begins_anew),
		TEST(hello_tells_the_last_number_that_is_durable),
		TEST(what_is_no_array_and_no_object_is_refused),
		TEST(an_inventory_gets_a_revision_and_is_remembered),
		TEST(a_replaced_channel_patches_nothing),
		TEST(more_reports_than_may_wait_are_refused),
		TEST(a_channel_that_ended_takes_no_acknowledgement),
		TEST(short_memory_is_told),
		TEST(the_first_report_in_short_memory_ends_the_channel),
		TEST(drain_asks_everybody_and_closes_who_stays),
		TEST(a_drain_is_even_over_its_window),
		TEST(a_drain_that_is_given_up_lets_the_others_stay),
		TEST(a_drain_leaves_those_alone_who_came_back),
		TEST(a_channel_that_moves_is_drained_where_it_is),
		TEST(a_channel_that_comes_after_the_drain_is_closed),
		TEST(a_window_of_nothing_closes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
