/* SPDX-License-Identifier: Apache-2.0 */
/* See event_tap.h. */
#include "event_tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event/bus.h"

#define MARK "event_tap_sync"

static void
copy(char *to, size_t cap, const char *from)
{
	(void)snprintf(to, cap, "%s", from == NULL ? "" : from);
}

static void
on_event(void *ctx, uint64_t seq, const struct event *ev, const char *json,
    size_t json_n)
{
	struct event_tap *t = ctx;
	struct tapped *e;

	(void)json;
	(void)json_n;
	(void)pthread_mutex_lock(&t->lock);
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 256 : t->cap * 2;
		t->got = realloc(t->got, t->cap * sizeof(*t->got));
		if (t->got == NULL)
			abort();
	}
	e = &t->got[t->n++];
	memset(e, 0, sizeof(*e));
	e->seq = seq;
	e->type = ev->type;
	e->state = ev->state;
	e->security = ev->security;
	e->reason = ev->reason;
	e->channel = ev->channel;
	e->old_channel = ev->old_channel;
	e->revision = ev->revision;
	e->rtt_us = ev->rtt_us;
	copy(e->endpoint, sizeof(e->endpoint), ev->endpoint);
	copy(e->peer, sizeof(e->peer), ev->peer);
	copy(e->text, sizeof(e->text), ev->text);
	if (ev->detail_n < sizeof(e->detail) && ev->detail_n > 0)
		memcpy(e->detail, ev->detail, ev->detail_n);
	(void)pthread_cond_broadcast(&t->more);
	(void)pthread_mutex_unlock(&t->lock);
}

int
event_tap_start(struct event_tap *t)
{
	struct event_bus_opts opts = {
		.ring = 65536, .queue = 16, .epoch = 1, .version = "test",
		.tap = on_event, .tap_ctx = t
	};
	char why[256];
	int r;

	memset(t, 0, sizeof(*t));
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_cond_init(&t->more, NULL);
	r = event_bus_new(&opts, why, &t->bus);
	if (r != 0)
		(void)fprintf(stderr, "event_bus_new: %s\n", why);
	return r;
}

void
event_tap_stop(struct event_tap *t)
{
	event_bus_free(&t->bus);
	free(t->got);
	(void)pthread_cond_destroy(&t->more);
	(void)pthread_mutex_destroy(&t->lock);
}

static bool
wait_until(struct event_tap *t, bool (*done)(struct event_tap *, size_t),
    size_t n)
{
	struct timespec end;
	int r = 0;

	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	while (r == 0 && !done(t, n))
		r = pthread_cond_timedwait(&t->more, &t->lock, &end);
	return done(t, n);
}

static bool
have(struct event_tap *t, size_t n)
{
	return t->n >= n;
}

bool
event_tap_wait(struct event_tap *t, size_t n)
{
	bool ok;

	event_kick(t->bus);
	(void)pthread_mutex_lock(&t->lock);
	ok = wait_until(t, have, n);
	(void)pthread_mutex_unlock(&t->lock);
	return ok;
}

static bool
marked(struct event_tap *t, size_t n)
{
	(void)n;
	return t->n > 0 && strcmp(t->got[t->n - 1].text, MARK) == 0;
}

size_t
event_tap_sync(struct event_tap *t)
{
	struct event ev = { .type = EVENT_DAEMON_READY, .text = MARK };
	size_t n;

	event_emit(t->bus, &ev);
	event_kick(t->bus);
	(void)pthread_mutex_lock(&t->lock);
	if (!wait_until(t, marked, 0)) {
		(void)fprintf(stderr, "event_tap_sync: the bus is stuck\n");
		abort();
	}
	n = --t->n;
	(void)pthread_mutex_unlock(&t->lock);
	return n;
}
