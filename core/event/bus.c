/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus from the outside: emitting, which any thread does and which never
 * waits, and its making and end.
 */
#include "event/bus_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "event/record.h"
#include "event/ring.h"
#include "event/unix.h"
#include "event/view.h"

void
bus_wake(struct event_bus *bus)
{
	const uint64_t one = 1;

	/* Both sides exchange: whoever comes second sees what the first did
	 * before.  A full eventfd is awake already. */
	if (atomic_exchange(&bus->sleeping, 0) != 0)
		(void)!write(bus->wake_fd, &one, sizeof(one));
}

/* Most turns that might have emitted have not; waking the publisher for
 * nothing costs more than an event. */
void
event_kick(struct event_bus *bus)
{
	if (bus != NULL && atomic_load(&bus->fresh))
		bus_wake(bus);
}

static void
emit(struct event_bus *bus, const struct event *ev)
{
	struct event_record *rec;
	uint32_t pos;
	size_t size;

	if (event_pack(ev, &rec) != 0) {
		ring_skip(bus->ring);
		return;
	}
	size = rec->size > BUS_LARGE ? rec->size : 0;
	if (size != 0 && atomic_fetch_add(&bus->large, size) + size >
	    bus->large_max) {
		ring_skip(bus->ring);
	} else if (ring_push(bus->ring, rec, &pos)) {
		/* A long turn must not fill the ring of a sleeper. */
		if ((pos & 255) == 0)
			bus_wake(bus);
		return;
	}
	atomic_fetch_sub(&bus->large, size);
	mem_free(rec);
}

void
event_emit(struct event_bus *bus, const struct event *ev)
{
	if (bus == NULL)
		return;
	emit(bus, ev);
	/* Behind the push: whoever takes it back sees what was pushed. */
	atomic_store(&bus->fresh, true);
}

static int
refuse(char *why, int r, const char *text)
{
	(void)snprintf(why, 256, "%s", text);
	return r;
}

static int
check_opts(const struct event_bus_opts *o, char *why)
{
	if (o->ring < 2 || o->ring > RING_SIZE_MAX ||
	    (o->ring & (o->ring - 1)) != 0)
		return refuse(why, -EINVAL,
		    "the ring's size is not a power of two");
	if (o->queue < 1 || o->queue > BUS_QUEUE_MAX)
		return refuse(why, -EINVAL,
		    "the queue's length is not between 1 and 8192");
	if ((o->events_url != NULL && unix_url_path(o->events_url) == NULL) ||
	    (o->snapshot_url != NULL &&
	    unix_url_path(o->snapshot_url) == NULL))
		return refuse(why, -EINVAL,
		    "a bus address is not ipc:// and an absolute path of at "
		    "most 107 bytes");
	return 0;
}

static int
copy(const char *s, char **ret)
{
	if (s != NULL && (*ret = mem_strdup(s)) == NULL)
		return -ENOMEM;
	return 0;
}

static int
fill(struct event_bus *bus, const struct event_bus_opts *o)
{
	int r;

	bus->opts = *o;
	bus->large_max = (size_t)o->ring * BUS_LARGE;
	if ((r = copy(o->events_url, &bus->events_url)) != 0 ||
	    (r = copy(o->snapshot_url, &bus->snapshot_url)) != 0 ||
	    (r = copy(o->version != NULL ? o->version : "",
	    &bus->version)) != 0 ||
	    (r = ring_new(o->ring, &bus->ring)) != 0 ||
	    (r = view_new(&bus->view)) != 0)
		return r;
	bus->opts.events_url = bus->events_url;
	bus->opts.snapshot_url = bus->snapshot_url;
	bus->opts.version = bus->version;
	bus->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return bus->wake_fd < 0 ? -errno : 0;
}

static int
start(struct event_bus *bus, char *why)
{
	int r;

	bus->unopened = bus->opts.closed;
	r = bus->unopened ? 0 : bus_open_sockets(bus, why);
	if (r != 0)
		return r;
	bus->paced_ms = clock_mono_ms();
	if ((r = pthread_create(&bus->thread, NULL, bus_publisher, bus)) != 0)
		return -r;
	bus->started = true;
	return 0;
}

static int
turn(struct event_bus *bus, struct bus_turn *t)
{
	const uint64_t one = 1;

	(void)sem_init(&t->done, 0, 0);
	atomic_store(&bus->turn, t);
	(void)!write(bus->wake_fd, &one, sizeof(one));
	while (sem_wait(&t->done) != 0)
		continue;
	(void)sem_destroy(&t->done);
	return t->result;
}

int
event_bus_open(struct event_bus *bus, event_bus_fill *known_to, void *ctx,
    uint32_t subscribers, char *why)
{
	struct bus_turn t = {
		.fill = known_to, .fill_ctx = ctx,
		.subscribers = subscribers, .why = why
	};
	int r;

	why[0] = '\0';
	r = turn(bus, &t);
	if (r != 0 && why[0] == '\0')
		(void)refuse(why, r, strerror(-r));
	return r;
}

int
event_bus_new(const struct event_bus_opts *o, char *why,
    struct event_bus **ret)
{
	struct event_bus *bus;
	sigset_t all, before;
	int r;

	if ((r = check_opts(o, why)) != 0)
		return r;
	if ((bus = mem_calloc(1, sizeof(*bus))) == NULL)
		return refuse(why, -ENOMEM, "out of memory");
	bus->magic = BUS_MAGIC;
	bus->wake_fd = -1;
	bus->pub_canary.fd = bus->rep_canary.fd = -1;
	/* nng's threads and ours take no signals: they inherit the mask. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	if ((r = fill(bus, o)) == 0) {
		why[0] = '\0';
		r = start(bus, why);
		if (r != 0 && why[0] == '\0')
			(void)refuse(why, r, strerror(-r));
	} else {
		(void)refuse(why, r, strerror(-r));
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		event_bus_free(&bus);
	else
		*ret = bus;
	return r;
}

void
event_bus_free(struct event_bus **bp)
{
	struct event_bus *bus = *bp;
	const uint64_t one = 1;
	uint64_t seq;
	void *p;

	*bp = NULL;
	if (bus == NULL)
		return;
	CT_CHECK_MAGIC(bus, BUS_MAGIC);
	if (bus->started) {
		bus->stop = true;
		(void)!write(bus->wake_fd, &one, sizeof(one));
		(void)pthread_join(bus->thread, NULL);
	}
	bus_close_sockets(bus);
	while (bus->ring != NULL && ring_pop(bus->ring, &p, &seq))
		mem_free(p);
	ring_free(&bus->ring);
	view_free(&bus->view);
	if (bus->wake_fd >= 0)
		(void)close(bus->wake_fd);
	mem_free(bus->text.p);
	mem_free(bus->events_url);
	mem_free(bus->snapshot_url);
	mem_free(bus->version);
	mem_free(bus);
}

void
event_bus_stats(struct event_bus *bus, struct event_bus_stats *ret)
{
	*ret = (struct event_bus_stats){
		.seq = bus->stat_seq, .published = bus->stat_published,
		.dropped = bus->stat_dropped, .waiting = bus->stat_waiting,
		.relistened = bus->stat_relistened,
		.endpoints = bus->stat_endpoints,
		.snapshots = bus->stat_snapshots,
		.subscribers = bus->pub.pipes > 0 ?
		    (uint32_t)bus->pub.pipes : 0,
	};
}
