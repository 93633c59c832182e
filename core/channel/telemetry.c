/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry and inventory from the channel to the store, and what is kept. */
#include "channel/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include "base/clock.h"
#include "base/json_check.h"
#include "base/json_find.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/strtab.h"
#include "channel/channel_priv.h"
#include "channel/completion.h"
#include "store/endpoints.h"
#include "store/store.h"
#include "store/telemetry.h"

struct report {
	struct strtab_node node;
	struct telemetry_facts facts;
	uint64_t channel_id, asked;	/* the last seq that channel brought */
	char endpoint[];
};

struct telemetry_table {
	pthread_mutex_t lock;		/* guards `report` */
	struct strtab report;
	struct store *store;
	struct event_bus *bus;
	_Atomic uint64_t refused[REPORT_KINDS][REPORT_REFUSALS];
};

/* ---- what an inventory says ------------------------------------------------ */

bool
telemetry_read_mac(const char *s, uint8_t ret[6])
{
	uint8_t mac[6] = { 0 };
	unsigned digits = 0;

	for (; *s != '\0'; s++) {
		int c = *s, v;

		if ((c == ':' || c == '-') && digits % 2 == 0 && digits > 0)
			continue;
		if (c >= '0' && c <= '9')
			v = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = (c | 0x20) - 'a' + 10;
		else
			return false;
		if (digits == 12)
			return false;
		mac[digits / 2] = (uint8_t)(mac[digits / 2] << 4 | v);
		digits++;
	}
	if (digits != 12)
		return false;
	memcpy(ret, mac, 6);
	return true;
}

/* "address/prefix" in IPv4, and one that can be shared with somebody. */
static bool
read_network(struct json_span v, struct telemetry_network *ret)
{
	char text[32], *slash, *end;
	struct in_addr in;
	unsigned long bits;
	uint32_t a;

	if (!json_plain(v, text, sizeof(text)) ||
	    (slash = strchr(text, '/')) == NULL)
		return false;
	*slash++ = '\0';
	bits = strtoul(slash, &end, 10);
	if (end == slash || *end != '\0' || *slash == '-' || *slash == '+' ||
	    bits < 1 || bits > 30 || inet_pton(AF_INET, text, &in) != 1)
		return false;
	a = ntohl(in.s_addr);
	if (a >> 24 == 127 || a >> 16 == 0xa9fe || a >> 24 == 0)
		return false;
	*ret = (struct telemetry_network){ a, UINT32_MAX << (32 - bits) };
	return true;
}

void
telemetry_read_inventory(const char *json, size_t n, struct telemetry_facts *f)
{
	struct json_span doc = { json, n }, v, item;
	char text[32];
	size_t at = 0;

	f->has_mac = json_member(doc, "mac", &v) &&
	    json_plain(v, text, sizeof(text)) &&
	    telemetry_read_mac(text, f->mac);
	f->networks = 0;
	if (!json_member(doc, "addresses", &v))
		return;
	while (f->networks < TELEMETRY_NETWORKS && json_item(v, &at, &item))
		f->networks += read_network(item, &f->network[f->networks]);
}

/* ---- the table ------------------------------------------------------------- */

static struct report *
report_of(struct strtab_node *n)
{
	return n == NULL ? NULL : CT_CONTAINER(n, struct report, node);
}

/* Under the lock. */
static int
get(struct telemetry_table *t, const char *endpoint, struct report **ret)
{
	struct report *r = report_of(strtab_find(&t->report, endpoint));
	size_t n = strlen(endpoint) + 1;

	if (r == NULL) {
		r = mem_calloc(1, sizeof(*r) + n);
		if (r == NULL)
			return -ENOMEM;
		memcpy(r->endpoint, endpoint, n);
		if (strtab_add(&t->report, &r->node, r->endpoint) != 0) {
			mem_free(r);
			return -ENOMEM;
		}
	}
	*ret = r;
	return 0;
}

struct reading {
	struct telemetry_table *table;
	struct store_db *db;
	struct report *report;
	char last[ENDPOINT_ID_MAX + 1];
	unsigned n;
	int error;
};

static void
read_inventory(void *ctx, const char *json, uint64_t revision, int64_t ms)
{
	struct reading *r = ctx;

	(void)revision;
	(void)ms;
	telemetry_read_inventory(json, strlen(json), &r->report->facts);
}

static bool
read_endpoint(void *ctx, const struct store_endpoint *e)
{
	struct reading *r = ctx;

	r->n++;
	(void)snprintf(r->last, sizeof(r->last), "%s", e->presence.id);
	if (e->telemetry_seq == 0 && e->inventory_revision == 0)
		return true;
	r->error = get(r->table, e->presence.id, &r->report);
	if (r->error != 0)
		return false;
	r->report->facts.seq = e->telemetry_seq;
	if (e->inventory_revision != 0)
		r->error = store_inventory_get(r->db, e->presence.id,
		    read_inventory, r);
	if (r->error == -ENOENT)
		r->error = 0;
	return r->error == 0;
}

#define PAGE 1000

static int
read_all(struct telemetry_table *t)
{
	struct reading r = { .table = t, .db = store_reader(t->store) };
	struct store_endpoint_filter f = {
		.prefix = "", .group = "", .state = -1, .status = -1,
		.limit = PAGE
	};
	char after[sizeof(r.last)];
	int err;

	do {
		memcpy(after, r.last, sizeof(after));
		f.after = after;
		r.n = 0;
		err = store_endpoint_list(r.db, &f, read_endpoint, &r);
	} while (err == 0 && r.error == 0 && r.n == PAGE);
	return err != 0 ? err : r.error;
}

int
telemetry_table_new(struct store *store, struct event_bus *bus, char *why,
    struct telemetry_table **ret)
{
	struct telemetry_table *t = mem_calloc(1, sizeof(*t));
	int r;

	if (t == NULL)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->store = store;
	t->bus = bus;
	r = read_all(t);
	if (r != 0) {
		(void)snprintf(why, 256, "what devices reported cannot be "
		    "read: %s", strerror(-r));
		telemetry_table_free(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void
telemetry_table_free(struct telemetry_table **pt)
{
	struct strtab_node *n;

	if (*pt == NULL)
		return;
	while ((n = strtab_any(&(*pt)->report)) != NULL) {
		strtab_remove(&(*pt)->report, n);
		mem_free(report_of(n));
	}
	strtab_fini(&(*pt)->report);
	pthread_mutex_destroy(&(*pt)->lock);
	mem_free(*pt);
	*pt = NULL;
}

bool
telemetry_facts(struct telemetry_table *t, const char *endpoint,
    struct telemetry_facts *ret)
{
	struct report *r;

	*ret = (struct telemetry_facts){ 0 };
	pthread_mutex_lock(&t->lock);
	r = report_of(strtab_find(&t->report, endpoint));
	if (r != NULL)
		*ret = r->facts;
	pthread_mutex_unlock(&t->lock);
	return r != NULL;
}

void
telemetry_forget(struct telemetry_table *t, const char *endpoint)
{
	struct report *r;

	pthread_mutex_lock(&t->lock);
	r = report_of(strtab_find(&t->report, endpoint));
	if (r != NULL)
		strtab_remove(&t->report, &r->node);
	pthread_mutex_unlock(&t->lock);
	mem_free(r);
}

static bool
shared(const struct telemetry_facts *a, const struct telemetry_facts *b,
    struct telemetry_network *ret)
{
	for (unsigned i = 0; i < a->networks; i++)
		for (unsigned k = 0; k < b->networks; k++) {
			const struct telemetry_network *x = &a->network[i];
			const struct telemetry_network *y = &b->network[k];

			if (x->mask == y->mask &&
			    ((x->address ^ y->address) & x->mask) == 0) {
				*ret = *y;
				return true;
			}
		}
	return false;
}

int
telemetry_neighbour(struct telemetry_table *t, const char *endpoint,
    const struct telemetry_facts *of,
    bool (*usable)(void *ctx, const char *endpoint), void *ctx,
    char *ret_endpoint, struct telemetry_network *ret)
{
	struct strtab_node *n;
	int err = -ENOENT;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; err != 0 && i < t->report.buckets; i++)
		for (n = t->report.bucket[i]; n != NULL; n = n->next) {
			struct report *r = report_of(n);

			if (strcmp(r->endpoint, endpoint) == 0 ||
			    !shared(of, &r->facts, ret) ||
			    !usable(ctx, r->endpoint))
				continue;
			(void)snprintf(ret_endpoint, ENDPOINT_ID_MAX + 1, "%s",
			    r->endpoint);
			err = 0;
			break;
		}
	pthread_mutex_unlock(&t->lock);
	return err;
}

/* ---- from a channel to the store -------------------------------------------- */

struct report_job {
	struct store_job job;
	struct completion completion;
	struct telemetry_table *table;
	enum report_kind kind;
	uint64_t seq, after, cursor;	/* telemetry; cursor 0: was known */
	struct telemetry_facts facts;	/* of the inventory as it is now */
	char endpoint[ENDPOINT_ID_MAX + 1];
	size_t n;
	char json[];
};

/* Counts what was not stored, if it was not.  Returns err. */
static int
judged(struct telemetry_table *t, enum report_kind kind, int err)
{
	enum report_refusal why;

	if (err == 0 || t == NULL)
		return err;
	switch (err) {
	case -EINVAL:
	case -EPERM:
		why = REPORT_REFUSED_INVALID;
		break;
	case -EMSGSIZE:
		why = REPORT_REFUSED_SIZE;
		break;
	case -EAGAIN:
		why = REPORT_REFUSED_BUSY;
		break;
	case -ENOMEM:
		why = REPORT_REFUSED_MEMORY;
		break;
	default:
		why = REPORT_REFUSED_STORE;
		break;
	}
	atomic_fetch_add_explicit(&t->refused[kind][why], 1,
	    memory_order_relaxed);
	return err;
}

const char *
report_kind_name(enum report_kind kind)
{
	return kind == REPORT_TELEMETRY ? "telemetry" : "inventory";
}

const char *
report_refusal_name(enum report_refusal why)
{
	static const char *const names[REPORT_REFUSALS] = {
		[REPORT_REFUSED_INVALID] = "invalid",
		[REPORT_REFUSED_SIZE] = "size",
		[REPORT_REFUSED_BUSY] = "busy",
		[REPORT_REFUSED_STORE] = "store",
		[REPORT_REFUSED_MEMORY] = "memory"
	};

	return names[why];
}

uint64_t
telemetry_refused(const struct telemetry_table *t, enum report_kind kind,
    enum report_refusal why)
{
	return atomic_load_explicit(&t->refused[kind][why],
	    memory_order_relaxed);
}

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
 * there. */
static int
make_known(struct store_db *db, const char *endpoint)
{
	uint64_t last;
	int r = store_telemetry_last(db, endpoint, &last);

	return r != -ENOENT ? r : store_endpoint_admit(db, endpoint,
	    STORE_ACTIVE, clock_wall_ms());
}

static int
run_telemetry(struct store_job *job, struct store_db *db)
{
	struct report_job *j = CT_CONTAINER(job, struct report_job, job);
	int r = make_known(db, j->endpoint);

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

	j->completion.error = judged(t, j->kind, job->error);
	if (job->error == 0) {
		pthread_mutex_lock(&t->lock);
		if (get(t, j->endpoint, &r) == 0)
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
	int r = make_known(db, j->endpoint);

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

	j->completion.error = judged(t, j->kind, job->error);
	if (job->error == 0) {
		pthread_mutex_lock(&t->lock);
		if (get(t, j->endpoint, &r) == 0) {
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
 * What the channel brought before has to be stored first: the highest seq that is
 * stored tells what is known, and one that was refused for now would be passed
 * over when it comes again.  Who sends an earlier one begins anew.
 */
static int
put_in_order(struct channel *c, uint64_t seq, uint64_t *ret_after)
{
	struct telemetry_table *t = c->owner->shared.telemetry;
	struct report *r = NULL;
	int err;

	pthread_mutex_lock(&t->lock);
	err = get(t, channel_endpoint(c), &r);
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
	return judged(c->owner->shared.telemetry, REPORT_TELEMETRY,
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
	return judged(c->owner->shared.telemetry, REPORT_INVENTORY,
	    take_inventory(c, request, json, n));
}
