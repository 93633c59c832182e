/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channels move to the next process (decision 0015): in one go, batch by
 * batch, while the main thread waits here.  Whatever fails before the first GO
 * leaves everything as it was.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "channel/handover.h"
#include "daemon/daemon_priv.h"
#include "daemon/upgrade_former.h"
#include "daemon/upgrade_spawn.h"

#define CONNECTING_MS 2000		/* for what has not become a channel */
#define BUSY_MS 5000			/* for one that cannot go just now */
#define LAST_WORDS_MS 500		/* for closing frames */
#define NAP_MS 5

static void
nap(struct daemon *d)
{
	const struct timespec t = { .tv_nsec = NAP_MS * 1000000L };

	upgrade_alive(d);
	(void)nanosleep(&t, NULL);
}

/* ---- every worker ------------------------------------------------------ */

struct errand {
	struct daemon_worker *w;
	struct handover_batch *batch;
	const uint8_t *refused;
	bool on;
	uint64_t last_id;
	size_t n;
	int error;
};

static void
hold_on(void *arg)
{
	struct errand *e = arg;

	handover_hold(e->w->channels, e->on);
}

void
upgrade_hold(struct daemon *d, bool on)
{
	struct errand e = { .on = on };

	for (unsigned i = 0; i < d->workers_n; i++) {
		e.w = &d->workers[i];
		worker_call(&e.w->worker, hold_on, &e);
	}
}

static void
last_id_on(void *arg)
{
	struct errand *e = arg;

	e->last_id = handover_last_id(e->w->channels);
}

uint64_t
upgrade_last_id(struct daemon *d)
{
	struct errand e = { .error = 0 };
	uint64_t last = 0;

	for (unsigned i = 0; i < d->workers_n; i++) {
		e.w = &d->workers[i];
		worker_call(&e.w->worker, last_id_on, &e);
		if (e.last_id > last)
			last = e.last_id;
	}
	return last;
}

static void
close_on(void *arg)
{
	struct errand *e = arg;

	channel_worker_close_all(e->w->channels, 1012,
	    "the server is being upgraded");
}

static void
take_on(void *arg)
{
	struct errand *e = arg;

	e->error = handover_take(e->w->channels, HANDOVER_MAX, &e->batch);
	if (e->batch == NULL)
		e->n = handover_left(e->w->channels);
}

static void
go_on(void *arg)
{
	struct errand *e = arg;

	e->n = handover_go(&e->batch, e->refused);
}

static void
back_on(void *arg)
{
	struct errand *e = arg;

	handover_back(&e->batch);
}

/* ---- the channels ------------------------------------------------------ */

/* Sends a batch and hears which of it were taken; *m is the caller's. */
static int
offer(struct upgrade *u, const struct handover_batch *b,
    struct upgrade_message *m)
{
	unsigned count = handover_count(b);
	size_t n;
	const uint8_t *p = handover_bytes(b, &n);
	int r = upgrade_send(u->socket.fd, UPGRADE_BATCH, p, n,
	    handover_fds(b), count);

	if (r == 0)
		r = upgrade_expect(u, UPGRADE_TAKEN, m);
	if (r == 0 && m->n != count) {
		upgrade_message_fini(m);
		r = -EPROTO;
	}
	return r;
}

/* As a whole, before anything is over there: it cannot take what we have. */
static bool
takes_none(const struct upgrade *u, const struct upgrade_message *m)
{
	size_t n = 0;

	while (n < m->n && m->p[n] != 0)
		n++;
	return !u->committed && n == m->n;
}

/* The commit point is the GO: from there on they are over there. */
static int
pass_batch(struct daemon *d, struct errand *e)
{
	struct upgrade *u = &d->upgrade;
	unsigned count = handover_count(e->batch);
	struct upgrade_message m;
	int r = offer(u, e->batch, &m);

	if (r == 0) {
		r = takes_none(u, &m) ? -EPROTO : upgrade_send(u->socket.fd,
		    UPGRADE_GO, NULL, 0, NULL, 0);
		if (r == 0) {
			u->committed = true;
			e->refused = m.p;
			worker_call(&e->w->worker, go_on, e);
			u->refused += e->n;
			u->moved += count - e->n;
		}
		upgrade_message_fini(&m);
	}
	if (r != 0)
		worker_call(&e->w->worker, back_on, e);
	return r;
}

/* All that can go just now; *ret_left of it may a little later. */
static int
pass_worker(struct daemon *d, struct daemon_worker *w, size_t *ret_left)
{
	const struct upgrade *u = &d->upgrade;
	struct errand e = { .w = w };
	bool more;
	int r;

	do {
		upgrade_alive(d);
		e.batch = NULL;
		worker_call(&w->worker, take_on, &e);
		/* Short memory ends it only while there is a way back. */
		r = u->committed && e.error == -ENOMEM ? 0 : e.error;
		more = r == 0 && e.batch != NULL;
		if (more)
			r = pass_batch(d, &e);
	} while (more && r == 0);
	*ret_left = e.n;
	return r;
}

/* Round by round, so that nobody's delay is at the cost of another worker's. */
static int
pass_all(struct daemon *d)
{
	uint64_t until = clock_mono_ms() + BUSY_MS;
	size_t left, n;
	int r = 0;

	for (;;) {
		left = 0;
		for (unsigned i = 0; r == 0 && i < d->workers_n; i++) {
			r = pass_worker(d, &d->workers[i], &n);
			left += n;
		}
		if (r != 0 || left == 0 || clock_mono_ms() >= until)
			return r;
		nap(d);
	}
}

static void
wait_for_connections(struct daemon *d)
{
	uint64_t until = clock_mono_ms() + CONNECTING_MS;

	while (atomic_load(&net_counters(d->net)->handshakes_now) > 0 &&
	    clock_mono_ms() < until)
		nap(d);
}

/* What is left is told to come back. */
static void
close_rest(struct daemon *d)
{
	uint64_t until = clock_mono_ms() + LAST_WORDS_MS;
	struct errand e = { .error = 0 };
	size_t left = daemon_workers_channels(d);

	if (left > 0)
		log_warning("channels that could not go are closed count=%zu",
		    left);
	for (unsigned i = 0; left > 0 && i < d->workers_n; i++) {
		e.w = &d->workers[i];
		worker_call(&e.w->worker, close_on, &e);
	}
	while (daemon_workers_channels(d) > 0 && clock_mono_ms() < until)
		nap(d);
}

static void
stay(struct daemon *d, int error)
{
	struct upgrade *u = &d->upgrade;
	bool committed = u->committed;
	size_t lost;

	/* First the end of the next one: nothing may be served twice. */
	upgrade_give_up(d, "the next process did not take the channels: %s",
	    strerror(-error));
	lost = committed ? endpoint_table_lose_passed(d->endpoints) : 0;
	if (committed)
		log_error("channels went with the next process count=%zu "
		    "endpoints=%zu", u->moved, lost);
	upgrade_hold(d, false);
	daemon_control_hold(d, false);
	daemon_workers_accept(d, true);
}

void
upgrade_move(struct daemon *d)
{
	struct upgrade *u = &d->upgrade;
	struct event_bus_stats bus;
	int r;

	log_notice("channels move to the next process pid=%ld",
	    (long)u->next_pid);
	loop_timer_stop(d->loop, &u->deadline);
	upgrade_alive(d);
	upgrade_note(u, CONTROL_UPGRADE_MOVING, "");
	daemon_control_hold(d, true);
	daemon_workers_accept(d, false);
	wait_for_connections(d);
	upgrade_hold(d, true);
	r = pass_all(d);
	if (r == 0 && upgrade_ended(u->next, 0))
		r = -EPIPE;
	if (r != 0) {
		stay(d, r);
		return;
	}
	d->stopping = true;		/* nothing becomes a channel any more */
	close_rest(d);
	net_lend(d->net, true);
	control_lend(atomic_load(&d->control), true);
	event_bus_stats(d->bus, &bus);
	u->subscribers = bus.subscribers;
	u->passed = true;
	loop_stop(d->loop);
}
