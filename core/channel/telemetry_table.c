/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the reports of each device, in memory. */
#include "channel/telemetry_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "store/endpoints.h"
#include "store/store.h"
#include "store/telemetry.h"
#include "endpoint/endpoint.h"

static struct report *
report_of(struct strtab_node *n)
{
	return n == NULL ? NULL : CT_CONTAINER(n, struct report, node);
}

int
telemetry_report(struct telemetry_table *t, const char *endpoint,
    struct report **ret)
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
	struct telemetry_facts facts;
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
	telemetry_read_inventory(json, strlen(json), &r->facts);
}

/* What is stored holds, also for one that came with its channel: nobody has
 * written since. */
static int
take_stored(struct telemetry_table *t, const char *endpoint,
    const struct telemetry_facts *facts)
{
	struct report *r;
	int err;

	pthread_mutex_lock(&t->lock);
	err = telemetry_report(t, endpoint, &r);
	if (err == 0)
		r->facts = *facts;
	pthread_mutex_unlock(&t->lock);
	return err;
}

static bool
read_endpoint(void *ctx, const struct store_endpoint *e)
{
	struct reading *r = ctx;

	r->n++;
	(void)snprintf(r->last, sizeof(r->last), "%s", e->presence.id);
	if (e->telemetry_seq == 0 && e->inventory_revision == 0)
		return true;
	r->facts = (struct telemetry_facts){ .seq = e->telemetry_seq };
	if (e->inventory_revision != 0)
		r->error = store_inventory_get(r->db, e->presence.id,
		    read_inventory, r);
	if (r->error == -ENOENT)
		r->error = 0;
	if (r->error == 0)
		r->error = take_stored(r->table, e->presence.id, &r->facts);
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
telemetry_table_new(struct store *store, struct event_bus *bus,
    struct telemetry_table **ret)
{
	struct telemetry_table *t = mem_calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->store = store;
	t->bus = bus;
	*ret = t;
	return 0;
}

int
telemetry_table_load(struct telemetry_table *t, char *why)
{
	int r = read_all(t);

	if (r != 0)
		(void)snprintf(why, 256, "what devices reported cannot be "
		    "read: %s", strerror(-r));
	return r;
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

bool
telemetry_pass(struct telemetry_table *t, const char *endpoint,
    uint64_t channel_id, struct telemetry_passed *ret)
{
	struct report *r;

	pthread_mutex_lock(&t->lock);
	r = report_of(strtab_find(&t->report, endpoint));
	if (r != NULL)
		*ret = (struct telemetry_passed){
			.facts = r->facts,
			.asked = r->channel_id == channel_id ? r->asked : 0
		};
	pthread_mutex_unlock(&t->lock);
	return r != NULL;
}

int
telemetry_receive(struct telemetry_table *t, const char *endpoint,
    uint64_t channel_id, const struct telemetry_passed *p)
{
	struct report *r;
	int err;

	pthread_mutex_lock(&t->lock);
	err = telemetry_report(t, endpoint, &r);
	if (err == 0) {
		r->facts = p->facts;
		r->asked = p->asked;
		r->channel_id = channel_id;
	}
	pthread_mutex_unlock(&t->lock);
	return err;
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

int
telemetry_judged(struct telemetry_table *t, enum report_kind kind, int err)
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
