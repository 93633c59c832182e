/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable state: opens the store and reads from it what is kept in memory,
 * before anything else runs; closes it when everybody who writes has ended.
 */
#include "daemon/daemon_priv.h"

#include <stdio.h>

#include "base/log.h"
#include "conf/conf.h"

int
daemon_state_open(struct daemon *d, char *why)
{
	struct store_opts opts;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/cleat.db",
	    conf_str(d->conf, "daemon", "state_dir"));
	options_store(d->conf, &opts);
	opts.path = path;
	opts.epoch = d->epoch;
	opts.bus = d->bus;
	return store_open(&opts, why, &d->store);
}

int
daemon_state_start(struct daemon *d)
{
	if (store_was_killed(d->store))
		log_notice("the last run did not end in order");
	return store_start(d->store);
}

void
daemon_state_close(struct daemon *d)
{
	store_free(&d->store);
}
