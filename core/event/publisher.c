/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher: the one thread that takes events out of the ring, keeps the
 * view, and talks to the nng sockets.  A burst waits in the ring and goes out
 * at a pace that nng's queues bear; only when the ring itself is about to fill
 * is it sent at once, because a slow subscriber's loss is better than
 * everybody's.  Emitting threads never wait for it.
 */
#include "event/bus_priv.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "event/encode.h"
#include "event/record.h"
#include "event/ring.h"
#include "event/snapshot.h"
#include "event/view.h"

#define BATCH_MAX 1024			/* events between two looks around */
#define REQUESTS_MAX 4			/* answered between two looks */
#define NAP_MS 1			/* gathers what follows a wake-up */
#define PACE_PER_MS 64			/* events, with a subscriber there */
#define FLUSH_MS 2000			/* for the ring when it ends */
#define LINGER_MS 100			/* for nng's threads after that */
#define RESYNC_EVERY_MS 1000
#define GREET_MS 100			/* between two for new subscribers */

static void
bump(_Atomic uint64_t *n)
{
	atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

int
bus_encode(struct event_bus *bus, const struct event *ev, uint64_t seq,
    size_t *ret_json)
{
	size_t max = event_encoded_max(ev);
	uint8_t *p;

	if (bus->text.cap < max) {
		if ((p = mem_realloc(bus->text.p, max)) == NULL)
			return -ENOMEM;
		bus->text.p = p;
		bus->text.cap = max;
	}
	bus->text.n = 0;
	return event_encode(ev, bus->opts.epoch, seq, &bus->text, ret_json);
}

static void
publish(struct event_bus *bus, const struct event *ev, uint64_t seq)
{
	bool heard = bus->pub.open && bus->pub.pipes > 0;
	size_t json;
	int r;

	/* A presence event that the view cannot take is as good as lost; the
	 * facts it refuses (too many, no name) are still published. */
	r = view_apply(bus->view, ev, seq);
	if (r == -ENOMEM)
		bus->lost++;
	bus->stat_endpoints = bus->view->endpoints;
	bus->lost += bus->unopened;	/* the ring was too full to wait */
	if (heard || bus->opts.tap != NULL) {
		r = bus_encode(bus, ev, seq, &json);
		if (r == 0 && heard)
			r = bus_socket_publish(&bus->pub, bus->text.p,
			    bus->text.n);
		if (r != 0) {		/* its number is the gap */
			bus->lost++;
			return;
		}
		if (bus->opts.tap != NULL)
			bus->opts.tap(bus->opts.tap_ctx, seq, ev,
			    (const char *)bus->text.p + json,
			    bus->text.n - json);
	}
	bump(&bus->stat_published);
}

/* When subscribers are to hear the last number: soon after one more came. */
static uint64_t
alive_due(const struct event_bus *bus)
{
	if (bus->pub.added != bus->greeted)
		return bus->alive_ms + GREET_MS;
	return bus->alive_ms + bus->opts.alive_ms;
}

/* So that what was lost before a silence shows.  Not an event:
 * it uses no number up and the tap does not see it. */
static void
say_alive(struct event_bus *bus, uint64_t now_ms)
{
	const struct event ev = {
		.type = EVENT_BUS_ALIVE, .wall_ms = clock_wall_ms(),
	};
	size_t json;

	if (bus->opts.alive_ms == 0 || ring_waiting(bus->ring) != 0 ||
	    now_ms < alive_due(bus))
		return;
	bus->alive_ms = now_ms;
	bus->greeted = bus->pub.added;
	if (bus->pub.open && bus->pub.pipes > 0 &&
	    bus_encode(bus, &ev, bus->stat_seq, &json) == 0)
		(void)bus_socket_publish(&bus->pub, bus->text.p, bus->text.n);
}

/* Those who were there when the address was closed are coming back. */
static bool
on_hold(struct event_bus *bus)
{
	if (bus->hold_ms == 0)
		return false;
	if (bus->pub.open && bus->paced_ms < bus->hold_ms &&
	    (int32_t)(bus->awaited - bus->pub.added) > 0)
		return true;
	bus->hold_ms = 0;
	return false;
}

static bool
may_send(struct event_bus *bus)
{
	if (ring_waiting(bus->ring) > bus->opts.ring / 4 * 3)
		return true;
	if (bus->unopened || on_hold(bus))
		return false;
	if (!bus->pub.open || bus->pub.pipes <= 0)
		return true;
	if (bus->pace == 0)
		return false;
	bus->pace--;
	return true;
}

static void
refill_pace(struct event_bus *bus, uint64_t now_ms)
{
	uint64_t more = (now_ms - bus->paced_ms) * PACE_PER_MS + bus->pace;
	uint32_t most = bus->opts.queue / 2 + 1;

	bus->pace = more > most ? most : (uint32_t)more;
	bus->paced_ms = now_ms;
}

static void
take_stock(struct event_bus *bus)
{
	bus->view->seq = ring_settle(bus->ring);
	bus->stat_seq = bus->view->seq;
	bus->stat_dropped = ring_dropped(bus->ring) + bus->lost;
	bus->stat_waiting = ring_waiting(bus->ring);
}

/* Publishes a batch.  False: nothing was there. */
static bool
drain(struct event_bus *bus)
{
	struct event_record *rec;
	unsigned n;
	uint64_t seq;
	void *p;

	for (n = 0; n < BATCH_MAX; n++) {
		if (!ring_ready(bus->ring) || !may_send(bus) ||
		    !ring_pop(bus->ring, &p, &seq))
			break;
		rec = p;
		publish(bus, &rec->ev, seq);
		if (rec->size > BUS_LARGE)
			atomic_fetch_sub(&bus->large, rec->size);
		mem_free(rec);
		/* Whoever asks for numbers meanwhile gets a recent one. */
		bus->stat_seq = seq;
	}
	take_stock(bus);
	return n > 0;
}

static void
resync(struct event_bus *bus, uint64_t now_ms)
{
	uint64_t lost = bus->stat_dropped;

	if (lost == bus->resynced_lost || ring_waiting(bus->ring) != 0 ||
	    now_ms - bus->resynced_ms < RESYNC_EVERY_MS)
		return;
	bus->resynced_lost = lost;
	bus->resynced_ms = now_ms;
	if (bus->opts.resync != NULL)
		bus->opts.resync(bus->opts.resync_ctx);
}

static int
answer(struct event_bus *bus, nng_msg *m)
{
	struct outbuf out = { .cap = SNAPSHOT_REPLY_MAX };
	struct snapshot_facts facts = {
		.epoch = bus->opts.epoch, .version = bus->version,
		.published = bus->stat_published,
		.dropped = bus->stat_dropped,
		.relistened = bus->stat_relistened,
	};
	int r;

	/* Only while it is needed: pages are rare and memory is not. */
	if ((out.p = mem_alloc(out.cap)) == NULL) {
		nng_msg_free(m);
		return -ENOMEM;
	}
	snapshot_answer(bus->view, &facts, nng_msg_body(m), nng_msg_len(m),
	    &out);
	r = bus_socket_reply(&bus->rep, m, out.p, out.n);
	mem_free(out.p);
	return r;
}

/* Answers some requests.  False: there may be more. */
static bool
serve(struct event_bus *bus, uint64_t now_ms)
{
	unsigned n;
	nng_msg *m;

	if (!bus->rep.open)
		return true;
	for (n = 0; n < REQUESTS_MAX; n++) {
		if (bus_socket_request(&bus->rep, now_ms, &m) != 0)
			return true;
		if (answer(bus, m) == 0)
			bump(&bus->stat_snapshots);
	}
	return false;
}

static void
watch_listener(struct event_bus *bus, struct bus_socket *b, struct canary *c,
    uint64_t now_ms)
{
	if (!b->open || canary_turn(c, b->added, now_ms) != CANARY_DEAD)
		return;
	if (bus_socket_relisten(b) == 0)
		bump(&bus->stat_relistened);
}

static int
sooner(int a, int b)
{
	if (a < 0)
		return b;
	return b < 0 || a < b ? a : b;
}

static void
wait(struct event_bus *bus, int timeout_ms, bool requests)
{
	struct pollfd fds[2] = {
		{ .fd = bus->wake_fd, .events = POLLIN },
		{ .fd = requests && bus->rep.open ?
		    bus_socket_fd(&bus->rep) : -1, .events = POLLIN },
	};
	uint64_t n;

	if (poll(fds, 2, timeout_ms) > 0 && fds[0].revents != 0)
		(void)!read(bus->wake_fd, &n, sizeof(n));
}

static int
left(uint64_t until_ms, uint64_t now_ms)
{
	return until_ms > now_ms ? (int)(until_ms - now_ms) : 0;
}

static void
sleep_until_kicked(struct event_bus *bus, uint64_t now_ms)
{
	int ms = -1;

	if (bus->pub.open)
		ms = sooner(ms, canary_wait(&bus->pub_canary, now_ms));
	if (bus->rep.open) {
		ms = sooner(ms, canary_wait(&bus->rep_canary, now_ms));
		ms = sooner(ms, bus_socket_wait(&bus->rep, now_ms));
	}
	if (bus->stat_dropped != bus->resynced_lost)
		ms = sooner(ms, RESYNC_EVERY_MS);
	if (bus->opts.alive_ms != 0 && bus->pub.pipes > 0)
		ms = sooner(ms, left(alive_due(bus), now_ms));
	(void)atomic_exchange(&bus->sleeping, 1);
	if (!ring_ready(bus->ring) && !bus->stop)
		wait(bus, ms, true);
	(void)atomic_exchange(&bus->sleeping, 0);
}

/* What is left goes out, paced as long as there is time. */
static void
flush(struct event_bus *bus)
{
	uint64_t now = clock_mono_ms(), end = now + FLUSH_MS;
	bool any = bus->stat_published > 0;

	bus->hold_ms = 0;
	bus->unopened = false;
	while (ring_ready(bus->ring) && now < end) {
		refill_pace(bus, now);
		(void)drain(bus);
		wait(bus, NAP_MS, false);
		now = clock_mono_ms();
	}
	take_stock(bus);
	/* nng drops what it has not written when the socket is closed, and has
	 * no way to ask. */
	if (any && bus->pub.open && bus->pub.pipes > 0)
		(void)poll(NULL, 0, LINGER_MS);
}

void *
bus_publisher(void *arg)
{
	struct event_bus *bus = arg;
	bool busy, done;
	uint64_t now;

	CT_CHECK_MAGIC(bus, BUS_MAGIC);
	(void)pthread_setname_np(pthread_self(), "publisher");
	while (!bus->stop) {
		now = clock_mono_ms();
		refill_pace(bus, now);
		(void)atomic_exchange(&bus->fresh, false);
		busy = drain(bus);
		done = serve(bus, now);
		watch_listener(bus, &bus->pub, &bus->pub_canary, now);
		watch_listener(bus, &bus->rep, &bus->rep_canary, now);
		resync(bus, now);
		say_alive(bus, now);
		bus_take_turn(bus);
		if (busy || !done || ring_ready(bus->ring))
			wait(bus, NAP_MS, done);
		else
			sleep_until_kicked(bus, now);
	}
	flush(bus);
	return NULL;
}
