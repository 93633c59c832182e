/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transaction of the store's thread: all jobs that waited, a flush, what is
 * too old; then the commit, and whether the store is failing or works again.
 */
#include "store/store_priv.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"

#define ALIVE_MS 10000			/* between two notes that we run */
#define AGAIN_MS 1000			/* after a failed flush */

static const char *
reason(int error)
{
	return error == -EAGAIN ? "another program holds the database" :
	    strerror(-error);
}

static void
tell(struct store *s, enum event_type type, int error)
{
	struct event ev = { .type = type,
	    .text = error == 0 ? NULL : reason(error) };

	event_emit(s->opts.bus, &ev);
	event_kick(s->opts.bus);
}

/* Notes whether what was to be written was. */
static void
judge(struct store *s, int error)
{
	bool failing = s->failing;

	if (error == 0) {
		s->stat_commits++;
	} else {
		s->stat_failed++;
		s->retry_at = clock_mono_ms() + AGAIN_MS;
	}
	s->failing = error != 0;
	if (error != 0 && !failing) {
		log_error("cannot store, what has to be durable is refused "
		    "until it works again path=%s error=\"%s\"", s->path,
		    reason(error));
		tell(s, EVENT_STORE_FAILING, error);
	} else if (error == 0 && failing) {
		log_notice("stores again path=%s", s->path);
		tell(s, EVENT_STORE_RECOVERED, 0);
	}
}

/* A full disk or an I/O error may have ended the whole transaction. */
static bool
lost(struct store *s)
{
	return sqlite3_get_autocommit(s->db.sql) != 0;
}

static int
run_one(struct store *s, struct store_job *j)
{
	int r = db_run(&s->db, "SAVEPOINT job", ""), back = 0;

	if (r != 0)
		return r;
	r = j->run(j, &s->db);
	if (lost(s))
		return r == 0 ? -EIO : r;
	if (r != 0)
		back = db_run(&s->db, "ROLLBACK TO job", "");
	if (back == 0)
		back = db_run(&s->db, "RELEASE job", "");
	if (back == 0)
		return r;
	/* What it left cannot be told from what the others wrote. */
	(void)db_exec(&s->db, "ROLLBACK");
	return r != 0 ? r : back;
}

static int
run_all(struct store *s, struct store_job *first)
{
	int r = db_run(&s->db, "BEGIN IMMEDIATE", "");

	for (struct store_job *j = first; j != NULL && r == 0; j = j->next) {
		if (j->reads)
			continue;
		j->error = run_one(s, j);
		if (lost(s))
			r = j->error != 0 ? j->error : -EIO;
	}
	return r;
}

void
store_run_reads(struct store *s, struct store_job *first)
{
	for (struct store_job *j = first; j != NULL; j = j->next)
		if (j->reads)
			j->error = j->run(j, &s->db);
}

bool
store_only_reads(const struct store_job *j)
{
	while (j != NULL && j->reads)
		j = j->next;
	return j == NULL;
}

int
store_mark(struct store *s, bool clean)
{
	return db_run(&s->db, "UPDATE run SET clean = ?, alive_ms = ?", "ii",
	    (int64_t)clean, clock_wall_ms());
}

/* Also writes after a failure, which shows whether it is over. */
static int
note_alive(struct store *s)
{
	uint64_t now = clock_mono_ms();
	int64_t wall = clock_wall_ms();
	bool more = false;
	int r;

	s->pruned = 0;
	if (now >= s->alive_at) {
		s->alive_at = now + ALIVE_MS;
		r = store_mark(s, false);
		if (r == 0)
			r = commands_prune(&s->db,
			    wall - (int64_t)s->opts.commands_age_ms, &more);
		if (r != 0)
			return r;
	}
	r = telemetry_prune(&s->db, s->opts.telemetry_rows,
	    s->opts.telemetry_bytes,
	    wall - (int64_t)s->opts.telemetry_age_ms, &more, &s->pruned);
	if (more)
		s->alive_at = now;
	return r;
}

static int
commit(struct store *s)
{
	uint64_t begin = clock_mono_ms();
	int r = db_run(&s->db, "COMMIT", "");

	s->stat_commit_us = (clock_mono_ms() - begin) * 1000;
	return r;
}

int
store_transact(struct store *s, struct store_job *first, bool flush)
{
	int r;

	s->db.pruned = 0;
	r = run_all(s, first);
	if (r == 0 && flush)
		r = s->flusher.collect(s->flusher.ctx, &s->db);
	if (r == 0)
		r = note_alive(s);
	if (r == 0)
		r = commit(s);
	if (r == 0) {
		s->stat_pruned += s->pruned + s->db.pruned;
	} else {
		if (!lost(s))
			(void)db_exec(&s->db, "ROLLBACK");
		s->alive_at = 0;
	}
	if (flush)
		s->flusher.settled(s->flusher.ctx, r);
	if (flush && r != 0)
		store_nudge(s);
	judge(s, r);
	return r;
}
