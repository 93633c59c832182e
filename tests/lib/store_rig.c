/* SPDX-License-Identifier: Apache-2.0 */
/* See store_rig.h. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "store/endpoints.h"
#include "tmpdir.h"

char store_path[128];

int
store_rig_make(void **state)
{
	(void)state;
	(void)snprintf(store_path, sizeof(store_path), "%s/cleat.db",
	    tmpdir_make());
	return 0;
}

int
store_rig_remove(void **state)
{
	(void)state;
	tmpdir_remove();
	return 0;
}

struct store_opts
store_rig_options(void)
{
	return (struct store_opts){
		.path = store_path, .queue_jobs = 64, .queue_bytes = 1 << 20,
		.flush_ms = 5, .telemetry_rows = 1000,
		.telemetry_bytes = 1 << 20,
		.telemetry_age_ms = (uint64_t)1 << 60,
		.commands_age_ms = 86400000, .epoch = 1,
	};
}

struct store *
store_rig_open(const struct store_opts *o)
{
	struct store *s = NULL;
	char why[256] = "";

	if (store_rig_try(o, why, &s) != 0)
		fail_msg("%s", why);
	return s;
}

static int
run(struct store_job *j, struct store_db *db)
{
	struct store_call *c = CT_CONTAINER(j, struct store_call, job);

	return c->fn(db, c->arg);
}

static void
done(struct store_job *j)
{
	(void)sem_post(&CT_CONTAINER(j, struct store_call, job)->done);
}

void
store_call_init(struct store_call *c, int (*fn)(struct store_db *, void *),
    void *arg)
{
	*c = (struct store_call){
		.job = { .run = run, .done = done }, .fn = fn, .arg = arg
	};
	(void)sem_init(&c->done, 0, 0);
}

int
store_call_wait(struct store_call *c)
{
	while (sem_wait(&c->done) != 0)
		continue;
	(void)sem_destroy(&c->done);
	return c->job.error;
}

int
store_call(struct store *s, int (*fn)(struct store_db *, void *), void *arg)
{
	struct store_call c;

	store_call_init(&c, fn, arg);
	assert_int_equal(store_submit(s, &c.job), 0);
	return store_call_wait(&c);
}

int
store_rig_admit(struct store_db *db, void *id)
{
	return store_endpoint_admit(db, id, STORE_ACTIVE, 1000);
}
