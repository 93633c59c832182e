/* SPDX-License-Identifier: Apache-2.0 */
/* core/store: the rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "store/commands.h"
#include "store/credentials.h"
#include "store/endpoints.h"
#include "store/store.h"
#include "store/telemetry.h"
#include "../lib/store_rig.h"

/* ---- rows --------------------------------------------------------------- */

static struct store *
reader(struct store_db **ret)
{
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);

	*ret = store_reader(s);
	return s;
}

static void
same_credential(void *ctx, const struct store_credential *c)
{
	assert_string_equal(c->endpoint, "dev");
	assert_int_equal(c->kind, STORE_CRED_KEY);
	assert_int_equal(c->value[31], 7);
	assert_int_equal(c->used_ms, 99);
	assert_true(c->revoked);
	++*(int *)ctx;
}

static void
credentials_are_unique_and_stay_revoked(void **state)
{
	struct store_credential c = { .endpoint = "dev",
	    .kind = STORE_CRED_KEY, .value = { [31] = 7 }, .label = "" };
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t number = 0, other = 0;
	enum store_status status;
	int n = 0;

	(void)state;
	assert_int_equal(store_endpoint_status(db, "dev", &status), -ENOENT);
	assert_int_equal(store_endpoint_admit(db, "dev", STORE_DENIED, 1), 0);
	assert_int_equal(store_endpoint_status(db, "dev", &status), 0);
	assert_int_equal(status, STORE_DENIED);
	assert_int_equal(store_credential_find(db, "dev", c.kind, c.value,
	    &other), -ENOENT);
	assert_int_equal(store_credential_add(db, &c, &number), 0);
	assert_int_equal(store_credential_find(db, "dev", c.kind, c.value,
	    &other), 0);
	assert_int_equal(other, number);
	assert_int_equal(store_credential_find(db, "dev", STORE_CRED_CERT,
	    c.value, &other), -ENOENT);
	assert_int_equal(store_credential_count(db, "dev", &other), 0);
	assert_int_equal(other, 1);
	assert_int_equal(store_credential_add(db, &c, &other), -EEXIST);
	assert_int_equal(store_credential_used(db, number, 99), 0);
	assert_int_equal(store_credential_revoke(db, number), 0);
	assert_int_equal(store_credential_revoke(db, number + 1), -ENOENT);
	assert_int_equal(store_credential_find(db, "dev", c.kind, c.value,
	    &other), -EACCES);
	assert_int_equal(store_credential_count(db, "dev", &other), 0);
	assert_int_equal(other, 0);
	assert_int_equal(store_credential_add(db, &c, &other), -EEXIST);
	assert_int_equal(store_credential_each(db, "dev", same_credential,
	    &n), 0);
	assert_int_equal(store_credential_each(db, NULL, same_credential,
	    &n), 0);
	assert_int_equal(store_credential_each(db, "x", same_credential, &n),
	    0);
	assert_int_equal(n, 2);
	store_free(&s);
}

static void
a_one_time_token_is_taken_as_often_as_it_says(void **state)
{
	struct store_enrolment e = { .sha256 = { 1 }, .endpoint = "",
	    .group = "tills", .expires_ms = 1000, .uses_left = 1 };
	uint8_t unknown[32] = { 2 };
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t number;
	char group[65] = "";

	(void)state;
	assert_int_equal(store_enrolment_add(db, &e, &number), 0);
	assert_int_equal(store_enrolment_take(db, unknown, "d", 1, group),
	    -ENOENT);
	assert_int_equal(store_enrolment_take(db, e.sha256, "d", 1000, group),
	    -ETIME);
	assert_int_equal(store_enrolment_take(db, e.sha256, "d", 999, group),
	    0);
	assert_string_equal(group, "tills");
	assert_int_equal(store_enrolment_take(db, e.sha256, "d", 999, group),
	    -EDQUOT);
	e.sha256[0] = 3;
	e.endpoint = "d";
	assert_int_equal(store_enrolment_add(db, &e, &number), 0);
	assert_int_equal(store_enrolment_take(db, e.sha256, "x", 1, group),
	    -EACCES);
	assert_int_equal(store_enrolment_remove(db, number), 0);
	assert_int_equal(store_enrolment_take(db, e.sha256, "d", 1, group),
	    -ENOENT);
	store_free(&s);
}

static void
has_outcome(void *ctx, const struct store_command *c)
{
	assert_int_equal(c->state, COMMAND_ERROR);
	assert_string_equal(c->message, "no paper");
	assert_string_equal(c->result, "{}");
	++*(int *)ctx;
}

static void
the_first_outcome_counts(void **state)
{
	struct store_command c = { .id = "c1", .endpoint = "dev",
	    .verb = "reboot", .args = "{}", .by = "root", .created_ms = 1 };
	enum store_command_state is = COMMAND_QUEUED;
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t order;
	int n = 0;

	(void)state;
	assert_int_equal(store_command_add(db, &c, &order), 0);
	assert_int_equal(store_command_add(db, &c, &order), -EEXIST);
	assert_int_equal(store_command_set(db, "c1", COMMAND_ACCEPTED, "", "",
	    2, &is), 0);
	assert_int_equal(store_command_set(db, "c1", COMMAND_ACCEPTED, "", "",
	    2, &is), 0);
	assert_int_equal(store_command_set(db, "c1", COMMAND_ERROR, "{}",
	    "no paper", 3, &is), 0);
	assert_int_equal(store_command_set(db, "c1", COMMAND_OK, "", "", 4,
	    &is), -EALREADY);
	assert_int_equal(is, COMMAND_ERROR);
	assert_int_equal(store_command_set(db, "c1", COMMAND_ACCEPTED, "", "",
	    4, &is), -EALREADY);
	assert_int_equal(store_command_set(db, "c2", COMMAND_OK, "", "", 4,
	    &is), -ENOENT);
	assert_int_equal(store_command_cancelling(db, "c1"), -ENOENT);
	assert_int_equal(store_command_get(db, "c1", has_outcome, &n), 0);
	assert_int_equal(n, 1);
	store_free(&s);
}

static bool
add_order(void *ctx, const struct store_command *c)
{
	uint64_t *sum = ctx;

	*sum = *sum * 10 + c->order;
	return *sum < 1000;
}

static uint64_t
orders(struct store_db *db, const char *endpoint, bool open_only,
    uint64_t after)
{
	struct store_command_filter f = { .endpoint = endpoint,
	    .open_only = open_only, .after = after, .limit = 3 };
	uint64_t sum = 0;

	assert_int_equal(store_command_list(db, &f, add_order, &sum), 0);
	return sum;
}

static void
commands_are_listed_in_their_order(void **state)
{
	struct store_command c = { .verb = "x-a", .args = "{}", .by = "" };
	enum store_command_state is;
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t order;
	char id[2] = "0";

	(void)state;
	for (c.id = id; id[0] < '5'; id[0]++) {
		c.endpoint = id[0] % 2 == 0 ? "even" : "odd";
		assert_int_equal(store_command_add(db, &c, &order), 0);
	}
	assert_int_equal(store_command_set(db, "0", COMMAND_OK, "", "", 1,
	    &is), 0);
	assert_int_equal(store_command_cancelling(db, "2"), 0);
	assert_int_equal(orders(db, "", false, 0), 123);
	assert_int_equal(orders(db, "", false, 3), 45);
	assert_int_equal(orders(db, "", true, 0), 234);
	assert_int_equal(orders(db, "even", false, 0), 135);
	assert_int_equal(orders(db, "even", true, 0), 35);
	assert_int_equal(orders(db, "odd", false, 2), 4);
	assert_int_equal(orders(db, "none", false, 0), 0);
	store_free(&s);
}

static void
only_finished_commands_are_forgotten_with_time(void **state)
{
	struct store_command c = { .endpoint = "dev", .verb = "x-a",
	    .args = "{}", .by = "" };
	struct store_opts o = store_rig_options();
	enum store_command_state is;
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t order;

	(void)state;
	c.id = "open";
	assert_int_equal(store_command_add(db, &c, &order), 0);
	c.id = "old";
	assert_int_equal(store_command_add(db, &c, &order), 0);
	c.id = "new";
	assert_int_equal(store_command_add(db, &c, &order), 0);
	assert_int_equal(store_command_set(db, "old", COMMAND_OK, "", "", 1,
	    &is), 0);
	assert_int_equal(store_command_set(db, "new", COMMAND_OK, "", "",
	    clock_wall_ms(), &is), 0);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("dev")), 0);
	store_free(&s);
	s = store_rig_open(&o);
	assert_int_equal(orders(store_reader(s), "", false, 0), 13);
	store_free(&s);
}

static bool
next_cursor(void *ctx, const struct store_telemetry *t)
{
	uint64_t *last = ctx;

	assert_true(t->cursor > *last);
	*last = t->cursor;
	return true;
}

static void
telemetry_is_stored_once_and_cut(void **state)
{
	struct store_opts o = store_rig_options();
	struct store_db *db;
	uint64_t stored = 0, oldest = 0, last = 0, cursor = 0;
	struct store *s;

	(void)state;
	s = store_rig_open(&o);
	db = store_reader(s);
	assert_int_equal(store_telemetry_put(db, "dev", 1, 0, 1, "[1]", 3,
	    &stored, &cursor), -ENOENT);
	assert_int_equal(store_rig_admit(db, NAME("dev")), 0);
	for (uint64_t seq = 1; seq <= 1500; seq++)
		assert_int_equal(store_telemetry_put(db, "dev", seq, 0, 1,
		    "[1]", 3, &stored, &cursor), 0);
	assert_int_equal(stored, 1500);
	assert_int_equal(store_telemetry_put(db, "dev", 7, 0, 1, "[2]", 3,
	    &stored, &cursor), 0);
	assert_int_equal(stored, 1500);
	store_free(&s);

	o.telemetry_age_ms = (uint64_t)1 << 60;
	s = store_rig_open(&o);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("a")), 0);
	store_free(&s);
	s = store_rig_open(&o);
	db = store_reader(s);
	assert_int_equal(store_telemetry_read(db, "dev", 0, 9999, &oldest,
	    next_cursor, &last), 0);
	assert_int_equal(last, 1500);
	assert_int_equal(oldest, 501);
	store_free(&s);
}

struct log {
	uint64_t oldest, last, rows;
};

static bool
count_row(void *ctx, const struct store_telemetry *t)
{
	struct log *l = ctx;

	l->last = t->cursor;
	l->rows++;
	return true;
}

static struct log
log_of(struct store_db *db, const char *endpoint)
{
	struct log l = { 0 };

	assert_int_equal(store_telemetry_read(db, endpoint, 0, 9999, &l.oldest,
	    count_row, &l), 0);
	return l;
}

/* Puts what `arg` says, each of ten bytes, into the log of "dev". */
static int
put_some(struct store_db *db, void *arg)
{
	uint64_t *seq = arg, n = seq[1], stored, cursor;
	int r = 0;

	while (r == 0 && n-- > 0)
		r = store_telemetry_put(db, "dev", ++seq[0], 0, 1000,
		    "[12345678]", 10, &stored, &cursor);
	return r;
}

static int
put_and_fail(struct store_db *db, void *arg)
{
	return put_some(db, arg) == 0 ? -EPERM : -EIO;
}

static void
the_log_keeps_exactly_what_its_limits_say(void **state)
{
	struct store_opts o = store_rig_options();
	uint64_t seq[2] = { 0, 20 };
	struct store_stats stats;
	struct store *s;
	struct log l;

	(void)state;
	o.telemetry_rows = 7;
	s = store_rig_open(&o);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("dev")), 0);
	assert_int_equal(store_call(s, put_some, seq), 0);
	assert_int_equal(store_call(s, put_and_fail, seq), -EPERM);
	store_stats(s, &stats);
	assert_int_equal(stats.pruned, 13);
	store_free(&s);
	o.telemetry_rows = 1000;
	o.telemetry_bytes = 45;
	s = store_rig_open(&o);
	l = log_of(store_reader(s), NULL);
	assert_int_equal(l.rows, 7);
	assert_int_equal(l.oldest, 14);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("x")), 0);
	store_free(&s);
	o.telemetry_bytes = 1 << 20;
	o.telemetry_age_ms = 1;
	s = store_rig_open(&o);
	l = log_of(store_reader(s), "dev");
	assert_int_equal(l.rows, 4);
	assert_int_equal(l.last, 20);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("x")), 0);
	store_free(&s);
	s = store_rig_open(&o);
	l = log_of(store_reader(s), NULL);
	assert_int_equal(l.rows, 0);
	assert_int_equal(l.oldest, 21);		/* a reader sees the gap */
	store_free(&s);
}

static int
put_one_of_x(struct store_db *db, void *arg)
{
	uint64_t stored, cursor;

	(void)arg;
	return store_telemetry_put(db, "x", 1, 0, 1000, "[\"precious\"]", 12,
	    &stored, &cursor);
}

static void
who_talks_too_much_loses_his_own(void **state)
{
	struct store_opts o = store_rig_options();
	uint64_t seq[2] = { 0, 80 };
	struct store_stats stats;
	struct store *s;
	struct log l;

	(void)state;
	o.telemetry_rows = 50;
	o.telemetry_share = 20;
	s = store_rig_open(&o);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("dev")), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("x")), 0);
	assert_int_equal(store_call(s, put_one_of_x, NULL), 0);
	assert_int_equal(store_call(s, put_some, seq), 0);
	store_stats(s, &stats);
	assert_int_equal(stats.pruned, 70);
	store_free(&s);
	o.telemetry_rows = 1000;
	o.telemetry_bytes = 250;		/* 20 %: five messages */
	s = store_rig_open(&o);
	l = log_of(store_reader(s), "x");
	assert_int_equal(l.rows, 1);
	assert_int_equal(l.oldest, 1);		/* nothing is missed of it */
	l = log_of(store_reader(s), "dev");
	assert_int_equal(l.rows, 10);
	assert_int_equal(l.oldest, 72);
	assert_int_equal(log_of(store_reader(s), NULL).oldest, 72);
	assert_int_equal(store_start(s), 0);
	seq[1] = 1;
	assert_int_equal(store_call(s, put_some, seq), 0);
	store_free(&s);
	s = store_rig_open(&o);
	l = log_of(store_reader(s), "dev");
	assert_int_equal(l.rows, 5);
	assert_int_equal(l.last, 82);
	assert_int_equal(store_endpoint_forget(store_reader(s), "dev"), 0);
	assert_int_equal(log_of(store_reader(s), NULL).rows, 1);
	store_free(&s);
}

static void
an_older_database_is_brought_up_to_date(void **state)
{
	struct store_opts o = store_rig_options();
	uint64_t seq[2] = { 0, 3 };
	struct store_db *db;
	struct store *s = reader(&db);
	sqlite3 *sql = NULL;

	(void)state;
	assert_int_equal(store_rig_admit(db, NAME("dev")), 0);
	assert_int_equal(put_some(db, seq), 0);
	store_free(&s);
	/* As the first version left it. */
	assert_int_equal(sqlite3_open(store_path, &sql), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sql, "DROP TRIGGER telemetry_in;"
	    "DROP TRIGGER telemetry_out; DROP INDEX command_done;"
	    "ALTER TABLE run DROP COLUMN telemetry_rows;"
	    "ALTER TABLE run DROP COLUMN telemetry_bytes;"
	    "DROP TRIGGER telemetry_to; DROP TRIGGER telemetry_from;"
	    "ALTER TABLE run DROP COLUMN telemetry_cut;"
	    "ALTER TABLE endpoint DROP COLUMN telemetry_rows;"
	    "ALTER TABLE endpoint DROP COLUMN telemetry_bytes;"
	    "ALTER TABLE endpoint DROP COLUMN telemetry_cut;"
	    "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(sql), SQLITE_OK);
	o.telemetry_rows = 2;
	s = store_rig_open(&o);
	assert_int_equal(log_of(store_reader(s), NULL).rows, 3);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("dev")), 0);
	store_free(&s);
	s = store_rig_open(&o);
	assert_int_equal(log_of(store_reader(s), NULL).rows, 2);
	store_free(&s);
}

static void
a_number_beyond_what_is_kept_is_refused(void **state)
{
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t stored = 5, cursor = 0;

	(void)state;
	assert_int_equal(store_rig_admit(db, NAME("dev")), 0);
	assert_int_equal(log_of(db, NULL).oldest, 1);
	assert_int_equal(store_telemetry_put(db, "dev",
	    (uint64_t)INT64_MAX + 1, 0, 1, "[]", 2, &stored, &cursor), -EINVAL);
	assert_int_equal(store_telemetry_put(db, "dev", INT64_MAX, 0, 1, "[]",
	    2, &stored, &cursor), 0);
	assert_int_equal(stored, INT64_MAX);
	store_free(&s);
}

static void
inventory_is(void *ctx, const char *json, uint64_t revision, int64_t changed)
{
	(void)changed;
	assert_string_equal(json, ctx);
	assert_int_equal(revision, 2);
}

static void
mac_is(void *ctx, const struct store_endpoint *e)
{
	assert_string_equal(e->mac, ctx);
}

static int
patch(struct store_db *db, const char *text, uint64_t *revision)
{
	return store_inventory_patch(db, "dev", text, strlen(text), 9,
	    revision);
}

static void
an_inventory_is_patched_within_its_limit(void **state)
{
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t revision = 0;
	static char big[STORE_INVENTORY_MAX + 32];

	(void)state;
	assert_int_equal(store_rig_admit(db, NAME("dev")), 0);
	assert_int_equal(patch(db, "{\"a\":1,\"mac\":\"AA:BB:cc:00:11:22\"}",
	    &revision), 0);
	assert_int_equal(patch(db, "{\"a\":null,\"b\":[1]}", &revision), 0);
	assert_int_equal(revision, 2);
	assert_int_equal(store_inventory_get(db, "dev", inventory_is,
	    NAME("{\"mac\":\"AA:BB:cc:00:11:22\",\"b\":[1]}")),
	    0);
	assert_int_equal(store_endpoint_get(db, "dev", mac_is,
	    NAME("aabbcc001122")), 0);
	(void)snprintf(big, sizeof(big), "{\"x\":\"%0*d\"}",
	    STORE_INVENTORY_MAX, 0);
	assert_int_equal(patch(db, big, &revision), -EMSGSIZE);
	assert_int_equal(store_inventory_patch(db, "x", "{}", 2, 9,
	    &revision), -ENOENT);
	store_free(&s);
}

static void
a_patch_that_is_no_object_is_refused(void **state)
{
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t revision = 0;

	(void)state;
	assert_int_equal(store_rig_admit(db, NAME("dev")), 0);
	assert_int_equal(patch(db, "[1]", &revision), -EINVAL);
	assert_int_equal(patch(db, "{\"a\":", &revision), -EINVAL);
	assert_int_equal(patch(db, "", &revision), -EINVAL);
	assert_int_equal(patch(db, "null", &revision), -EINVAL);
	assert_int_equal(revision, 0);
	/* RFC 7396: what is null in the first one is left out too. */
	assert_int_equal(patch(db, "{\"a\":1,\"b\":[2],\"c\":{\"d\":null}}",
	    &revision), 0);
	assert_int_equal(patch(db, "{\"a\":null,\"c\":null}", &revision), 0);
	assert_int_equal(store_inventory_get(db, "dev", inventory_is,
	    NAME("{\"b\":[2]}")), 0);
	store_free(&s);
}

static void
only_a_mac_is_taken_for_one(void **state)
{
	static const char *const not[] = { "", "aa:bb:cc:dd:ee", "hello",
	    "aa:bb:cc:dd:ee:ff:00", "a:abbccddeeff", "zz:bb:cc:dd:ee:ff" };
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t revision;
	char text[64];

	(void)state;
	assert_int_equal(store_rig_admit(db, NAME("dev")), 0);
	for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++) {
		(void)snprintf(text, sizeof(text), "{\"mac\":\"%s\"}", not[i]);
		assert_int_equal(patch(db, text, &revision), 0);
		assert_int_equal(store_endpoint_get(db, "dev", mac_is,
		    NAME("")), 0);
	}
	assert_int_equal(patch(db, "{\"mac\":{\"a\":1}}", &revision), 0);
	assert_int_equal(store_endpoint_get(db, "dev", mac_is, NAME("")), 0);
	assert_int_equal(patch(db, "{\"mac\":\"0A-1b-2C-3d-4E-5f\"}",
	    &revision), 0);
	assert_int_equal(store_endpoint_get(db, "dev", mac_is,
	    NAME("0a1b2c3d4e5f")), 0);
	store_free(&s);
}

static void
who_is_forgotten_leaves_nothing(void **state)
{
	struct store_credential c = { .endpoint = "dev",
	    .kind = STORE_CRED_TOKEN, .label = "" };
	struct store_db *db;
	struct store *s = reader(&db);
	uint64_t number, stored, cursor;
	int n = 0;

	(void)state;
	assert_int_equal(store_rig_admit(db, NAME("dev")), 0);
	assert_int_equal(store_endpoint_describe(db, "dev", "Till", NULL), 0);
	assert_int_equal(store_endpoint_describe(db, "no", "Till", NULL),
	    -ENOENT);
	assert_int_equal(store_endpoint_hello(db, "dev", "a 1", "b", "p",
	    "l"), 0);
	assert_int_equal(store_credential_add(db, &c, &number), 0);
	assert_int_equal(store_telemetry_put(db, "dev", 1, 0, 1, "[]", 2,
	    &stored, &cursor), 0);
	assert_int_equal(store_endpoint_forget(db, "dev"), 0);
	assert_int_equal(store_endpoint_forget(db, "dev"), -ENOENT);
	assert_int_equal(store_credential_each(db, NULL, same_credential,
	    &n), 0);
	assert_int_equal(n, 0);
	store_free(&s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_rig_make, \
	store_rig_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(credentials_are_unique_and_stay_revoked),
		TEST(a_one_time_token_is_taken_as_often_as_it_says),
		TEST(the_first_outcome_counts),
		TEST(commands_are_listed_in_their_order),
		TEST(only_finished_commands_are_forgotten_with_time),
		TEST(who_talks_too_much_loses_his_own),
		TEST(an_older_database_is_brought_up_to_date),
		TEST(the_log_keeps_exactly_what_its_limits_say),
		TEST(a_number_beyond_what_is_kept_is_refused),
		TEST(a_patch_that_is_no_object_is_refused),
		TEST(only_a_mac_is_taken_for_one),
		TEST(telemetry_is_stored_once_and_cut),
		TEST(an_inventory_is_patched_within_its_limit),
		TEST(who_is_forgotten_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
