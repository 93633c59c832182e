/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evens out the workers (decision 0003): one shared listener gives whoever is
 * awake the next connection, so the shares drift, and a permanent channel stays
 * where it began.  Now and then the fullest worker hands some of its channels
 * to the emptiest; the devices notice nothing.
 */
#include "daemon/daemon_priv.h"

#include "base/log.h"

#define BALANCE_LEAST 64		/* a smaller difference is none */

struct shedding {
	struct daemon_worker *from;
	unsigned to, count, moved;
};

static void
shed(void *arg)
{
	struct shedding *s = arg;

	s->moved = channel_worker_shed(s->from->channels, s->to, s->count);
}

void
daemon_balance(struct daemon *d)
{
	struct shedding s = { 0 };
	size_t n, most = 0, least = SIZE_MAX;

	for (unsigned i = 0; i < d->workers_n; i++) {
		n = daemon_worker_channels(&d->workers[i]);
		if (n >= most) {
			most = n;
			s.from = &d->workers[i];
		}
		if (n < least) {
			least = n;
			s.to = i;
		}
	}
	if (most - least < BALANCE_LEAST || most - least < most / 5)
		return;
	s.count = (most - least) / 2 < CHANNEL_SHED_MAX ?
	    (unsigned)(most - least) / 2 : CHANNEL_SHED_MAX;
	worker_call(&s.from->worker, shed, &s);
	log_info("channels moved from=%u to=%u moved=%u", s.from->index, s.to,
	    s.moved);
}
