/* SPDX-License-Identifier: Apache-2.0 */
/* Going through all endpoints: who overslept, everything once more, who was not
 * heard after a start, and how many are what. */
#include "endpoint/endpoint_priv.h"

#include "base/clock.h"

/* Under the lock.  Sleepers are not listed: the shard knows when the first of
 * them is due, and only then is it gone through. */
static void
sweep_shard(struct endpoint_table *t, struct endpoint_shard *s, int64_t due)
{
	struct endpoint *e;

	s->due = ENDPOINT_NEVER;
	for (size_t i = 0; i < s->buckets; i++)
		for (e = s->bucket[i]; e != NULL; e = e->next) {
			if (e->state != PRESENCE_ASLEEP)
				continue;
			if ((int64_t)e->until > due) {
				if ((int64_t)e->until < s->due)
					s->due = (int64_t)e->until;
			} else if (endpoint_apply(t, s, e, PRESENCE_IN_OVERDUE,
			    0)) {
				endpoint_publish_state(t, e);
			}
		}
}

void
endpoint_table_sweep(struct endpoint_table *t, int64_t wall_ms,
    uint32_t grace_ms)
{
	int64_t due = wall_ms - grace_ms;
	struct endpoint_shard *s;

	for (int i = 0; i < ENDPOINT_SHARDS; i++) {
		s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		if (s->due <= due)
			sweep_shard(t, s, due);
		endpoint_leave(t, s);
	}
	event_kick(t->bus);
}

/* True: it told of it. */
typedef bool visit_fn(struct endpoint_table *, struct endpoint_shard *,
    struct endpoint *, void *arg);

static void
present(struct event *ev, const struct endpoint *e)
{
	endpoint_fill_event(ev, e, endpoint_event_type(e));
	ev->since_ms = (int64_t)e->since;
}

static bool
restate(struct endpoint_table *t, struct endpoint_shard *s, struct endpoint *e,
    void *arg)
{
	struct event ev;

	(void)s, (void)arg;
	if (e->forgotten)
		return false;
	present(&ev, e);
	event_emit(t->bus, &ev);
	return true;
}

struct telling {
	void (*fn)(void *, const struct event *);
	void *arg;
};

static bool
tell(struct endpoint_table *t, struct endpoint_shard *s, struct endpoint *e,
    void *arg)
{
	struct telling *to = arg;
	struct event ev;

	(void)t, (void)s;
	if (e->forgotten)
		return false;
	present(&ev, e);
	ev.wall_ms = clock_wall_ms();
	to->fn(to->arg, &ev);
	return true;
}

static bool
lose(struct endpoint_table *t, struct endpoint_shard *s, struct endpoint *e,
    void *arg)
{
	(void)arg;
	if (e->forgotten || !endpoint_apply(t, s, e, PRESENCE_IN_LOST, 0))
		return false;
	endpoint_publish_state(t, e);
	t->lost[e->state]++;
	return true;
}

/* A table that grows meanwhile splits bucket i into i and i + n, both still
 * ahead of a cursor at i: none is missed. */
static void
visit_shard(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint_cursor *at, size_t *left, visit_fn *fn, void *arg)
{
	struct endpoint *e;

	for (; at->bucket < s->buckets && *left > 0; at->bucket++)
		for (e = s->bucket[at->bucket]; e != NULL; e = e->next)
			if (fn(t, s, e, arg))
				*left -= *left > 0;
	if (at->bucket >= s->buckets) {
		at->shard++;
		at->bucket = 0;
	}
}

static bool
visit(struct endpoint_table *t, struct endpoint_cursor *at, size_t max,
    visit_fn *fn, void *arg)
{
	struct endpoint_shard *s;

	while (at->shard < ENDPOINT_SHARDS && max > 0) {
		s = &t->shard[at->shard];
		pthread_mutex_lock(&s->lock);
		visit_shard(t, s, at, &max, fn, arg);
		endpoint_leave(t, s);
	}
	event_kick(t->bus);
	return at->shard < ENDPOINT_SHARDS;
}

bool
endpoint_table_tell(struct endpoint_table *t, struct endpoint_cursor *at,
    size_t max, void (*fn)(void *, const struct event *), void *arg)
{
	struct telling telling = { .fn = fn, .arg = arg };

	return visit(t, at, max, tell, &telling);
}

bool
endpoint_table_restate(struct endpoint_table *t, struct endpoint_cursor *at,
    size_t max)
{
	return visit(t, at, max, restate, NULL);
}

bool
endpoint_table_lose(struct endpoint_table *t, struct endpoint_cursor *at,
    size_t max)
{
	return visit(t, at, max, lose, NULL);
}

void
endpoint_table_figures(struct endpoint_table *t, struct endpoint_figures *ret)
{
	struct endpoint_figures f = { 0 };
	struct endpoint_shard *s;

	for (int i = 0; i < ENDPOINT_SHARDS; i++) {
		s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		for (int k = 0; k < PRESENCE_STATES; k++) {
			f.state[k] += s->by_state[k];
			f.known += s->by_state[k];
		}
		for (int k = 0; k <= SECURITY_WSS_SAFE; k++)
			f.live[k] += s->live[k];
		pthread_mutex_unlock(&s->lock);
	}
	*ret = f;
}
