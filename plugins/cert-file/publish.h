/* SPDX-License-Identifier: Apache-2.0 */
/* From files that were read to the slots of the host.  On the
 * instance's thread. */
#ifndef PUBLISH_H
#define PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include <cleat/host.h>

#include "live.h"
#include "material.h"
#include "options.h"

/* Zeroes but for self and host. */
struct publisher {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct given *given;		/* to each slot */
	struct live live;		/* who loads it, ends it */
	bool starting;			/* what is served still may be again */
	bool refused;			/* the last time, by somebody */
	uint64_t tried_ms;		/* monotonic; the last time */
	char told_open[256];		/* the key file that was warned of */
};

/* 0 when at least one slot took it, or there is none; else the last error, each
 * of which has been told. */
int publish(struct publisher *, const struct config *, const struct material *);
/* 0 when the slot got something. */
int publish_slot(struct publisher *, const struct config *,
    const struct material *, const char *slot);
/* Nothing to publish: every slot (or `only` that one; NULL all) hears why. */
void publish_failed(struct publisher *, const char *only, const char *why);
/* Other files come, so nothing is expected of them; also the end. */
void publish_forget(struct publisher *);

#endif
