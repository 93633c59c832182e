/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the store share: a database in a directory of its own, and
 * a job that runs a function and is waited for.
 */
#ifndef CT_TEST_STORE_RIG_H
#define CT_TEST_STORE_RIG_H

#include <semaphore.h>
#include <stdint.h>

#include "store/store.h"

extern char store_path[128];

/* For cmocka's setup and teardown. */
int store_rig_make(void **state);
int store_rig_remove(void **state);

struct store_opts store_rig_options(void);	/* small limits */
/* store_new() and store_open(); nothing is left after a failure. */
int store_rig_try(const struct store_opts *, char *why, struct store **ret);
struct store *store_rig_open(const struct store_opts *);	/* or fails */

struct store_call {
	struct store_job job;
	int (*fn)(struct store_db *, void *);
	void *arg;
	sem_t done;
};
void store_call_init(struct store_call *, int (*)(struct store_db *, void *),
    void *arg);
int store_call_wait(struct store_call *);	/* its error */
int store_call(struct store *, int (*)(struct store_db *, void *), void *arg);

/* A literal as such an `arg`. */
#define NAME(literal) ((char *)(uintptr_t)(literal))
/* Makes the endpoint of that name known. */
int store_rig_admit(struct store_db *, void *id);

#endif
