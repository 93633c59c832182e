/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable truth (decision 0012): one SQLite database, one thread that owns
 * it, and a queue of jobs.  Memory is the working copy of everything that
 * is asked for often; the store is read when the daemon starts and when
 * somebody asks for what is only there.  Nothing is acknowledged to a
 * device or an operator before the job that wrote it is done.  The only
 * folder that knows SQLite.
 *
 * The thread takes all jobs that wait, runs them inside one transaction,
 * commits (synchronous=FULL, one fsync), and only then calls done() of each.
 * What a job runs is in store/{endpoints,credentials,commands,telemetry}.h.
 */
#ifndef CT_STORE_H
#define CT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"

struct store;
struct store_db;			/* the open database, inside a job */
struct event_bus;

struct store_opts {
	const char *path;		/* the database file */
	size_t queue_jobs, queue_bytes;	/* that may wait */
	uint32_t flush_ms;		/* of what was only nudged */
	uint64_t telemetry_rows, telemetry_bytes;	/* kept at most */
	unsigned telemetry_share;	/* percent of both that one endpoint may
					 * have; 0: all */
	uint64_t telemetry_age_ms;
	uint64_t commands_age_ms;	/* finished ones are kept for */
	uint64_t epoch;
	struct event_bus *bus;		/* store.failing,
					 * store.recovered; or NULL */
};

/* No file is touched yet: jobs may be submitted and wait (decision 0015).
 * -ENOMEM. */
int store_new(const struct store_opts *, struct store **ret);
/*
 * Opens or creates the database, checks it, and migrates an older one; no
 * thread yet.  why[256] gets one line with the remedy; the file is never
 * replaced.  -EILSEQ corrupt, -EPROTO made by a newer cleat, -EACCES (-EROFS
 * from SQLite), -EAGAIN another program holds it, -ENOSPC, -EIO, -ENOMEM.
 * After a failure only store_free().
 */
int store_open(struct store *, char *why);
/* The schema that this program writes. */
unsigned store_schema(void);
/* For reading everything at the start,
 * between store_open() and store_start(). */
struct store_db *store_reader(struct store *);
/* Whether the last run ended without store_free(): what was not yet stored then
 * is lost (channel numbers and revisions go up by a leap). */
bool store_was_killed(const struct store *);
/* When the last run wrote for the last time, wall ms; 0: first run. */
int64_t store_last_alive_ms(const struct store *);
/* Notes that we run, durably, then starts the thread.  -ENOSPC, -EIO; -errno of
 * pthread_create. */
int store_start(struct store *);
/* What to do about an error of store_start() or of reading before it, with the
 * path, into why[256]. */
void store_explain(const struct store *, int error, char *why);
/* Runs what waits, commits, calls done() of all, ends the thread.  Comes before
 * the loops that jobs call home end.  Nothing is taken any more. */
void store_stop(struct store *);
/* Stops, and closes. */
void store_free(struct store **);

struct store_job {
	/* On the store's thread, in the transaction.  What it returns is
	 * `error`; a job that fails leaves nothing behind. */
	int (*run)(struct store_job *, struct store_db *);
	/* Called once, after the commit or its failure, on the loop of `home`,
	 * or on the store's thread if that is NULL.  It owns the job again. */
	void (*done)(struct store_job *);
	struct mailbox *home;
	bool reads;			/* changes nothing: runs after the
					 * commit of what waited with it, so it
					 * sees only what is durable, and works
					 * on a full disk */
	int error;			/* 0; the store's: -ENOSPC, -EIO,
					 * -EROFS, -EILSEQ, -ENOMEM, -EAGAIN
					 * another program holds it; or
					 * run()'s own */
	size_t bytes;			/* what it holds,
					 * for the queue's limit */
	/* The store's. */
	struct store_job *next;
	struct mail mail;
};
/* Any thread; never blocks.  Jobs of one thread run in their order, but one
 * that reads may see what was submitted after it.  0: done() will be called.
 * -EAGAIN the queue is full, -ESHUTDOWN: it will not. */
int store_submit(struct store *, struct store_job *);

/*
 * What is stored behind its change (presence): before every commit, and at most
 * flush_ms after a nudge, collect() writes what has changed; settled() says
 * with which error the commit ended (0: it is durable).  Both on the
 * store's thread.
 */
struct store_flusher {
	int (*collect)(void *ctx, struct store_db *);
	void (*settled)(void *ctx, int error);
	void *ctx;
};
void store_set_flusher(struct store *, const struct store_flusher *);
void store_nudge(struct store *);	/* any thread, cheap */

struct store_stats {
	uint64_t jobs, commits, failed, refused;
	uint64_t waiting;		/* jobs now */
	uint64_t commit_us;		/* of the last one */
	uint64_t pruned;		/* messages of telemetry,
					 * at a limit or old */
	bool failing;			/* the last commit failed */
};
void store_stats(struct store *, struct store_stats *ret);

#endif
