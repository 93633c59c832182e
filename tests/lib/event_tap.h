/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus without sockets whose tap keeps every event, so that a test sees what
 * was published and in which order.  Waiting has a deadline of its own.
 */
#ifndef CT_TEST_EVENT_TAP_H
#define CT_TEST_EVENT_TAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h"

struct tapped {
	uint64_t seq;
	enum event_type type;
	enum presence_state state;
	enum channel_security security;
	enum presence_reason reason;
	uint64_t channel, old_channel, revision;
	uint32_t rtt_us;
	char endpoint[129], peer[64], text[160], detail[256];
};

struct event_tap {
	pthread_mutex_t lock;		/* guards the rest */
	pthread_cond_t more;
	struct event_bus *bus;
	struct tapped *got;
	size_t n, cap;
};

int event_tap_start(struct event_tap *);
void event_tap_stop(struct event_tap *);
/* Waits (10 s) until n events have come; whether they have. */
bool event_tap_wait(struct event_tap *, size_t n);
/* Everything emitted until now has gone through: how many events that were.
 * Uses one event of the daemon kind, which is not kept. */
size_t event_tap_sync(struct event_tap *);

#endif
