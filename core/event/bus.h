/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus: publisher thread, nng PUB and REP sockets over ipc, materialised view
 * and canary (decision 0008).  The only folder that knows nng.
 */
#ifndef CT_EVENT_BUS_H
#define CT_EVENT_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

struct event_bus_opts {
	const char *events_url;		/* ipc://… PUB; NULL: none */
	const char *snapshot_url;	/* ipc://… REP; NULL: none */
	uint32_t ring;			/* events that may wait; a power of two */
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
};

/* Starts the thread and listens.  why[256] gets one line on failure.
 * -EADDRINUSE, -EINVAL (url), -ENOMEM, … */
int event_bus_new(const struct event_bus_opts *, char *why,
    struct event_bus **ret);
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
};
void event_bus_stats(struct event_bus *, struct event_bus_stats *ret);

#endif
