/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus: publisher thread, nng PUB and REP sockets over ipc, materialised
 * view and canary (decision 0008).  The only folder that knows nng.
 */
#ifndef CT_EVENT_BUS_H
#define CT_EVENT_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

struct event_bus_opts {
	const char *events_url;		/* ipc://… PUB; NULL: none */
	const char *snapshot_url;	/* ipc://… REP; NULL: none */
	uint32_t ring;			/* events that may wait;
					 * a power of two */
	uint32_t queue;			/* nng's send buffer per subscriber,
					 * 1 … 8192 */
	uint32_t canary_ms;		/* how often; 0 = off */
	uint32_t alive_ms;		/* how often subscribers hear bus.alive
					 * with the last number, beside at once
					 * when one comes; 0 = never */
	uint64_t epoch;
	const char *version;		/* of the daemon */
	/* Called on the publisher thread for every event in order, with its
	 * number; for status plugins.  May be NULL. */
	void (*tap)(void *ctx, uint64_t seq, const struct event *,
	    const char *json, size_t json_n);
	void *tap_ctx;
	/* Called on the publisher thread when events were lost and the ring has
	 * run empty since, at most once a second: the view may be behind.  The
	 * owner of the endpoints emits the present state of each again, with
	 * its revision, in slices below half a ring.  May be NULL. */
	void (*resync)(void *ctx);
	void *resync_ctx;
	/* Listens only after event_bus_open(): until then events wait in the
	 * ring, and go unheard when it is three quarters full. */
	bool closed;
};

/* Starts the thread and listens.  why[256] gets one line on failure.
 * -EADDRINUSE, -EINVAL (url), -ENOMEM, … */
int event_bus_new(const struct event_bus_opts *, char *why,
    struct event_bus **ret);
/* Publisher thread.  Calls know(arg, event) for each event. */
typedef void event_bus_fill(void *ctx, void (*know)(void *arg,
    const struct event *), void *arg);
/*
 * Opens a bus that was made closed: nng cannot hand a socket on, so two
 * processes have one address one after the other.  Lets `fill` (NULL: nobody)
 * tell view and tap what is known already, which nobody hears and which takes
 * no number; then listens, and sees that connections are taken (canary).
 * Events wait in the ring until `subscribers` have come, for at most a second
 * or three quarters of the ring: whoever was there before and comes back misses
 * none.  Not on the publisher's thread; waits.  Errors as of event_bus_new(),
 * -EIO; it may be called again then; -EALREADY.
 */
int event_bus_open(struct event_bus *, event_bus_fill *fill, void *fill_ctx,
    uint32_t subscribers, char *why);
/* Publishes what is in the ring (at most 2 s), then stops. */
void event_bus_free(struct event_bus **);

struct event_bus_stats {
	uint64_t seq;			/* last number assigned */
	uint64_t published;		/* went through view, tap and socket */
	uint64_t dropped;		/* ring full or memory short */
	uint64_t waiting;		/* in the ring, after the last batch */
	uint64_t relistened;		/* by the canary */
	uint64_t endpoints;		/* in the view */
	uint64_t snapshots;		/* requests answered */
	uint32_t subscribers;		/* now, with the canary's probe */
};
void event_bus_stats(struct event_bus *, struct event_bus_stats *ret);

#endif
