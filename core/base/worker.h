/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: a thread with its own loop and mailbox.  Network workers, plugin
 * instances of the kinds with a thread of their own, and the main thread's loop
 * are all this.
 */
#ifndef CT_WORKER_H
#define CT_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/loop.h"
#include "base/mailbox.h"

struct worker {
	struct loop *loop;
	struct mailbox mailbox;
	pthread_t thread;
	bool started;
	char name[16];			/* shown by top -H */
};

int worker_init(struct worker *, const char *name);
/* Starts the thread; signals are blocked in it.  -errno of pthread_create. */
int worker_start(struct worker *);
/* Asks the loop to end after this turn and joins the thread.  Idempotent. */
void worker_stop(struct worker *);
/* After worker_stop(). */
void worker_fini(struct worker *);
/* Runs fn(arg) on the worker's thread and waits for it.  Never called on a
 * worker's own thread.  If the thread is not running, fn runs here. */
void worker_call(struct worker *, void (*fn)(void *), void *arg);

#endif
