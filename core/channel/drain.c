/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drain: every channel of a worker is asked to connect again, elsewhere or
 * later, within a window.  The asking is spread evenly over the first half of
 * it, and each has the other half's length to go at a random time; who is still
 * there then is closed (1012), as evenly over the second half.  Who has to go
 * is marked, because channels move between workers meanwhile.
 */
#include "channel/channel_priv.h"

#include <errno.h>

#include "base/mem.h"

#define TICK_MS 100
#define SLICE 256			/* channels in one tick at least */

struct drain {
	struct timer timer;
	struct channel_worker *cw;
	uint64_t from_ms;		/* of the loop */
	uint32_t window_ms;
	size_t n, asked, closed;
	char *servers, *why;
	uint64_t id[];			/* of the channels, in their order */
};

void
channel_drain_stop(struct channel_worker *cw)
{
	struct drain *d = cw->drain;

	if (d == NULL)
		return;
	cw->drain = NULL;
	loop_timer_stop(cw->loop, &d->timer);
	mem_free(d->servers);
	mem_free(d->why);
	mem_free(d);
}

static void
ask(struct drain *d, struct channel *c, uint32_t left_ms)
{
	struct channel_drain what = {
		.window_ms = left_ms, .servers = d->servers, .why = d->why
	};

	if (c != NULL && c->endpoint != NULL && c->phase == PHASE_OPEN &&
	    c->protocol->drain != NULL)
		c->protocol->drain(c, &what);
}

static void
end_one(struct channel *c)
{
	c->draining = false;
	channel_close(c, WS_CLOSE_RESTART, "drain");
}

/* A slice of those who are still there at the end: they came from another
 * worker meanwhile.  true: these were all. */
static bool
close_some(struct channel_worker *cw)
{
	const struct channel_table *t = &cw->table;
	unsigned n = 0;

	for (size_t i = 0; i < t->cap; i++)
		if (t->place[i] != NULL && t->place[i]->draining) {
			if (n++ == SLICE)
				return false;
			end_one(t->place[i]);
		}
	return true;
}

/* How many of n are due when `passed` of `half` is over. */
static size_t
due(const struct drain *d, uint64_t passed, uint64_t half)
{
	uint64_t n;

	if (passed + TICK_MS >= half)
		return d->n;
	n = ((uint64_t)d->n * (passed + TICK_MS) + half - 1) / half;
	return n < d->n ? (size_t)n : d->n;
}

static void
on_tick(struct timer *t)
{
	struct drain *d = CT_CONTAINER(t, struct drain, timer);
	uint64_t passed = loop_now_ms(d->cw->loop) - d->from_ms;
	uint64_t half = d->window_ms / 2;
	size_t upto = due(d, passed, half);
	struct channel *c;

	for (; d->asked < upto && passed < d->window_ms; d->asked++)
		ask(d, channel_find(d->cw, d->id[d->asked]),
		    d->window_ms - (uint32_t)half);
	/* Nobody before he was asked and had his time. */
	upto = passed < half + TICK_MS ? 0 : passed >= d->window_ms ? d->n :
	    due(d, passed - half - TICK_MS, d->window_ms - half);
	for (; d->closed < upto; d->closed++) {
		c = channel_find(d->cw, d->id[d->closed]);
		if (c != NULL && c->draining)
			end_one(c);
	}
	if (passed >= d->window_ms && close_some(d->cw))
		channel_drain_stop(d->cw);
	else
		loop_timer_set(d->cw->loop, &d->timer, TICK_MS);
}

void
channel_worker_drain_abort(struct channel_worker *cw)
{
	const struct channel_table *t = &cw->table;

	channel_drain_stop(cw);
	cw->aborted = true;
	for (size_t i = 0; i < t->cap; i++)
		if (t->place[i] != NULL)
			t->place[i]->draining = false;
}

size_t
channel_worker_drain_left(const struct channel_worker *cw)
{
	const struct channel_table *t = &cw->table;
	size_t n = 0;

	for (size_t i = 0; i < t->cap; i++)
		n += t->place[i] != NULL && t->place[i]->draining &&
		    !t->place[i]->ended;
	return n;
}

void
channel_drain_moved(struct channel *c)
{
	struct drain *d = c->owner->drain;
	uint64_t passed = d == NULL ? 0 :
	    loop_now_ms(c->owner->loop) - d->from_ms;

	/* Twice asked, perhaps: the device goes at the earlier time.  Without a
	 * drain here it is over, or was given up on this worker already. */
	if (d == NULL && c->owner->aborted)
		c->draining = false;
	else if (d == NULL)
		end_one(c);
	else if (passed < d->window_ms)
		ask(d, c, d->window_ms - (uint32_t)passed);
}

int
channel_worker_drain(struct channel_worker *cw, uint32_t window_ms,
    const char *servers, const char *why)
{
	const struct channel_table *t = &cw->table;
	struct drain *d = mem_calloc(1,
	    sizeof(*d) + t->count * sizeof(d->id[0]));

	if (d == NULL)
		return -ENOMEM;
	d->servers = mem_strdup(servers);
	d->why = mem_strdup(why);
	if (d->servers == NULL || d->why == NULL) {
		mem_free(d->servers);
		mem_free(d->why);
		mem_free(d);
		return -ENOMEM;
	}
	channel_drain_stop(cw);		/* the later word counts */
	cw->aborted = false;
	d->cw = cw;
	d->from_ms = loop_now_ms(cw->loop);
	d->window_ms = window_ms;
	for (size_t i = 0; i < t->cap; i++)
		if (t->place[i] != NULL) {
			t->place[i]->draining = true;
			d->id[d->n++] = t->place[i]->id;
		}
	timer_init(&d->timer, on_tick);
	cw->drain = d;
	loop_timer_set(cw->loop, &d->timer, 0);
	return 0;
}
