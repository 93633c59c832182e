/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of the bus: making one, and being its peer. */
#ifndef CT_TEST_BUS_TRY_H
#define CT_TEST_BUS_TRY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "event/bus.h"
#include "../lib/sp.h"
#include "../lib/tmpdir.h"
#include "../lib/under_valgrind.h"

#define SOON 10000			/* ms; far above what is needed */

static char events[120], snapshots[120];
static const char *events_path, *snapshots_path;

static inline struct event_bus_opts
options(void)
{
	return (struct event_bus_opts){
		.events_url = events, .snapshot_url = snapshots,
		.ring = 1 << 14, .queue = 4096, .epoch = 7, .version = "t",
	};
}

static inline struct event_bus *
start(const struct event_bus_opts *o)
{
	struct event_bus *bus = NULL;
	char why[256] = "";
	int r = event_bus_new(o, why, &bus);

	if (r != 0)
		print_error("%d: %s\n", r, why);
	assert_int_equal(r, 0);
	return bus;
}

static inline void
emit(struct event_bus *bus, const char *id, uint64_t revision)
{
	const struct event ev = {
		.type = EVENT_ENDPOINT_ONLINE, .endpoint = id, .channel = 1,
		.revision = revision, .state = PRESENCE_ONLINE,
		.security = SECURITY_WSS, .reason = REASON_HELLO,
		.peer = "192.0.2.1",
	};

	event_emit(bus, &ev);
}

static inline uint64_t
number(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

static inline struct event_bus_stats
stats(struct event_bus *bus)
{
	struct event_bus_stats s;

	event_bus_stats(bus, &s);
	return s;
}

static inline void
wait_for_seq(struct event_bus *bus, uint64_t seq)
{
	uint64_t end = clock_mono_ms() + SOON;

	while (stats(bus).seq < seq && clock_mono_ms() < end)
		(void)poll(NULL, 0, 1);
	assert_true(stats(bus).seq >= seq);
}

/* A subscriber that is known to be served: an event reached it.  nng gives no
 * other sign. */
static inline int
subscribe(struct event_bus *bus, const char *path, int within_ms)
{
	uint64_t end = clock_mono_ms() + (uint64_t)within_ms;
	char text[4096];
	int fd = -1;

	while (clock_mono_ms() < end) {
		if (fd < 0)
			fd = sp_connect(path, SP_SUB, within_ms);
		assert_true(fd >= 0);
		event_emit(bus, &(struct event){
		    .type = EVENT_DAEMON_RELOADED });
		event_kick(bus);
		if (sp_recv(fd, SP_SUB, text, sizeof(text), 100) > 0)
			return fd;
		/* The listener's end (or a refusal) closes us. */
		if (recv(fd, text, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
			(void)close(fd);
			fd = -1;
		}
	}
	return -1;
}

/* Sanitizers and valgrind keep books that grow with what is done. */
static inline bool
memory_is_ours(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#else
	return !under_valgrind();
#endif
}

static inline size_t
resident(void)
{
	unsigned long total = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &total, &pages), 2);
	(void)fclose(f);
	return pages * 4096;
}

static inline int
set_up(void **state)
{
	const char *dir = tmpdir_make();

	(void)state;
	(void)snprintf(events, sizeof(events), "ipc://%s/events.ipc", dir);
	(void)snprintf(snapshots, sizeof(snapshots), "ipc://%s/snap.ipc",
	    dir);
	events_path = events + 6;
	snapshots_path = snapshots + 6;
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	tmpdir_remove();
	return 0;
}

#endif
