/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry and inventory from the channel to the store, and the answers. */
#include "channel/telemetry_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_check.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "channel/channel_priv.h"
#include "channel/completion.h"
#include "store/endpoints.h"
#include "store/store.h"
#include "store/telemetry.h"

struct report_job {
	struct store_job job;
	struct completion completion;
	struct telemetry_table *table;
	struct endpoint_table *endpoints;
	enum report_kind kind;
	uint64_t seq, after, cursor;	/* telemetry; cursor 0: was known */
	struct telemetry_facts facts;	/* of the inventory as it is now */
	char endpoint[ENDPOINT_ID_MAX + 1];
	size_t n;
	char json[];
};

static void
release(struct completion *d)
{
	mem_free(CT_CONTAINER(d, struct report_job, completion));
}

/* cursor 0: left out. */
static void
publish(struct report_job *j, enum event_type type, const char *key,
    uint64_t value, uint64_t cursor)
{
	char text[96];
	struct outbuf out = { .p = (uint8_t *)text, .cap = sizeof(text) };
	struct event ev = { .type = type, .endpoint = j->endpoint };
	struct json_out o;

	jout_init(&o, &out);
	jout_object(&o, NULL);
	jout_uint(&o, key, value);
	if (cursor != 0)
		jout_uint(&o, "cursor", cursor);
	jout_object_end(&o);
	ev.detail = text;
	ev.detail_n = out.n;
	event_emit(j->table->bus, &ev);
	event_kick(j->table->bus);
}

/* Presence is stored behind its change: a device may report before its row is
 * there; or after it was forgotten, before it hears of that. */
static int
make_known(const struct report_job *j, struct store_db *db)
{
	struct endpoint_facts facts;
	uint64_t last;
	int r = store_telemetry_last(db, j->endpoint, &last);

	if (r != -ENOENT)
		return r;
	if (endpoint_get(j->endpoints, j->endpoint, &facts) != 0)
		return -EAGAIN;
	return store_endpoint_admit(db, j->endpoint, STORE_ACTIVE,
	    clock_wall_ms());
}

static int
run_telemetry(struct store_job *job, struct store_db *db)
{
	struct report_job *j = CT_CONTAINER(job, struct report_job, job);
	int r = make_known(j, db);

	return r != 0 ? r : store_telemetry_put(db, j->endpoint, j->seq,
	    j->after, clock_wall_ms(), j->json, j->n, &j->completion.value,
	    &j->cursor);
}

/* Store's thread, in the order of the commits. */
static void
telemetry_done(struct store_job *job)
{
	struct report_job *j = CT_CONTAINER(job, struct report_job, job);
	struct telemetry_table *t = j->table;
	struct report *r;

	j->completion.error = telemetry_judged(t, j->kind, job->error);
	if (job->error == 0) {
		pthread_mutex_lock(&t->lock);
		if (telemetry_report(t, j->endpoint, &r) == 0)
			r->facts.seq = j->completion.value;
		pthread_mutex_unlock(&t->lock);
	}
	if (job->error == 0 && j->cursor != 0)
		publish(j, EVENT_ENDPOINT_TELEMETRY, "seq", j->seq, j->cursor);
	completion_post(&j->completion);
}

static void
take_facts(void *ctx, const char *json, uint64_t revision, int64_t ms)
{
	struct report_job *j = ctx;

	(void)revision;
	(void)ms;
	telemetry_read_inventory(json, strlen(json), &j->facts);
}

static int
run_inventory(struct store_job *job, struct store_db *db)
{
	struct report_job *j = CT_CONTAINER(job, struct report_job, job);
	int r = make_known(j, db);

	if (r == 0)
		r = store_inventory_patch(db, j->endpoint, j->json, j->n,
		    clock_wall_ms(), &j->completion.value);
	return r != 0 ? r : store_inventory_get(db, j->endpoint, take_facts, j);
}

static void
inventory_done(struct store_job *job)
{
	struct report_job *j = CT_CONTAINER(job, struct report_job, job);
	struct telemetry_table *t = j->table;
	struct report *r;

	j->completion.error = telemetry_judged(t, j->kind, job->error);
	if (job->error == 0) {
		pthread_mutex_lock(&t->lock);
		if (telemetry_report(t, j->endpoint, &r) == 0) {
			j->facts.seq = r->facts.seq;
			r->facts = j->facts;
		}
		pthread_mutex_unlock(&t->lock);
		publish(j, EVENT_ENDPOINT_INVENTORY, "revision",
		    j->completion.value, 0);
	}
	completion_post(&j->completion);
}

static int
submit(struct channel *c, uint64_t request, struct report_job *j)
{
	struct telemetry_table *t = c->owner->shared.telemetry;
	int r = completion_begin(c, request, &j->completion);

	if (r == 0) {
		j->table = t;
		j->endpoints = c->owner->shared.endpoints;
		j->completion.release = release;
		j->job.bytes = sizeof(*j) + j->n;
		(void)snprintf(j->endpoint, sizeof(j->endpoint), "%s",
		    channel_endpoint(c));
		r = store_submit(t->store, &j->job);
		if (r != 0)
			completion_abandon(c, &j->completion);
	}
	if (r != 0)
		mem_free(j);
	return r == -ESHUTDOWN ? -EAGAIN : r;
}

static int
may_report(const struct channel *c)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	return c->owner->shared.telemetry == NULL ? -EAGAIN : 0;
}

static int
make(const struct channel *c, const char *json, size_t n,
    struct report_job **ret)
{
	struct report_job *j;
	int r = may_report(c);

	if (r != 0)
		return r;
	j = mem_calloc(1, sizeof(*j) + n + 1);
	if (j == NULL)
		return -ENOMEM;
	memcpy(j->json, json, n);
	j->n = n;
	*ret = j;
	return 0;
}

/*
 * What the channel brought before has to be stored first: the highest seq that
 * is stored tells what is known, and one that was refused for now would be
 * passed over when it comes again.  Who sends an earlier one begins anew.
 */
static int
put_in_order(struct channel *c, uint64_t seq, uint64_t *ret_after)
{
	struct telemetry_table *t = c->owner->shared.telemetry;
	struct report *r = NULL;
	int err;

	pthread_mutex_lock(&t->lock);
	err = telemetry_report(t, channel_endpoint(c), &r);
	if (err == 0) {
		*ret_after = r->channel_id == c->id && seq > r->asked ?
		    r->asked : 0;
		r->channel_id = c->id;
		r->asked = seq;
	}
	pthread_mutex_unlock(&t->lock);
	return err;
}

static int
take_telemetry(struct channel *c, uint64_t request, uint64_t seq,
    const char *json, size_t n)
{
	struct report_job *j;
	uint64_t after = 0;
	int r;

	if (seq == 0 || seq > INT64_MAX || json_check_array(json, n) != 0)
		return -EINVAL;
	if ((r = may_report(c)) != 0)
		return r;
	if ((r = put_in_order(c, seq, &after)) != 0) {
		channel_close(c, 1013, "out of memory");
		return r;
	}
	r = make(c, json, n, &j);
	if (r != 0)
		return r;
	j->seq = seq;
	j->after = after;
	j->job.run = run_telemetry;
	j->job.done = telemetry_done;
	return submit(c, request, j);
}

int
channel_telemetry(struct channel *c, uint64_t request, uint64_t seq,
    const char *json, size_t n)
{
	return telemetry_judged(c->owner->shared.telemetry, REPORT_TELEMETRY,
	    take_telemetry(c, request, seq, json, n));
}

static int
take_inventory(struct channel *c, uint64_t request, const char *json,
    size_t n)
{
	struct report_job *j;
	int r;

	if (json_check_object(json, n) != 0)
		return -EINVAL;
	if (n > STORE_INVENTORY_MAX)
		return -EMSGSIZE;
	r = make(c, json, n, &j);
	if (r != 0)
		return r;
	/* Unlike telemetry a patch has no number: a late one would undo what
	 * came by the new channel. */
	if (!channel_is_live(c)) {
		mem_free(j);
		return -EAGAIN;
	}
	j->kind = REPORT_INVENTORY;
	j->job.run = run_inventory;
	j->job.done = inventory_done;
	return submit(c, request, j);
}

int
channel_inventory(struct channel *c, uint64_t request, const char *json,
    size_t n)
{
	return telemetry_judged(c->owner->shared.telemetry, REPORT_INVENTORY,
	    take_inventory(c, request, json, n));
}
