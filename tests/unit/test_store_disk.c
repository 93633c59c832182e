/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/store on a disk and with memory that fail: what done() was told to be
 * stored is there afterwards, whole, and the database opens again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "event/event.h"
#include "store/commands.h"
#include "store/db.h"
#include "store/endpoints.h"
#include "store/store.h"
#include "store/telemetry.h"
#include "../lib/event_tap.h"
#include "../lib/lossy_vfs.h"
#include "../lib/store_rig.h"
#include "../lib/under_valgrind.h"

/* ---- a life of a store -------------------------------------------------- */

#define PER_LIFE 12			/* jobs, two at a time */
#define ITEMS (2 * PER_LIFE)

/* What a job stores: an endpoint, a command and a line of telemetry. */
struct item {
	char name[16];
	bool stored;			/* as done() was told */
};

static int
put_item(struct store_db *db, void *arg)
{
	struct item *it = arg;
	struct store_command c = { .id = it->name, .endpoint = it->name,
	    .verb = "x-a", .args = "{}", .by = "", .created_ms = 1 };
	uint64_t order, last, cursor;
	int r = store_rig_admit(db, it->name);

	if (r == 0)
		r = store_command_add(db, &c, &order);
	if (r == 0)
		r = store_telemetry_put(db, it->name, 1, 0, 1, "[1]", 3, &last,
		    &cursor);
	return r;
}

static void
endpoint_is_there(void *there, const struct store_endpoint *e)
{
	assert_int_equal(e->telemetry_seq, 1);
	*(bool *)there = true;
}

static void
command_is_there(void *there, const struct store_command *c)
{
	(void)c;
	*(bool *)there = true;
}

static bool
line_is_there(void *there, const struct store_telemetry *t)
{
	(void)t;
	*(bool *)there = true;
	return false;
}

static void
check_items(struct store_db *db, const struct item *items)
{
	bool endpoint, command, line;
	uint64_t oldest;
	int r;

	for (const struct item *it = items; it < items + ITEMS; it++) {
		endpoint = command = line = false;
		r = store_endpoint_get(db, it->name, endpoint_is_there,
		    &endpoint);
		assert_true(r == 0 || r == -ENOENT);
		r = store_command_get(db, it->name, command_is_there,
		    &command);
		assert_true(r == 0 || r == -ENOENT);
		assert_int_equal(store_telemetry_read(db, it->name, 0, 1,
		    &oldest, line_is_there, &line), 0);
		assert_int_equal(endpoint, command);
		assert_int_equal(endpoint, line);
		if (it->stored && !endpoint)
			fail_msg("%s was acknowledged and is lost", it->name);
	}
}

static void
name_items(struct item *items)
{
	for (int i = 0; i < ITEMS; i++) {
		items[i].stored = false;
		(void)snprintf(items[i].name, sizeof(items[i].name), "e%d", i);
	}
}

/* Opens, stores some and closes, whatever happens meanwhile.  -errno of opening
 * and starting, or of the last job. */
static int
live(struct item *items)
{
	struct store_opts o = store_rig_options();
	struct store_call c[2];
	struct store *s = NULL;
	char why[256];
	int r = store_rig_try(&o, why, &s);

	if (r != 0)
		return r;
	/* So that also copying the log back is disturbed. */
	r = db_exec(store_reader(s), "PRAGMA wal_autocheckpoint = 6");
	if (r == 0)
		r = store_start(s);
	for (int i = 0; r == 0 && i < PER_LIFE; i += 2) {
		for (int k = 0; k < 2; k++) {
			store_call_init(&c[k], put_item, &items[i + k]);
			assert_int_equal(store_submit(s, &c[k].job), 0);
		}
		for (int k = 0; k < 2; k++)
			items[i + k].stored = store_call_wait(&c[k]) == 0;
	}
	if (r == 0)
		r = c[1].job.error;
	store_free(&s);
	return r;
}

static void
check_afterwards(const struct item *items)
{
	struct store_opts o = store_rig_options();
	struct store *s;

	lossy_reset();
	s = store_rig_open(&o);
	check_items(store_reader(s), items);
	store_free(&s);
}

/* ---- power failures ----------------------------------------------------- */

/* Valgrind looks for leaks, for which some of the points will do. */
static unsigned long
stride(unsigned long step)
{
	return under_valgrind() ? 8 * step : step;
}

static void
every_failure(unsigned seed, unsigned long step)
{
	struct item items[ITEMS];
	bool dead;

	for (unsigned long n = 1;; n += stride(step)) {
		(void)store_rig_make(NULL);
		name_items(items);
		lossy_die_at(n, seed);
		(void)live(items);
		dead = lossy_is_dead();
		/* Once more, while it recovers from the first. */
		lossy_die_at(n * 7 % 60 + 1, seed);
		(void)live(items + PER_LIFE);
		check_afterwards(items);
		(void)store_rig_remove(NULL);
		if (!dead)
			break;
	}
}

static void
a_power_failure_loses_nothing_acknowledged(void **state)
{
	(void)state;
	every_failure(0, 1);
}

static void
nor_if_some_sectors_were_written(void **state)
{
	(void)state;
	every_failure(12345, 2);
	every_failure(98765, 3);
}

/* ---- errors ------------------------------------------------------------- */

static void
every_error(int code, int error)
{
	struct item items[ITEMS];
	bool hit;
	int r;

	for (unsigned long n = 1;; n += stride(2)) {
		(void)store_rig_make(NULL);
		name_items(items);
		lossy_fail_at(n, 1, code);
		r = live(items);
		hit = lossy_has_failed();
		assert_true(r == 0 || r == error || r == -EIO);
		check_afterwards(items);
		/* And it works again. */
		assert_int_equal(live(items + PER_LIFE), 0);
		check_afterwards(items);
		(void)store_rig_remove(NULL);
		if (!hit)
			break;
	}
}

static void
an_error_of_the_disk_at_any_point_loses_nothing(void **state)
{
	(void)state;
	every_error(SQLITE_IOERR_WRITE, -EIO);
	every_error(SQLITE_FULL, -ENOSPC);
}

static int
look(struct store_db *db, void *items)
{
	check_items(db, items);
	return 0;
}

static int
count_type(struct event_tap *tap, enum event_type type)
{
	size_t n = event_tap_sync(tap);
	int found = 0;

	(void)pthread_mutex_lock(&tap->lock);
	for (size_t i = 0; i < n; i++)
		found += tap->got[i].type == type;
	(void)pthread_mutex_unlock(&tap->lock);
	return found;
}

static void
a_full_disk_is_told_once_and_is_over_when_it_is_over(void **state)
{
	struct store_opts o = store_rig_options();
	struct item items[ITEMS];
	struct store_stats st;
	struct event_tap tap;
	struct store_call c;
	struct store *s;

	(void)state;
	lossy_reset();
	name_items(items);
	assert_int_equal(event_tap_start(&tap), 0);
	o.bus = tap.bus;
	s = store_rig_open(&o);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, put_item, &items[0]), 0);
	items[0].stored = true;
	lossy_fail_at(1, ULONG_MAX, SQLITE_FULL);
	for (int i = 1; i < 4; i++)
		assert_int_equal(store_call(s, put_item, &items[i]), -ENOSPC);
	store_stats(s, &st);
	assert_true(st.failing);
	assert_true(st.failed >= 3);
	/* What is stored can be read meanwhile. */
	store_call_init(&c, look, items);
	c.job.reads = true;
	assert_int_equal(store_submit(s, &c.job), 0);
	assert_int_equal(store_call_wait(&c), 0);
	assert_int_equal(count_type(&tap, EVENT_STORE_FAILING), 1);
	assert_int_equal(count_type(&tap, EVENT_STORE_RECOVERED), 0);
	lossy_reset();
	/* Nobody stores anything: it tries by itself. */
	assert_true(event_tap_wait(&tap, 2));
	assert_int_equal(store_call(s, put_item, &items[1]), 0);
	items[1].stored = true;
	store_stats(s, &st);
	assert_false(st.failing);
	assert_int_equal(count_type(&tap, EVENT_STORE_FAILING), 1);
	assert_int_equal(count_type(&tap, EVENT_STORE_RECOVERED), 1);
	store_free(&s);
	event_tap_stop(&tap);
	check_afterwards(items);
}

static void
an_end_that_could_not_store_is_none_in_order(void **state)
{
	struct store_opts o = store_rig_options();
	struct item items[ITEMS];
	struct store *s;

	(void)state;
	lossy_reset();
	name_items(items);
	s = store_rig_open(&o);
	assert_int_equal(store_start(s), 0);
	lossy_fail_at(1, ULONG_MAX, SQLITE_FULL);
	assert_int_equal(store_call(s, put_item, &items[0]), -ENOSPC);
	store_free(&s);
	lossy_reset();
	s = store_rig_open(&o);
	assert_true(store_was_killed(s));
	assert_int_equal(store_start(s), 0);
	store_free(&s);
	s = store_rig_open(&o);
	assert_false(store_was_killed(s));
	store_free(&s);
}

static void
a_run_is_marked_before_anything_else(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s;

	(void)state;
	lossy_reset();
	s = store_rig_open(&o);
	assert_int_equal(store_start(s), 0);
	lossy_die_at(1, 0);
	store_free(&s);
	lossy_reset();
	s = store_rig_open(&o);
	assert_true(store_was_killed(s));
	assert_true(store_last_alive_ms(s) > 0);
	store_free(&s);
}

static void
a_disk_that_stalls_holds_up_nobody_who_submits(void **state)
{
	struct store_opts o = store_rig_options();
	struct store_call first, more[64], last;
	struct store *s;

	(void)state;
	lossy_reset();
	s = store_rig_open(&o);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("a")), 0);
	lossy_stall(true);
	store_call_init(&first, store_rig_admit, NAME("b"));
	assert_int_equal(store_submit(s, &first.job), 0);
	lossy_wait_stalled();
	for (int i = 0; i < 64; i++) {
		store_call_init(&more[i], store_rig_admit, NAME("c"));
		assert_int_equal(store_submit(s, &more[i].job), 0);
	}
	store_call_init(&last, store_rig_admit, NAME("d"));
	assert_int_equal(store_submit(s, &last.job), -EAGAIN);
	assert_int_equal(sem_trywait(&first.done), -1);
	lossy_stall(false);
	assert_int_equal(store_call_wait(&first), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(store_call_wait(&more[i]), 0);
	(void)sem_destroy(&last.done);
	store_free(&s);
}

/* ---- memory, also SQLite's ---------------------------------------------- */

#define HEAD 16				/* for the size */

static void *
lend(int n)
{
	char *p = mem_alloc((size_t)n + HEAD);

	if (p == NULL)
		return NULL;
	memcpy(p, &n, sizeof(n));
	return p + HEAD;
}

static void
give_back(void *p)
{
	if (p != NULL)
		mem_free((char *)p - HEAD);
}

static void *
lend_again(void *p, int n)
{
	char *q = mem_realloc((char *)p - HEAD, (size_t)n + HEAD);

	if (q == NULL)
		return NULL;
	memcpy(q, &n, sizeof(n));
	return q + HEAD;
}

static int
lent(void *p)
{
	int n = 0;

	if (p != NULL)
		memcpy(&n, (char *)p - HEAD, sizeof(n));
	return n;
}

static int
round_up(int n)
{
	return (n + 7) & ~7;
}

static int
begin(void *ctx)
{
	(void)ctx;
	return SQLITE_OK;
}

static void
end(void *ctx)
{
	(void)ctx;
}

static void
memory_may_run_out_in_sqlite_too(void **state)
{
	struct item items[ITEMS];
	unsigned long calls;
	int r;

	(void)state;
	for (unsigned long n = 1;; n += stride(1 + n / 40)) {
		(void)store_rig_make(NULL);
		lossy_reset();
		name_items(items);
		(void)mem_fail_nth(n);
		r = live(items);
		calls = mem_fail_nth(0);
		assert_true(r == 0 || r == -ENOMEM || r == -EIO);
		check_afterwards(items);
		(void)store_rig_remove(NULL);
		if (calls < n)
			break;
	}
	assert_int_equal(r, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_rig_make, \
	store_rig_remove)

/* -EACCES, -EBUSY, -EDQUOT and others are what jobs decide about devices. */
static void
no_error_of_the_database_looks_like_a_verdict(void **state)
{
	static const int fine[] = {
		0, -EAGAIN, -EEXIST, -EILSEQ, -EIO, -EMSGSIZE, -ENOMEM, -ENOSPC,
		-EROFS
	};

	(void)state;
	for (int code = 0; code < 0x1000; code++) {
		bool ok = false;

		for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
			ok = ok || db_errno(code) == fine[i];
		assert_true(ok);
	}
	assert_int_equal(db_errno(SQLITE_BUSY_SNAPSHOT), -EAGAIN);
	assert_int_equal(db_errno(SQLITE_READONLY_DBMOVED), -EROFS);
}

int
main(void)
{
	static const sqlite3_mem_methods memory = {
		.xMalloc = lend, .xFree = give_back, .xRealloc = lend_again,
		.xSize = lent, .xRoundup = round_up, .xInit = begin,
		.xShutdown = end
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_error_of_the_database_looks_like_a_verdict),
		cmocka_unit_test(a_power_failure_loses_nothing_acknowledged),
		cmocka_unit_test(nor_if_some_sectors_were_written),
		cmocka_unit_test(
		    an_error_of_the_disk_at_any_point_loses_nothing),
		TEST(a_full_disk_is_told_once_and_is_over_when_it_is_over),
		TEST(an_end_that_could_not_store_is_none_in_order),
		TEST(a_run_is_marked_before_anything_else),
		TEST(a_disk_that_stalls_holds_up_nobody_who_submits),
		cmocka_unit_test(memory_may_run_out_in_sqlite_too),
	};

	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK)
		return 1;
	lossy_install();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
