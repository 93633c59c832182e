/* SPDX-License-Identifier: Apache-2.0 */
/* core/store: jobs, commits, back-pressure, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/file.h"
#include "base/mem.h"
#include "event/event.h"
#include "store/db.h"
#include "store/endpoints.h"
#include "store/store.h"
#include "../lib/store_rig.h"

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
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);

	(void)state;
	assert_false(store_was_killed(s));
	assert_int_equal(store_last_alive_ms(s), 0);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("a")), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("b")), 0);
	store_free(&s);
	s = store_rig_open(&o);
	assert_false(store_was_killed(s));
	assert_true(store_last_alive_ms(s) > 0);
	assert_int_equal(endpoints(store_reader(s)), 2);
	store_free(&s);
}

static int
two_then_fail(struct store_db *db, void *arg)
{
	(void)arg;
	assert_int_equal(store_rig_admit(db, NAME("x")), 0);
	return -EPERM;
}

static void
a_job_that_fails_leaves_nothing_and_harms_no_other(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);

	(void)state;
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("a")), 0);
	assert_int_equal(store_call(s, two_then_fail, NULL), -EPERM);
	assert_int_equal(store_call(s, store_rig_admit, NAME("b")), 0);
	store_free(&s);
	s = store_rig_open(&o);
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

static int
read_count(struct store_db *db, void *n)
{
	/* Outside of every transaction. */
	assert_int_not_equal(sqlite3_get_autocommit(db->sql), 0);
	*(unsigned *)n = endpoints(db);
	return 0;
}

static void
a_full_queue_refuses(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);
	struct store_call first, more[65], big;
	struct store_stats st;
	int i;

	(void)state;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&let_go, 0, 0);
	store_call_init(&first, hold, NULL);
	store_call_init(&big, hold, NULL);
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_submit(s, &first.job), 0);
	while (sem_wait(&held) != 0)
		continue;
	big.job.bytes = o.queue_bytes + 1;
	assert_int_equal(store_submit(s, &big.job), -EAGAIN);
	for (i = 0; i < 65; i++) {
		store_call_init(&more[i], store_rig_admit,
		    NAME("q"));
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
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);

	(void)state;
	(void)sem_init(&f.settled, 0, 0);
	store_set_flusher(s, &fl);
	assert_int_equal(store_start(s), 0);
	store_nudge(s);
	while (sem_wait(&f.settled) != 0)
		continue;
	assert_int_equal(f.error, 0);
	store_free(&s);
	s = store_rig_open(&o);
	assert_int_equal(store_endpoint_list(store_reader(s), &all, is_online,
	    &f.collected), 0);
	store_free(&s);
}

/* A read and a write of one batch. */
static void
a_read_sees_nothing_that_may_still_be_taken_back(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);
	struct store_call first, add, look;
	unsigned n = 0;

	(void)state;
	(void)sem_init(&held, 0, 0);
	(void)sem_init(&let_go, 0, 0);
	store_call_init(&first, hold, NULL);
	store_call_init(&look, read_count, &n);
	store_call_init(&add, store_rig_admit, NAME("a"));
	look.job.reads = true;
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_submit(s, &first.job), 0);
	while (sem_wait(&held) != 0)
		continue;
	assert_int_equal(store_submit(s, &look.job), 0);
	assert_int_equal(store_submit(s, &add.job), 0);
	(void)sem_post(&let_go);
	assert_int_equal(store_call_wait(&first), 0);
	assert_int_equal(store_call_wait(&look), 0);
	assert_int_equal(store_call_wait(&add), 0);
	assert_int_equal(n, 1);
	store_free(&s);
}

static void
a_store_that_never_ran_gives_its_jobs_back(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);
	struct store_call c;

	(void)state;
	store_call_init(&c, store_rig_admit, NAME("a"));
	assert_int_equal(store_submit(s, &c.job), 0);
	store_free(&s);
	assert_int_equal(store_call_wait(&c), -ESHUTDOWN);
}

/* ---- refusals ----------------------------------------------------------- */

static void
refused(int error, const char *remedy)
{
	struct store_opts o = store_rig_options();
	struct store *s = NULL;
	char why[256] = "";
	uint8_t *before = NULL, *after = NULL;
	size_t n = 0, m = 0;

	assert_int_equal(file_read(store_path, 1 << 20, &before, &n), 0);
	assert_int_equal(store_rig_try(&o, why, &s), error);
	assert_null(s);
	if (strstr(why, remedy) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, remedy);
	assert_int_equal(file_read(store_path, 1 << 20, &after, &m), 0);
	assert_int_equal(n, m);
	assert_memory_equal(before, after, n);
	mem_free(before);
	mem_free(after);
}

static void
sql(const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(store_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

static void
a_file_that_is_not_ours_is_refused_and_kept(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = NULL;
	char why[256];

	(void)state;
	assert_int_equal(file_write_atomic(store_path, "not a database, but "
	    "long enough to look like one to somebody in a hurry, or so", 76,
	    0600), 0);
	refused(-EILSEQ, "restore a backup");
	(void)remove(store_path);
	sql("CREATE TABLE other (x)");
	refused(-EILSEQ, "something else");
	(void)remove(store_path);
	s = store_rig_open(&o);
	store_free(&s);
	sql("PRAGMA user_version = 1000");
	refused(-EPROTO, "newer cleat");
	sql("PRAGMA user_version = -1");
	refused(-EILSEQ, "broken");
	(void)remove(store_path);
	assert_int_equal(mkdir(store_path, 0700), 0);
	assert_int_equal(store_rig_try(&o, why, &s), -EISDIR);
	assert_non_null(strstr(why, "move it away"));
	assert_int_equal(rmdir(store_path), 0);
}

static void
a_broken_database_is_refused_and_kept(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);
	uint8_t *p = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("a")), 0);
	store_free(&s);
	assert_int_equal(file_read(store_path, 1 << 20, &p, &n), 0);
	assert_true(n > 4096 * 3);
	memset(p + 4096 + 100, 0xa5, n - 4096 - 100);
	assert_int_equal(file_write_atomic(store_path, p, n, 0600), 0);
	mem_free(p);
	refused(-EILSEQ, "broken");
}

/* Small pages, so that many of them are not much. */
static void
what_is_needed_is_checked_however_large_the_log_is(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = store_rig_open(&o);
	sqlite3_stmt *root = NULL;
	sqlite3 *db = NULL;
	char why[256];
	long page;
	FILE *f;

	(void)state;
	assert_int_equal(store_start(s), 0);
	assert_int_equal(store_call(s, store_rig_admit, NAME("a")), 0);
	store_free(&s);
	sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM;"
	    "INSERT INTO telemetry VALUES (1, 'a', 1, 1, zeroblob(36 << 20))");
	s = store_rig_open(&o);
	store_free(&s);
	assert_int_equal(sqlite3_open(store_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT rootpage FROM"
	    " sqlite_schema WHERE name = 'credential'", -1, &root, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(root), SQLITE_ROW);
	page = sqlite3_column_int(root, 0);
	(void)sqlite3_finalize(root);
	(void)sqlite3_close(db);
	f = fopen(store_path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, (page - 1) * 512, SEEK_SET), 0);
	for (int i = 0; i < 512; i++)
		assert_int_equal(fputc(0xa5, f), 0xa5);
	assert_int_equal(fclose(f), 0);
	s = NULL;
	assert_int_equal(store_rig_try(&o, why, &s), -EILSEQ);
	assert_non_null(strstr(why, "broken"));
}

static void
memory_may_run_out_at_any_point(void **state)
{
	struct store_opts o = store_rig_options();
	struct store *s = NULL;
	char why[256];
	int r = -1;

	(void)state;
	for (unsigned long n = 1; r != 0; n++) {
		(void)mem_fail_nth(n);
		r = store_rig_try(&o, why, &s);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || (r == -ENOMEM && s == NULL));
	}
	store_free(&s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, store_rig_make, \
	store_rig_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_done_is_there_after_opening_again),
		TEST(a_job_that_fails_leaves_nothing_and_harms_no_other),
		TEST(a_full_queue_refuses),
		TEST(a_read_sees_nothing_that_may_still_be_taken_back),
		TEST(a_store_that_never_ran_gives_its_jobs_back),
		TEST(what_was_nudged_is_collected_soon),
		TEST(a_file_that_is_not_ours_is_refused_and_kept),
		TEST(a_broken_database_is_refused_and_kept),
		TEST(what_is_needed_is_checked_however_large_the_log_is),
		TEST(memory_may_run_out_at_any_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
