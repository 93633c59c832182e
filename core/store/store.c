/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's thread: takes what waits, runs it in one transaction, commits,
 * and tells everybody.  Nobody else touches the database while it runs.
 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/event.h"
#include "store/db.h"

#define STORE_MAGIC 0x73746f72u		/* "stor" */
#define BATCH_MAX 1024			/* jobs of one transaction */
#define ALIVE_MS 10000			/* between two notes that we run */
#define AGAIN_MS 1000			/* after a failed flush */

struct store {
	uint32_t magic;
	struct store_opts opts;
	char *path;
	struct store_db db;
	struct store_flusher flusher;
	bool was_killed;
	int64_t last_alive_ms;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;		/* guards the queue */
	pthread_cond_t wake;
	struct store_job *first, **end;
	size_t jobs, bytes;
	bool stop;
	uint64_t flush_at;		/* mono ms; 0: nothing was nudged */

	/* The thread's. */
	uint64_t alive_at, retry_at;

	_Atomic uint64_t stat_jobs, stat_commits, stat_failed, stat_refused;
	_Atomic uint64_t stat_commit_us, stat_pruned;
	uint64_t pruned;		/* in this transaction */
	_Atomic bool failing;
};

/* ---- opening ------------------------------------------------------------ */

/* The file is ours alone, before SQLite makes it with the umask's mode; its
 * companions take their mode from it. */
static int
touch(const char *path, char *why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK, 0600), r = fd < 0 ? -errno : 0;
	struct stat st;

	if (r == 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		r = -EISDIR;
	if (fd >= 0)
		(void)close(fd);
	if (r == -ELOOP || r == -EISDIR || r == -ENXIO)
		(void)snprintf(why, 256, "%.150s: not a regular file; move it "
		    "away", path);
	else if (r != 0)
		schema_explain(path, r, strerror(-r), why);
	return r;
}

static int
read_run(struct store *s)
{
	int64_t clean = 1;
	int r = db_number(&s->db, &clean, "SELECT clean FROM run", "");

	if (r == 0)
		r = db_number(&s->db, &s->last_alive_ms,
		    "SELECT alive_ms FROM run", "");
	s->was_killed = clean == 0;
	return r;
}

static void
share(struct store *s)
{
	const struct store_opts *o = &s->opts;

	if (o->telemetry_share == 0 || o->telemetry_share >= 100)
		return;
	s->db.share_rows = o->telemetry_rows * o->telemetry_share / 100;
	s->db.share_bytes = o->telemetry_bytes * o->telemetry_share / 100;
	if (s->db.share_rows == 0)
		s->db.share_rows = 1;
}

int
store_new(const struct store_opts *o, struct store **ret)
{
	struct store *s = mem_calloc(1, sizeof(*s));
	pthread_condattr_t mono;

	if (s == NULL)
		return -ENOMEM;
	s->magic = STORE_MAGIC;
	s->opts = *o;
	s->end = &s->first;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&mono);
	(void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->wake, &mono);
	(void)pthread_condattr_destroy(&mono);
	share(s);
	s->path = mem_strdup(o->path);
	if (s->path == NULL) {
		store_free(&s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

int
store_open(struct store *s, char *why)
{
	int r = touch(s->path, why);

	if (r != 0)
		return r;
	r = db_open(&s->db, s->path);
	if (r == 0) {
		if ((r = schema_open(&s->db, s->path, why)) != 0)
			return r;
		r = read_run(s);
	}
	if (r != 0)
		schema_explain(s->path, r, strerror(-r), why);
	return r;
}

unsigned
store_schema(void)
{
	return schema_version();
}

struct store_db *
store_reader(struct store *s)
{
	CT_ASSERT(!s->started);
	return &s->db;
}

bool
store_was_killed(const struct store *s)
{
	return s->was_killed;
}

int64_t
store_last_alive_ms(const struct store *s)
{
	return s->last_alive_ms;
}

/* ---- one transaction ---------------------------------------------------- */

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

/* After the commit: they see nothing that may still be taken back. */
static void
run_reads(struct store *s, struct store_job *first)
{
	for (struct store_job *j = first; j != NULL; j = j->next)
		if (j->reads)
			j->error = j->run(j, &s->db);
}

static bool
only_reads(const struct store_job *j)
{
	while (j != NULL && j->reads)
		j = j->next;
	return j == NULL;
}

static int
mark(struct store *s, bool clean)
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
		r = mark(s, false);
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

static int
transact(struct store *s, struct store_job *first, bool flush)
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

/* ---- the thread --------------------------------------------------------- */

static void
on_home(struct mail *m)
{
	struct store_job *j = CT_CONTAINER(m, struct store_job, mail);

	j->done(j);
}

static void
finish(struct store *s, struct store_job *j, int error)
{
	struct store_job *next;

	for (; j != NULL; j = next) {
		next = j->next;
		if (error != 0 && !j->reads && j->error >= 0)
			j->error = error;
		s->stat_jobs++;
		if (j->home == NULL) {
			j->done(j);
		} else {
			j->mail.fn = on_home;
			mailbox_post(j->home, &j->mail);
		}
	}
}

/* Under the lock. */
static struct store_job *
take(struct store *s)
{
	struct store_job *first = s->first, **last = &s->first, *rest;

	for (unsigned n = 0; n < BATCH_MAX && *last != NULL; n++) {
		s->jobs--;
		s->bytes -= (*last)->bytes;
		last = &(*last)->next;
	}
	rest = *last;
	*last = NULL;
	s->first = rest;
	if (rest == NULL)
		s->end = &s->first;
	return first;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Under the lock: waits for a job, a flush that is due, or the end. */
static void
wait(struct store *s)
{
	uint64_t now = clock_mono_ms(), until;
	struct timespec t;

	for (; s->first == NULL && !s->stop; now = clock_mono_ms()) {
		until = later(s->alive_at, s->retry_at);
		if (s->flush_at != 0 && later(s->flush_at, s->retry_at) <
		    until)
			until = later(s->flush_at, s->retry_at);
		if (now >= until)
			return;
		/* Tests may have another clock than the kernel. */
		(void)clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += (time_t)((until - now) / 1000);
		t.tv_nsec += (long)((until - now) % 1000) * 1000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&s->wake, &s->lock, &t);
	}
}

static void *
run(void *arg)
{
	struct store *s = arg;
	struct store_job *first;
	bool flush, stop;
	int r;

	CT_CHECK_MAGIC(s, STORE_MAGIC);
	(void)pthread_setname_np(pthread_self(), "store");
	do {
		(void)pthread_mutex_lock(&s->lock);
		wait(s);
		first = take(s);
		stop = s->stop && s->first == NULL;
		flush = s->flusher.collect != NULL &&
		    (s->flush_at != 0 || stop);
		s->flush_at = 0;
		(void)pthread_mutex_unlock(&s->lock);
		r = flush || !only_reads(first) ||
		    clock_mono_ms() >= later(s->alive_at, s->retry_at) ?
		    transact(s, first, flush) : 0;
		run_reads(s, first);
		finish(s, first, r);
		/* A flusher with more than fits into one commit nudges. */
		(void)pthread_mutex_lock(&s->lock);
		if (r == 0 && s->flush_at != 0)
			stop = false;
		(void)pthread_mutex_unlock(&s->lock);
	} while (!stop);
	return NULL;
}

int
store_start(struct store *s)
{
	sigset_t all, before;
	int r = mark(s, false);

	if (r != 0)
		return r;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&s->thread, NULL, run, s);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->started = r == 0;
	return -r;
}

void
store_explain(const struct store *s, int error, char *why)
{
	schema_explain(s->path, error, strerror(-error), why);
}

void
store_stop(struct store *s)
{
	struct store_job *first;

	if (!s->started) {		/* or stopped already */
		(void)pthread_mutex_lock(&s->lock);
		first = s->first;
		s->first = NULL;
		s->stop = true;
		(void)pthread_mutex_unlock(&s->lock);
		finish(s, first, -ESHUTDOWN);
		return;
	}
	s->started = false;
	(void)pthread_mutex_lock(&s->lock);
	s->stop = true;
	(void)pthread_cond_signal(&s->wake);
	(void)pthread_mutex_unlock(&s->lock);
	(void)pthread_join(s->thread, NULL);
	/* What could not be stored is lost as by a kill. */
	if (!s->failing)
		(void)mark(s, true);
}

void
store_free(struct store **ps)
{
	struct store *s = *ps;

	*ps = NULL;
	if (s == NULL)
		return;
	CT_CHECK_MAGIC(s, STORE_MAGIC);
	store_stop(s);
	if (s->db.sql != NULL)
		db_close(&s->db);
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_mutex_destroy(&s->lock);
	mem_free(s->path);
	mem_free(s);
}

/* ---- from any thread ---------------------------------------------------- */

int
store_submit(struct store *s, struct store_job *j)
{
	int r = 0;

	j->next = NULL;
	j->error = 0;
	(void)pthread_mutex_lock(&s->lock);
	if (s->stop) {
		r = -ESHUTDOWN;
	} else if (s->jobs >= s->opts.queue_jobs ||
	    s->bytes + j->bytes > s->opts.queue_bytes) {
		r = -EAGAIN;
	} else {
		*s->end = j;
		s->end = &j->next;
		s->jobs++;
		s->bytes += j->bytes;
		(void)pthread_cond_signal(&s->wake);
	}
	(void)pthread_mutex_unlock(&s->lock);
	if (r == -EAGAIN)
		s->stat_refused++;
	return r;
}

void
store_set_flusher(struct store *s, const struct store_flusher *f)
{
	CT_ASSERT(!s->started);
	s->flusher = *f;
}

void
store_nudge(struct store *s)
{
	(void)pthread_mutex_lock(&s->lock);
	if (s->flush_at == 0) {
		s->flush_at = clock_mono_ms() + s->opts.flush_ms;
		(void)pthread_cond_signal(&s->wake);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

void
store_stats(struct store *s, struct store_stats *ret)
{
	*ret = (struct store_stats){
		.jobs = s->stat_jobs, .commits = s->stat_commits,
		.failed = s->stat_failed, .refused = s->stat_refused,
		.commit_us = s->stat_commit_us, .pruned = s->stat_pruned,
		.failing = s->failing,
	};
	(void)pthread_mutex_lock(&s->lock);
	ret->waiting = s->jobs;
	(void)pthread_mutex_unlock(&s->lock);
}
