/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the bus, shared by bus.c (any thread: emitting, making,
 * ending), publisher.c (the thread) and bus_open.c (its sockets, also opened
 * late).
 */
#ifndef CT_EVENT_BUS_PRIV_H
#define CT_EVENT_BUS_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/buf.h"
#include "event/bus.h"
#include "event/canary.h"
#include "event/socket.h"

#define BUS_MAGIC 0x62757331		/* "bus1" */
#define BUS_LARGE 1024			/* bytes; larger records are counted */

/* What another thread waits for. */
struct bus_turn {
	event_bus_fill *fill;		/* see event_bus_open() */
	void *fill_ctx;
	uint32_t subscribers;
	char *why;
	int result;
	sem_t done;
};

struct event_bus {
	uint32_t magic;
	struct event_bus_opts opts;
	char *events_url, *snapshot_url, *version;
	struct ring *ring;
	_Atomic size_t large;		/* bytes in large records that wait */
	size_t large_max;
	_Atomic int sleeping;
	_Atomic bool fresh;		/* emitted, not looked at yet */
	_Atomic bool stop;
	_Atomic(struct bus_turn *) turn;
	int wake_fd;
	pthread_t thread;
	bool started;

	/* From here on: the publisher thread. */
	struct view *view;
	struct bus_socket pub, rep;
	struct canary pub_canary, rep_canary;
	struct outbuf text;		/* of the event at hand */
	uint64_t paced_ms, resynced_ms, resynced_lost, alive_ms;
	uint32_t pace;			/* events that may go now */
	uint32_t greeted;		/* subscribers told so far */
	uint64_t lost;			/* beyond those of the ring */
	bool unopened;			/* never was open: events wait for it */
	/* After event_bus_open(): nothing goes before so many pipes were added,
	 * or until then. */
	uint32_t awaited;
	uint64_t hold_ms;

	/* Written by it, read by any. */
	_Atomic uint64_t stat_seq, stat_published, stat_dropped;
	_Atomic uint32_t stat_waiting;
	_Atomic uint64_t stat_relistened, stat_endpoints, stat_snapshots;
};

/* Any thread: the publisher looks around, if it sleeps. */
void bus_wake(struct event_bus *);

/* The thread; its argument is the bus. */
void *bus_publisher(void *arg);

/* Publisher thread.  Makes the text of an event in bus->text; *ret_json: where
 * the object begins in it.  -ENOMEM, -ENOBUFS. */
int bus_encode(struct event_bus *, const struct event *, uint64_t seq,
    size_t *ret_json);

/* Publisher thread, or before there is one.  Both, or none; why[256] and errors
 * as of event_bus_new(). */
int bus_open_sockets(struct event_bus *, char *why);
/* The same, or after it ended; also those that never were opened. */
void bus_close_sockets(struct event_bus *);
/* Publisher thread: opens them if somebody waits for it in event_bus_open(). */
void bus_take_turn(struct event_bus *);

#endif
