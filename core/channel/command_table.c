/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of open commands, in memory (decision 0014): by id, and a queue for
 * each endpoint in the order of the commits; read from the store at the start.
 */
#include "channel/command_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define PAGE 1000

static struct command *
command_of(struct strtab_node *n)
{
	return n == NULL ? NULL : CT_CONTAINER(n, struct command, node);
}

struct command_queue *
command_queue_find(struct command_table *t, const char *endpoint)
{
	struct strtab_node *n = strtab_find(&t->queues, endpoint);

	return n == NULL ? NULL : CT_CONTAINER(n, struct command_queue, node);
}

struct command *
command_find(struct command_table *t, const char *id)
{
	return command_of(strtab_find(&t->by_id, id));
}

static int
get_queue(struct command_table *t, const char *endpoint,
    struct command_queue **ret)
{
	struct command_queue *q = command_queue_find(t, endpoint);
	size_t n = strlen(endpoint) + 1;

	if (q == NULL) {
		q = mem_calloc(1, sizeof(*q) + n);
		if (q == NULL)
			return -ENOMEM;
		memcpy(q->endpoint, endpoint, n);
		list_init(&q->commands);
		if (strtab_add(&t->queues, &q->node, q->endpoint) != 0) {
			mem_free(q);
			return -ENOMEM;
		}
	}
	*ret = q;
	return 0;
}

void
command_stall(struct command_table *t, struct command_queue *q)
{
	t->stalled += !q->stalled;
	q->stalled = true;
}

static void
drop_queue(struct command_table *t, struct command_queue *q)
{
	if (q->n > 0)
		return;
	t->stalled -= q->stalled;
	strtab_remove(&t->queues, &q->node);
	mem_free(q);
}

int
command_insert(struct command_table *t, const struct store_command *row,
    enum command_kind kind, struct command **ret)
{
	size_t id_n = strlen(row->id) + 1, verb_n = strlen(row->verb) + 1;
	size_t args_n = strlen(row->args) + 1, by_n = strlen(row->by) + 1;
	struct command *c = mem_calloc(1, sizeof(*c) + id_n + verb_n + args_n +
	    by_n);
	struct command_queue *q;
	char *at;
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = get_queue(t, row->endpoint, &q);
	if (r != 0) {
		mem_free(c);
		return r;
	}
	at = memcpy(c->text, row->id, id_n);
	c->verb = memcpy(at += id_n, row->verb, verb_n);
	c->args = memcpy(at += verb_n, row->args, args_n);
	c->by = memcpy(at += args_n, row->by, by_n);
	r = strtab_add(&t->by_id, &c->node, c->text);
	if (r != 0) {
		drop_queue(t, q);
		mem_free(c);
		return r;
	}
	c->queue = q;
	q->n++;
	c->kind = kind;
	c->deadline_ms = row->deadline_ms;
	c->order = row->order;
	c->storing = true;
	list_init(&c->link);
	list_append(&t->all, &c->all);
	if (c->deadline_ms < t->next_deadline)
		t->next_deadline = c->deadline_ms;
	t->wakes += kind == COMMAND_WAKE;
	*ret = c;
	return 0;
}

void
command_remove(struct command_table *t, struct command *c)
{
	struct command_queue *q = c->queue;

	list_remove(&c->link);
	list_remove(&c->all);
	strtab_remove(&t->by_id, &c->node);
	t->wakes -= c->kind == COMMAND_WAKE;
	q->n--;
	drop_queue(t, q);
	mem_free(c);
}

void
command_enqueue(struct command *c, uint64_t order)
{
	c->storing = false;
	c->order = order;
	list_append(&c->queue->commands, &c->link);
}

/* ---- life -------------------------------------------------------------- */

struct loading {
	struct command_table *table;
	uint64_t after;
	unsigned n;
	int error;
};

static enum command_kind
kind_of(const struct store_command *row)
{
	if (strcmp(row->verb, "wake") != 0)
		return COMMAND_FOR_DEVICE;
	return strncmp(row->by, COMMAND_RELAY_OF,
	    strlen(COMMAND_RELAY_OF)) == 0 ? COMMAND_RELAYED : COMMAND_WAKE;
}

/* Under the lock. */
static int
load_one(struct command_table *t, const struct store_command *row,
    bool is_online)
{
	struct command *c = command_find(t, row->id);
	bool known = c != NULL;
	bool told = known && (c->cancelling || !row->cancelling);
	int r = known ? 0 : command_insert(t, row, kind_of(row), &c);

	if (r != 0)
		return r;
	if (!known) {
		command_enqueue(c, row->order);
		/* Whether the last daemon sent it nobody knows. */
		c->sent = c->kind != COMMAND_WAKE;
	}
	c->received = false;
	c->accepted = c->accepted || row->state == COMMAND_ACCEPTED;
	c->cancelling = c->cancelling || row->cancelling;
	if (is_online && !told)
		command_stall(t, c->queue);
	return 0;
}

static bool
load(void *ctx, const struct store_command *row)
{
	struct loading *l = ctx;
	struct command_table *t = l->table;
	struct endpoint_facts facts;
	bool is_online = t->workers != NULL && endpoint_get(
	    t->deps.endpoints, row->endpoint, &facts) == 0 &&
	    facts.place.channel_id != 0;

	l->n++;
	l->after = row->order;
	pthread_mutex_lock(&t->lock);
	l->error = load_one(t, row, is_online);
	pthread_mutex_unlock(&t->lock);
	return l->error == 0;
}

/* Under the lock: of those that came with a channel, what has ended since is
 * not among the open ones of the store. */
static void
drop_ended(struct command_table *t)
{
	struct list *it, *next;

	LIST_FOREACH_SAFE(it, next, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		if (c->received && !c->ending)
			command_remove(t, c);
	}
}

/* Under the lock: a wake whose relay was asked before the start waits
 * for that. */
static void
join_relays(struct command_table *t)
{
	struct command *of;
	struct list *it;

	LIST_FOREACH(it, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		if (c->kind != COMMAND_RELAYED)
			continue;
		of = command_find(t, c->by + strlen(COMMAND_RELAY_OF));
		if (of != NULL && of->kind == COMMAND_WAKE)
			of->waking = true;
	}
}

static int
load_all(struct command_table *t)
{
	struct loading l = { .table = t };
	struct store_command_filter f = {
		.endpoint = "", .open_only = true, .limit = PAGE
	};
	int r;

	do {
		l.n = 0;
		f.after = l.after;
		r = store_command_list(store_reader(t->deps.store), &f, load,
		    &l);
	} while (r == 0 && l.error == 0 && l.n == PAGE);
	if (r == 0)
		r = l.error;
	pthread_mutex_lock(&t->lock);
	if (r == 0)
		drop_ended(t);
	join_relays(t);
	pthread_mutex_unlock(&t->lock);
	return r;
}

int
command_table_new(const struct command_deps *deps,
    const struct command_rules *rules, struct command_table **ret)
{
	struct command_table *t = mem_calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->all);
	t->next_deadline = INT64_MAX;
	t->rules = *rules;
	t->deps = *deps;
	*ret = t;
	return 0;
}

int
command_table_load(struct command_table *t, char *why)
{
	int r = load_all(t);
	size_t n = command_table_open(t);

	if (r != 0)
		(void)snprintf(why, WHY_SIZE, "open commands cannot be read: "
		    "%s", strerror(-r));
	else if (n > 0)
		log_info("open commands of the last run count=%zu", n);
	return r;
}

void
command_table_free(struct command_table **pt)
{
	struct command_table *t = *pt;
	struct strtab_node *n;

	if (t == NULL)
		return;
	while ((n = strtab_any(&t->by_id)) != NULL)
		command_remove(t, command_of(n));
	strtab_fini(&t->by_id);
	strtab_fini(&t->queues);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
	*pt = NULL;
}

void
command_table_set_workers(struct command_table *t,
    struct channel_worker *const *workers)
{
	t->workers = workers;
}

void
command_table_set_rules(struct command_table *t,
    const struct command_rules *rules)
{
	pthread_mutex_lock(&t->lock);
	t->rules = *rules;
	pthread_mutex_unlock(&t->lock);
}

void
command_table_forget(struct command_table *t, const char *endpoint)
{
	struct list *it, *next;

	pthread_mutex_lock(&t->lock);
	LIST_FOREACH_SAFE(it, next, &t->all) {
		struct command *c = CT_CONTAINER(it, struct command, all);

		/* One that is being stored stays until that has ended. */
		if (!c->storing && strcmp(c->queue->endpoint, endpoint) == 0)
			command_remove(t, c);
	}
	pthread_mutex_unlock(&t->lock);
}

size_t
command_table_open(struct command_table *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->by_id.count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

const char *
command_refusal_name(enum command_refusal why)
{
	static const char *const names[COMMAND_REFUSALS] = {
		[COMMAND_REFUSED_INVALID] = "invalid",
		[COMMAND_REFUSED_ENDPOINT] = "endpoint",
		[COMMAND_REFUSED_EXISTS] = "exists",
		[COMMAND_REFUSED_QUEUE] = "queue",
		[COMMAND_REFUSED_OPEN] = "open",
		[COMMAND_REFUSED_BUSY] = "busy",
		[COMMAND_REFUSED_STORE] = "store",
		[COMMAND_REFUSED_MEMORY] = "memory"
	};

	return names[why];
}

uint64_t
command_table_refused(const struct command_table *t, enum command_refusal why)
{
	return atomic_load_explicit(&t->refused[why], memory_order_relaxed);
}
