/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drain of the whole daemon: readiness goes first, then the workers ask and
 * close their channels (core/channel/drain.c).  Main thread; only `draining` is
 * read by others.
 */
#include "daemon/daemon_priv.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* Tickets are worth most when devices come back: the master is not replaced so
 * soon after. */
#define NEAR_MS UINT64_C(3600000)

struct looking {
	struct daemon_worker *w;
	bool abort;
	size_t left;
};

static void
look(void *arg)
{
	struct looking *l = arg;

	if (l->abort)
		channel_worker_drain_abort(l->w->channels);
	l->left += channel_worker_drain_left(l->w->channels);
}

static size_t
ask_workers(struct daemon *d, bool abort)
{
	struct looking l = { .abort = abort };

	for (unsigned i = 0; i < d->workers_n; i++) {
		l.w = &d->workers[i];
		worker_call(&l.w->worker, look, &l);
	}
	return l.left;
}

void
daemon_drain_begin(struct daemon *d, struct control_errand *e)
{
	uint64_t now = clock_mono_ms();

	/* First, so that nobody is sent here who would have to go again. */
	atomic_store(&d->draining, true);
	d->drain.active = true;
	/* Who only evens out the load takes devices again when it is over. */
	d->drain.stays_out = strcmp(e->reason, "rebalance") != 0;
	d->drain.channels = e->channels = daemon_workers_channels(d);
	d->drain.end_ms = d->drain.near_ms = now + e->window_ms;
	d->drain.near_ms += NEAR_MS;
	log_notice("draining channels=%zu window_ms=%u why=%s", e->channels,
	    e->window_ms, e->reason);
	e->error = daemon_drain(d, e->window_ms, e->servers, e->reason);
}

void
daemon_drain_abort(struct daemon *d, struct control_errand *e)
{
	size_t left = ask_workers(d, false);

	(void)ask_workers(d, true);
	if (atomic_load(&d->draining))
		log_notice("the drain was given up channels=%zu left=%zu",
		    d->drain.channels, left);
	d->drain.active = false;
	d->drain.end_ms = 0;
	atomic_store(&d->draining, false);
	daemon_drain_look(d, e);
	e->left = left;
}

void
daemon_drain_look(struct daemon *d, struct control_errand *e)
{
	uint64_t now = clock_mono_ms();

	e->active = d->drain.active;
	e->ready = atomic_load(&d->ready) && !atomic_load(&d->draining);
	e->channels = d->drain.channels;
	e->left = d->drain.active ? ask_workers(d, false) : 0;
	e->remaining_ms = d->drain.active && d->drain.end_ms > now ?
	    d->drain.end_ms - now : 0;
}

void
daemon_drain_tick(struct daemon *d)
{
	if (!d->drain.active || clock_mono_ms() < d->drain.end_ms ||
	    ask_workers(d, false) > 0)
		return;
	d->drain.active = false;
	if (!d->drain.stays_out)
		atomic_store(&d->draining, false);
	log_notice("the drain is over channels=%zu ready=%s",
	    d->drain.channels, d->drain.stays_out ? "no" : "yes");
}

void
daemon_drain_tickets(struct daemon *d)
{
	if (!d->drain.active && (d->drain.near_ms == 0 ||
	    clock_mono_ms() >= d->drain.near_ms))
		credentials_rotate(d->credentials);
}
