/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets of a bus and their canaries, opened when it is made or, in a
 * process that follows another one, late (event_bus_open()).
 */
#include "event/bus_priv.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/unix.h"
#include "event/view.h"

#define HOLD_MS 1000			/* for subscribers to come back */

static void
pipe_added(void *arg)
{
	bus_wake(arg);
}

static int
open_socket(struct event_bus *bus, struct bus_socket *b, const char *url,
    enum bus_socket_kind kind, char *why)
{
	if (url == NULL)
		return 0;
	b->kind = kind;
	b->url = url;
	b->path = unix_url_path(url);
	b->changed = pipe_added;
	b->changed_ctx = bus;
	return bus_socket_open(b, bus->opts.queue, why);
}

void
bus_close_sockets(struct event_bus *bus)
{
	canary_fini(&bus->pub_canary);
	canary_fini(&bus->rep_canary);
	bus_socket_close(&bus->pub);
	bus_socket_close(&bus->rep);
}

int
bus_open_sockets(struct event_bus *bus, char *why)
{
	uint32_t every = bus->opts.canary_ms;
	uint64_t now = clock_mono_ms();
	int r;

	r = open_socket(bus, &bus->pub, bus->events_url, BUS_PUB, why);
	if (r == 0)
		r = open_socket(bus, &bus->rep, bus->snapshot_url, BUS_REP,
		    why);
	if (r != 0) {
		bus_close_sockets(bus);
		return r;
	}
	canary_init(&bus->pub_canary, bus->pub.path, CANARY_SUB, every, now);
	canary_init(&bus->rep_canary, bus->rep.path, CANARY_REQ, every, now);
	return 0;
}

/* A machine that is busy just now is no reason to give up:
 * the canary goes on. */
static void
confirm(const struct bus_socket *b, uint8_t protocol)
{
	if (b->open && !canary_confirm(b->path, protocol, &b->added))
		log_warning("connections to the bus are not taken yet url=%s",
		    b->url);
}

/* What is known already, and news to nobody. */
static void
known(void *ctx, const struct event *ev)
{
	struct event_bus *bus = ctx;
	size_t json;

	if (view_apply(bus->view, ev, bus->stat_seq) == -ENOMEM)
		bus->lost++;
	bus->stat_endpoints = bus->view->endpoints;
	if (bus->opts.tap == NULL)
		return;
	if (bus_encode(bus, ev, bus->stat_seq, &json) == 0)
		bus->opts.tap(bus->opts.tap_ctx, bus->stat_seq, ev,
		    (const char *)bus->text.p + json, bus->text.n - json);
	else
		bus->lost++;
}

static int
open_late(struct event_bus *bus, const struct bus_turn *t)
{
	uint32_t added = bus->pub.added;
	int r;

	if (t->fill != NULL)
		t->fill(t->fill_ctx, known, bus);
	r = bus_open_sockets(bus, t->why);
	if (r != 0)
		return r;
	confirm(&bus->pub, CANARY_SUB);
	confirm(&bus->rep, CANARY_REQ);
	bus->awaited = added + 1 + t->subscribers;	/* with the canary */
	bus->hold_ms = t->subscribers == 0 ? 0 : clock_mono_ms() + HOLD_MS;
	bus->unopened = false;
	return 0;
}

/* Somebody waits for the sockets to be opened. */
void
bus_take_turn(struct event_bus *bus)
{
	struct bus_turn *t = atomic_load(&bus->turn);

	if (t == NULL)
		return;
	t->result = bus->unopened ? open_late(bus, t) : -EALREADY;
	atomic_store(&bus->turn, NULL);
	(void)sem_post(&t->done);
}
