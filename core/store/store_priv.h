/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the store: store.c has its life, its queue and its thread,
 * transaction.c what that does between two commits.
 */
#ifndef CT_STORE_PRIV_H
#define CT_STORE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/db.h"
#include "store/store.h"

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

/* The store's thread, all of them; store_mark() also while there is none. */

/* Runs the jobs that write, collects a flush, commits.  0, or what keeps it
 * from being durable: then nothing of it is.  What a job has refused is in
 * its error. */
int store_transact(struct store *, struct store_job *first, bool flush);
/* After the commit: they see nothing that may still be taken back. */
void store_run_reads(struct store *, struct store_job *first);
bool store_only_reads(const struct store_job *first);
/* Notes that we run, or (clean) have ended well.  -errno of the database. */
int store_mark(struct store *, bool clean);

#endif
