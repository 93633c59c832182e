/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's life, its queue, and its thread: that takes what waits, has it
 * run in one transaction (transaction.c), and tells everybody.  Nobody else
 * touches the database while it runs.
 */
#include "store/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define STORE_MAGIC 0x73746f72u		/* "stor" */
#define BATCH_MAX 1024			/* jobs of one transaction */

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
		r = flush || !store_only_reads(first) ||
		    clock_mono_ms() >= later(s->alive_at, s->retry_at) ?
		    store_transact(s, first, flush) : 0;
		store_run_reads(s, first);
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
	int r = store_mark(s, false);

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
		(void)store_mark(s, true);
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
