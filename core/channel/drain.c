/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drain: every channel of a worker is asked to connect again, elsewhere or later,
 * at a random time within a window.  The asking is spread over the first half of
 * it; who is still there at its end is closed (1012), a slice at a time.  Who has
 * to go is marked, because channels move between workers meanwhile.
 */
#include "channel_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

#define TICK_MS 100
#define SLICE 256			/* channels in one tick at least */

struct drain {
	struct timer timer;
	struct channel_worker *cw;
	uint64_t from_ms;		/* of the loop */
	uint32_t window_ms;
	size_t n, asked;
	char *servers, *why;
	uint64_t id[];			/* of the channels to ask */
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

/* A slice of those who stayed; true: these were all. */
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

static void
on_tick(struct timer *t)
{
	struct drain *d = CT_CONTAINER(t, struct drain, timer);
	uint64_t passed = loop_now_ms(d->cw->loop) - d->from_ms;
	size_t upto = d->n;

	if (passed < d->window_ms / 2)
		upto = (size_t)((uint64_t)d->n * (passed + TICK_MS) * 2 /
		    d->window_ms);
	if (upto > d->n)
		upto = d->n;
	for (; d->asked < upto && passed < d->window_ms; d->asked++)
		ask(d, channel_find(d->cw, d->id[d->asked]),
		    d->window_ms - (uint32_t)passed);
	if (passed >= d->window_ms && close_some(d->cw))
		channel_drain_stop(d->cw);
	else
		loop_timer_set(d->cw->loop, &d->timer, TICK_MS);
}

void
channel_drain_moved(struct channel *c)
{
	struct drain *d = c->owner->drain;
	uint64_t passed = d == NULL ? 0 :
	    loop_now_ms(c->owner->loop) - d->from_ms;

	/* Twice asked, perhaps: the device goes at the earlier time. */
	if (d == NULL)
		end_one(c);
	else if (passed < d->window_ms)
		ask(d, c, d->window_ms - (uint32_t)passed);
}

int
channel_worker_drain(struct channel_worker *cw, uint32_t window_ms,
    const char *servers, const char *why)
{
	const struct channel_table *t = &cw->table;
	struct drain *d = mem_calloc(1, sizeof(*d) + t->count * sizeof(d->id[0]));

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
