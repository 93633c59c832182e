/* SPDX-License-Identifier: Apache-2.0 */
/* core/store: jobs, commits, back-pressure, and the rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/worker.h"
#include "event/event.h"
#include "store/commands.h"
#include "store/credentials.h"
#include "store/endpoints.h"
#include "store/store.h"
#include "store/telemetry.h"
#include "../lib/tmpdir.h"

static char path[128];

static struct store_opts
options(void)
{
	return (struct store_opts){
		.path = path, .queue_jobs = 64, .queue_bytes = 1 << 20,
		.flush_ms = 5, .telemetry_rows = 1000,
		.telemetry_bytes = 1 << 20, .telemetry_age_ms = 86400000,
		.commands_age_ms = 86400000, .epoch = 1,
	};
}

static struct store *
opened(const struct store_opts *o)
{
	struct store *s = NULL;
	char why[256] = "";

	if (store_open(o, why, &s) != 0)
		fail_msg("%s", why);
	return s;
}

/* A job that runs a function and is waited for. */
struct call {
	struct store_job job;
	int (*fn)(struct store_db *, void *);
	void *arg;
	sem_t done;
};

static int
run_call(struct store_job *j, struct store_db *db)
{
	struct call *c = (struct call *)j;

	return c->fn(db, c->arg);
}

static void
call_done(struct store_job *j)
{
	(void)sem_post(&((struct call *)j)->done);
}

static int
call(struct store *s, int (*fn)(struct store_db *, void *), void *arg)
{
	struct call c = { .job = { .run = run_call, .done = call_done },
	    .fn = fn, .arg = arg };

	(void)sem_init(&c.done, 0, 0);
	assert_int_equal(store_submit(s, &c.job), 0);
	while (sem_wait(&c.done) != 0)
		continue;
	(void)sem_destroy(&c.done);
	return c.job.error;
}

static int
admit(struct store_db *db, void *id)
{
	return store_endpoint_admit(db, id, STORE_ACTIVE, 1000);
}

static bool
count(void *n, const struct store_endpoint *e)
{
	(void)e;
	++*(unsigned *)n;
	return true;
}

static unsigned
endpoints(struct store_db *db)
{
	struct store_endpoint_filter all = { .after = "", .prefix = "",
	    .group = "", .state = -1, .status = -1, .limit = 1000000 };
	unsigned n = 0;

	assert_int_equal(store_endpoint_list(db, &all, count, &n), 0);
	return n;
}

static void
what_was_done_is_there_after_opening_again(void **state)
{
	struct store_opts o = options();
	struct store *s = opened(&o);

	(void)state;
	assert_false(store_was_killed(s));
	assert_int_equal(store_last_alive_ms(s), 0);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(call(s, admit, (char *)(uintptr_t)"a"), 0);
	assert_int_equal(call(s, admit, (char *)(uintptr_t)"b"), 0);
	store_free(&s);
	s = opened(&o);
	assert_false(store_was_killed(s));
	assert_true(store_last_alive_ms(s) > 0);
	assert_int_equal(endpoints(store_reader(s)), 2);
	store_free(&s);
}

static int
two_then_fail(struct store_db *db, void *arg)
{
	(void)arg;
	assert_int_equal(admit(db, (char *)(uintptr_t)"x"), 0);
	return -EPERM;
}

static void
a_job_that_fails_leaves_nothing_and_harms_no_other(void **state)
{
	struct store_opts o = options();
	struct store *s = opened(&o);

	(void)state;
	assert_int_equal(store_start(s), 0);
	assert_int_equal(call(s, admit, (char *)(uintptr_t)"a"), 0);
	assert_int_equal(call(s, two_then_fail, NULL), -EPERM);
	assert_int_equal(call(s, admit, (char *)(uintptr_t)"b"), 0);
	store_free(&s);
	s = opened(&o);
	assert_int_equal(endpoints(store_reader(s)), 2);
	store_free(&s);
}

static sem_t held, let_go;

static int
hold(struct store_db *db, void *arg)
{
	(void)db;
	(void)arg;
	(void)sem_post(&held);
	while (sem_wait(&let_go) != 0)
		continue;
	return 0;
}

static void
a_full_queue_refuses(void **state)
{
	struct store_opts o = options();
	struct store *s = opened(&o);
	struct call first = { .job = { .run = run_call, .done = call_done },
	    .fn = hold }, more[65], big = first;
	struct store_stats st;
	int i;

	(void)state;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&let_go, 0, 0);
	(void)sem_init(&first.done, 0, 0);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_submit(s, &first.job), 0);
	while (sem_wait(&held) != 0)
		continue;
	big.job.bytes = o.queue_bytes + 1;
	assert_int_equal(store_submit(s, &big.job), -EAGAIN);
	for (i = 0; i < 65; i++) {
		more[i] = (struct call){ .job = { .run = run_call,
		    .done = call_done }, .fn = admit,
		    .arg = (char *)(uintptr_t)"q" };
		(void)sem_init(&more[i].done, 0, 0);
		assert_int_equal(store_submit(s, &more[i].job),
		    i < 64 ? 0 : -EAGAIN);
	}
	store_stats(s, &st);
	assert_int_equal(st.waiting, 64);
	assert_int_equal(st.refused, 2);
	(void)sem_post(&let_go);
	for (i = 0; i < 64; i++)
		while (sem_wait(&more[i].done) != 0)
			continue;
	assert_int_equal(more[63].job.error, 0);
	store_free(&s);		/* also what waits is done before the end */
}

struct flush {
	sem_t settled;
	unsigned collected;
	int error;
};

static int
collect(void *ctx, struct store_db *db)
{
	struct flush *f = ctx;
	struct store_presence p = { .id = "p", .state = PRESENCE_ONLINE,
	    .channel = ++f->collected, .since_ms = 5 };

	return store_presence_save(db, &p);
}

static void
settled(void *ctx, int error)
{
	struct flush *f = ctx;

	f->error = error;
	(void)sem_post(&f->settled);
}

static bool
is_online(void *n, const struct store_endpoint *e)
{
	assert_string_equal(e->presence.id, "p");
	assert_int_equal(e->presence.state, PRESENCE_ONLINE);
	assert_int_equal(e->presence.channel, *(unsigned *)n);
	return true;
}

static void
what_was_nudged_is_collected_soon(void **state)
{
	struct store_endpoint_filter all = { .after = "", .prefix = "p",
	    .group = "", .state = PRESENCE_ONLINE, .status = STORE_ACTIVE,
	    .limit = 1 };
	struct flush f = { .error = 1 };
	struct store_flusher fl = { .collect = collect, .settled = settled,
	    .ctx = &f };
	struct store_opts o = options();
	struct store *s = opened(&o);

	(void)state;
	(void)sem_init(&f.settled, 0, 0);
	store_set_flusher(s, &fl);
	assert_int_equal(store_start(s), 0);
	store_nudge(s);
	while (sem_wait(&f.settled) != 0)
		continue;
	assert_int_equal(f.error, 0);
	store_free(&s);
	s = opened(&o);
	assert_int_equal(store_endpoint_list(store_reader(s), &all, is_online,
	    &f.collected), 0);
	store_free(&s);
}

/* ---- rows ----------------------------------------------------------------- */

static struct store *
reader(struct store_db **ret)
{
	struct store_opts o = options();
	struct store *s = opened(&o);

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
	int n = 0;

	(void)state;
	assert_int_equal(store_credential_add(db, &c, &number), 0);
	assert_int_equal(store_credential_add(db, &c, &other), -EEXIST);
	assert_int_equal(store_credential_used(db, number, 99), 0);
	assert_int_equal(store_credential_revoke(db, number), 0);
	assert_int_equal(store_credential_revoke(db, number + 1), -ENOENT);
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
	struct store_opts o = options();
	struct store_db *db;
	uint64_t stored = 0, oldest = 0, last = 0, cursor = 0;
	struct store *s;

	(void)state;
	s = opened(&o);
	db = store_reader(s);
	assert_int_equal(store_telemetry_put(db, "dev", 1, 1, "[1]", 3,
	    &stored, &cursor), -ENOENT);
	assert_int_equal(admit(db, (char *)(uintptr_t)"dev"), 0);
	for (uint64_t seq = 1; seq <= 1500; seq++)
		assert_int_equal(store_telemetry_put(db, "dev", seq, 1,
		    "[1]", 3, &stored, &cursor), 0);
	assert_int_equal(stored, 1500);
	assert_int_equal(store_telemetry_put(db, "dev", 7, 1, "[2]", 3,
	    &stored, &cursor), 0);
	assert_int_equal(stored, 1500);
	store_free(&s);

	o.telemetry_age_ms = (uint64_t)1 << 60;
	s = opened(&o);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(call(s, admit, (char *)(uintptr_t)"a"), 0);
	store_free(&s);
	s = opened(&o);
	db = store_reader(s);
	assert_int_equal(store_telemetry_read(db, "dev", 0, 9999, &oldest,
	    next_cursor, &last), 0);
	assert_int_equal(last, 1500);
	assert_int_equal(oldest, 501);
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
	assert_int_equal(admit(db, (char *)(uintptr_t)"dev"), 0);
	assert_int_equal(patch(db, "{\"a\":1,\"mac\":\"AA:BB:cc:00:11:22\"}",
	    &revision), 0);
	assert_int_equal(patch(db, "{\"a\":null,\"b\":[1]}", &revision), 0);
	assert_int_equal(revision, 2);
	assert_int_equal(store_inventory_get(db, "dev", inventory_is,
	    (char *)(uintptr_t)"{\"mac\":\"AA:BB:cc:00:11:22\",\"b\":[1]}"),
	    0);
	assert_int_equal(store_endpoint_get(db, "dev", mac_is,
	    (char *)(uintptr_t)"aabbcc001122"), 0);
	(void)snprintf(big, sizeof(big), "{\"x\":\"%0*d\"}",
	    STORE_INVENTORY_MAX, 0);
	assert_int_equal(patch(db, big, &revision), -EMSGSIZE);
	assert_int_equal(store_inventory_patch(db, "x", "{}", 2, 9,
	    &revision), -ENOENT);
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
	assert_int_equal(admit(db, (char *)(uintptr_t)"dev"), 0);
	assert_int_equal(store_endpoint_describe(db, "dev", "Till", NULL), 0);
	assert_int_equal(store_endpoint_describe(db, "no", "Till", NULL),
	    -ENOENT);
	assert_int_equal(store_endpoint_hello(db, "dev", "a 1", "b", "p",
	    "l"), 0);
	assert_int_equal(store_credential_add(db, &c, &number), 0);
	assert_int_equal(store_telemetry_put(db, "dev", 1, 1, "[]", 2,
	    &stored, &cursor), 0);
	assert_int_equal(store_endpoint_forget(db, "dev"), 0);
	assert_int_equal(store_endpoint_forget(db, "dev"), -ENOENT);
	assert_int_equal(store_credential_each(db, NULL, same_credential,
	    &n), 0);
	assert_int_equal(n, 0);
	store_free(&s);
}

/* ---- refusals --------------------------------------------------------------- */

static void
refused(int error, const char *remedy)
{
	struct store_opts o = options();
	struct store *s = NULL;
	char why[256] = "";
	uint8_t *before = NULL, *after = NULL;
	size_t n = 0, m = 0;

	assert_int_equal(file_read(path, 1 << 20, &before, &n), 0);
	assert_int_equal(store_open(&o, why, &s), error);
	assert_null(s);
	if (strstr(why, remedy) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, remedy);
	assert_int_equal(file_read(path, 1 << 20, &after, &m), 0);
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
	mem_free(before);
	mem_free(after);
}

static void
sql(const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

static void
a_file_that_is_not_ours_is_refused_and_kept(void **state)
{
	struct store_opts o = options();
	struct store *s;

	(void)state;
	assert_int_equal(file_write_atomic(path, "not a database, but long "
	    "enough to look like one to somebody in a hurry, or so", 76,
	    0600), 0);
	refused(-EILSEQ, "restore a backup");
	(void)remove(path);
	sql("CREATE TABLE other (x)");
	refused(-EILSEQ, "something else");
	(void)remove(path);
	s = opened(&o);
	store_free(&s);
	sql("PRAGMA user_version = 1000");
	refused(-EPROTO, "newer cleat");
}

static void
a_broken_database_is_refused_and_kept(void **state)
{
	struct store_opts o = options();
	struct store *s = opened(&o);
	uint8_t *p = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(store_start(s), 0);
	assert_int_equal(call(s, admit, (char *)(uintptr_t)"a"), 0);
	store_free(&s);
	assert_int_equal(file_read(path, 1 << 20, &p, &n), 0);
	assert_true(n > 4096 * 3);
	memset(p + 4096 + 100, 0xa5, n - 4096 - 100);
	assert_int_equal(file_write_atomic(path, p, n, 0600), 0);
	mem_free(p);
	refused(-EILSEQ, "broken");
}

static void
memory_may_run_out_at_any_point(void **state)
{
	struct store_opts o = options();
	struct store *s = NULL;
	char why[256];
	int r = -1;

	(void)state;
	for (unsigned long n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = store_open(&o, why, &s);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || (r == -ENOMEM && s == NULL));
	}
	store_free(&s);
}

static int
fresh(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/cleat.db", tmpdir_make());
	return 0;
}

static int
gone(void **state)
{
	(void)state;
	tmpdir_remove();
	return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fresh, gone)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_done_is_there_after_opening_again),
		TEST(a_job_that_fails_leaves_nothing_and_harms_no_other),
		TEST(a_full_queue_refuses),
		TEST(what_was_nudged_is_collected_soon),
		TEST(credentials_are_unique_and_stay_revoked),
		TEST(a_one_time_token_is_taken_as_often_as_it_says),
		TEST(the_first_outcome_counts),
		TEST(telemetry_is_stored_once_and_cut),
		TEST(an_inventory_is_patched_within_its_limit),
		TEST(who_is_forgotten_leaves_nothing),
		TEST(a_file_that_is_not_ours_is_refused_and_kept),
		TEST(a_broken_database_is_refused_and_kept),
		TEST(memory_may_run_out_at_any_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
