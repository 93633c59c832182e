/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What event_emit() costs the thread that calls it: CPU of that thread, in
 * bursts of 100,000 events a second over all producers, as a worker would do it
 * (a turn of some events, then one kick).  Then the same with two subscribers
 * over ipc, and what they lose at a steady rate.  Prints one line a case.
 *
 *	bench_event [EVENTS]
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/sp.h"
#include "event/bus.h"

#define PER_SECOND 100000
#define TURN 50				/* events, then a kick */

static unsigned events = 200000;	/* of each case */

struct producer {
	pthread_t thread;
	struct event_bus *bus;
	unsigned number, events, per_second;
	double ns;
};

static int64_t
now(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
wait_until(int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void *
produce(void *arg)
{
	struct producer *me = arg;
	int64_t cpu = 0, from, start = now(CLOCK_MONOTONIC);
	struct event ev = {
		.type = EVENT_ENDPOINT_ONLINE, .channel = 1,
		.state = PRESENCE_ONLINE, .security = SECURITY_WSS_SAFE,
		.reason = REASON_HELLO, .peer = "192.168.100.200",
	};
	char id[24];
	unsigned i, k;

	for (i = 0; i < me->events; i += TURN) {
		wait_until(start + (int64_t)i * 1000000000 / me->per_second);
		(void)snprintf(id, sizeof(id), "terminal-%u-%05u",
		    me->number, i % 10000);
		ev.endpoint = id;
		from = now(CLOCK_THREAD_CPUTIME_ID);
		for (k = 0; k < TURN; k++) {
			ev.revision = i + k + 1;
			event_emit(me->bus, &ev);
		}
		event_kick(me->bus);
		cpu += now(CLOCK_THREAD_CPUTIME_ID) - from;
	}
	me->ns = (double)cpu / me->events;
	return NULL;
}

static int
run(unsigned producers, const struct event_bus_opts *o, const char *name)
{
	struct producer p[2];
	struct event_bus_stats s;
	struct event_bus *bus;
	char why[256];
	double sum = 0;
	unsigned i;

	if (event_bus_new(o, why, &bus) != 0) {
		fprintf(stderr, "bench_event: %s\n", why);
		return 1;
	}
	for (i = 0; i < producers; i++) {
		p[i] = (struct producer){ .bus = bus, .number = i,
		    .events = events, .per_second = PER_SECOND / producers };
		if (pthread_create(&p[i].thread, NULL, produce, &p[i]) != 0)
			return 1;
	}
	for (i = 0; i < producers; i++) {
		(void)pthread_join(p[i].thread, NULL);
		sum += p[i].ns;
	}
	event_bus_stats(bus, &s);
	printf("producers=%u listener=%s ns_per_emit=%.0f dropped=%" PRIu64
	    "\n", producers, name, sum / producers, s.dropped);
	event_bus_free(&bus);
	return 0;
}

struct subscriber {
	pthread_t thread;
	int fd;
	uint64_t got;
};

static void *
count_events(void *arg)
{
	struct subscriber *me = arg;
	char text[4096];

	/* One second of silence is the end. */
	while (sp_recv(me->fd, SP_SUB, text, sizeof(text), 1000) > 0)
		me->got++;
	return NULL;
}

/* 50,000 a second. */
static int
run_steady(const struct event_bus_opts *o, const char *path)
{
	struct producer p = { .events = events / 2, .per_second = 50000 };
	struct event_bus_stats stats;
	struct subscriber s[2];
	char why[256];
	unsigned i;

	if (event_bus_new(o, why, &p.bus) != 0) {
		fprintf(stderr, "bench_event: %s\n", why);
		return 1;
	}
	for (i = 0; i < 2; i++) {
		s[i] = (struct subscriber){ .fd = sp_connect(path, SP_SUB,
		    1000) };
		if (s[i].fd < 0 || pthread_create(&s[i].thread, NULL,
		    count_events, &s[i]) != 0)
			return 1;
	}
	/* The sign of being served is an event: wait for nng's. */
	wait_until(now(CLOCK_MONOTONIC) + 200000000);
	(void)produce(&p);
	event_bus_stats(p.bus, &stats);
	printf("producers=1 listener=two-subscribers ns_per_emit=%.0f "
	    "dropped=%" PRIu64 "\n", p.ns, stats.dropped);
	for (i = 0; i < 2; i++) {
		(void)pthread_join(s[i].thread, NULL);
		printf("rate=50000 subscriber=%u sent=%u lost=%" PRId64 "\n",
		    i, p.events, (int64_t)(p.events - s[i].got));
		(void)close(s[i].fd);
	}
	event_bus_free(&p.bus);
	return 0;
}

int
main(int argc, char **argv)
{
	char dir[] = "/tmp/ctbenchXXXXXX", url[64];
	struct event_bus_opts o = {
		.ring = 1 << 16, .queue = 4096, .version = "bench",
	};
	int r = 0;

	if (argc > 1)
		events = (unsigned)strtoul(argv[1], NULL, 10) / TURN * TURN;
	if (events < 2 * TURN || mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(url, sizeof(url), "ipc://%s/e", dir);
	r |= run(1, &o, "none");
	r |= run(2, &o, "none");
	o.events_url = url;
	r |= run(1, &o, "ipc");
	r |= run(2, &o, "ipc");
	r |= run_steady(&o, url + 6);
	(void)rmdir(dir);
	return r;
}
