/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fleet of devices that comes back: each connects, says its hello, answers
 * pings, and when its channel ends it connects again at a random time within a
 * window that doubles with each failure, as the protocol asks devices to.
 * Prints a JSON object when all are there, and one each time all are there
 * again after some had gone, and ends with stdin: the last one has the longest
 * time for which anybody who was there heard no ping.  For tests of storms.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "wsc.h"

#define RETRY_MAX_S 60			/* the largest window */
#define SLICE 64			/* in one turn */
#define LIFE_S 900			/* at most, whatever happens */

struct device {
	struct wsc conn;
	char id[40], token[80];
	double due;			/* of the next attempt; 0: none */
	double pinged;			/* the last ping, or when it came */
	unsigned heard;			/* messages of this channel */
	unsigned tries;			/* that failed in a row */
	int there;
};

static struct wsc_target target = { .tls = true, .path = "/v1/channel",
	.subprotocol = "cleat.v1.jsonrpc" };
static struct device *devices;
static unsigned devices_n, there, started;
/* Of the failures, nobody: when no server listened. */
static unsigned long failures, attempts, refused, nobody;
static double window_s, slowest, gone_since, silence;
static char last_failure[128];

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
later(struct device *d)
{
	double window = window_s *
	    (double)(1u << (d->tries < 16 ? d->tries : 16));

	if (window > RETRY_MAX_S)
		window = RETRY_MAX_S;
	d->due = now() + window * (double)random() / (double)RAND_MAX;
}

static void
connect_one(struct device *d)
{
	int error = wsc_start(&d->conn, &target, started++);

	attempts++;
	d->due = 0;
	d->heard = 0;
	if (error != 0) {
		(void)snprintf(last_failure, sizeof(last_failure), "%s",
		    strerror(-error));
		failures++;
		d->tries++;
		later(d);
	}
}

static void
tell(const char *what)
{
	(void)printf("{\"%s\": %u, \"attempts\": %lu, \"failures\": %lu, "
	    "\"nobody\": %lu, \"refused\": %lu, \"seconds\": %.3f, "
	    "\"last_failure\": \"%s\"}\n", what, there, attempts, failures,
	    nobody, refused, now() - gone_since, last_failure);
	(void)fflush(stdout);
	attempts = failures = refused = nobody = 0;
	last_failure[0] = '\0';
}

static void
arrived(struct device *d)
{
	d->there = 1;
	d->tries = 0;
	d->pinged = now();
	if (++there == devices_n)
		tell("all");
}

static void
silent(const struct device *d)
{
	double t = now() - d->pinged;

	if (d->there && t > silence)
		silence = t;
}

static void
on_pinged(struct wsc *c)
{
	struct device *d = (struct device *)c;

	silent(d);
	d->pinged = now();
}

static void
on_opened(struct wsc *c)
{
	(void)c;			/* the challenge comes first */
}

static void
on_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	struct device *d = (struct device *)c;
	char text[512];
	int len;

	(void)opcode;
	if (d->heard++ == 0) {
		len = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\","
		    "\"id\":1,\"method\":\"hello\",\"params\":{\"endpoint\":"
		    "\"%s\",\"agent\":{\"name\":\"storm\",\"version\":\"1\"},"
		    "\"auth\":{\"method\":\"token\",\"token\":\"%s\"}}}",
		    d->id, d->token);
		wsc_send(c, WSC_TEXT, text, (size_t)len);
	} else if (!d->there && memmem(p, n, "\"result\"", 8) != NULL) {
		arrived(d);
	} else if (!d->there && memmem(p, n, "\"error\"", 7) != NULL) {
		refused++;
	}
}

static void
on_failed(struct wsc *c, const char *why)
{
	struct device *d = (struct device *)c;

	if (d->there) {
		if (there == devices_n)
			gone_since = now();
		d->there = 0;
		there--;
	} else {
		(void)snprintf(last_failure, sizeof(last_failure), "%s", why);
		failures++;
		nobody += strcmp(why, strerror(ECONNREFUSED)) == 0;
		d->tries++;
	}
	later(d);
}

/* A few of each: who has begun is not to wait for all others to begin. */
static void
turn(void)
{
	static unsigned next;
	struct epoll_event ev[SLICE];
	double t, last = now();
	int n = epoll_wait(target.epoll, ev, SLICE, 10), begun = 0;

	for (int i = 0; i < n; i++)
		wsc_event(ev[i].data.ptr, ev[i].events);
	t = now();
	for (unsigned i = 0; i < devices_n && begun < SLICE; i++) {
		struct device *d = &devices[next++ % devices_n];

		if (d->due != 0 && d->due <= t) {
			connect_one(d);
			begun++;
		}
	}
	if (now() - last > slowest)
		slowest = now() - last;
}

static int
read_devices(const char *path)
{
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return -errno;
	for (unsigned i = 0; i < devices_n; i++) {
		devices[i].conn.fd = -1;
		if (fscanf(f, "%39s %79s", devices[i].id,
		    devices[i].token) != 2)
			return -EINVAL;
		later(&devices[i]);
	}
	(void)fclose(f);
	return 0;
}

int
main(int argc, char **argv)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	double end = now() + LIFE_S;

	if (argc != 6) {
		(void)fprintf(stderr, "usage: storm PORT DEVICES-FILE COUNT "
		    "WINDOW-SECONDS CA-FILE\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	target.port = (uint16_t)strtoul(argv[1], NULL, 10);
	devices_n = (unsigned)strtoul(argv[3], NULL, 10);
	window_s = strtod(argv[4], NULL);
	target.opened = on_opened;
	target.message = on_message;
	target.pinged = on_pinged;
	target.failed = on_failed;
	target.epoll = epoll_create1(EPOLL_CLOEXEC);
	target.ctx = wsc_context(argv[5], 0);
	devices = calloc(devices_n + 1, sizeof(*devices));
	gone_since = now();
	if (target.epoll < 0 || target.ctx == NULL || devices == NULL ||
	    devices_n == 0 || read_devices(argv[2]) != 0) {
		(void)fprintf(stderr, "storm: no resources or no devices\n");
		return 1;
	}
	while (now() < end && poll(&in, 1, 0) == 0)
		turn();
	for (unsigned i = 0; i < devices_n; i++)
		silent(&devices[i]);
	(void)printf("{\"end\": %u, \"failures\": %lu, \"slowest_turn\": %.3f, "
	    "\"silence\": %.3f}\n", there, failures, slowest, silence);
	return 0;
}
