/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the end of something that took a while (a store job, a flush) finds its
 * way to the channel that asked for it, and to its protocol as completed().  It
 * is embedded in what does the work.  A channel that has one under way stays on
 * its worker; one that has ended meanwhile is not told.
 */
#ifndef CT_CHANNEL_COMPLETION_H
#define CT_CHANNEL_COMPLETION_H

#include <stdint.h>

#include "base/mailbox.h"

struct channel;
struct channel_worker;

/* Under way for one channel.  A device that asks for more is told to wait. */
#define COMPLETIONS_MAX 32

struct completion {
	struct mail mail;
	struct channel_worker *worker;
	uint64_t channel, request;
	uint64_t value;			/* by kind, see <cleat/protocol.h> */
	int error;
	/* Worker's thread, after the protocol was told: frees it. */
	void (*release)(struct completion *);
};

/* The channel's worker.  release, value and error are the caller's.  -EPERM not
 * authenticated or ended, -EAGAIN COMPLETIONS_MAX are under way. */
int completion_begin(struct channel *, uint64_t request, struct completion *);
/* It could not be started after all; the channel's worker, in the same call. */
void completion_abandon(struct channel *, struct completion *);
/* Any thread, once: completed(), then release() follow on the worker. */
void completion_post(struct completion *);

#endif
