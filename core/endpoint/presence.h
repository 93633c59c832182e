/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The presence machine (decision 0007): what an endpoint's state becomes, as a
 * pure function.  No clock, no lock, no event: core/endpoint/endpoint calls it
 * under the shard's lock and publishes what changed.
 */
#ifndef CT_ENDPOINT_PRESENCE_H
#define CT_ENDPOINT_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

/* What the device said will come next; it decides what its silence means. */
enum presence_intent {
	INTENT_NONE,
	INTENT_BYE,
	INTENT_SHUTTING_DOWN,
	INTENT_REBOOTING,
	INTENT_SUSPENDING,
	INTENT_SLEEP
};

struct presence {
	uint8_t state;			/* enum presence_state */
	uint8_t reason;			/* enum presence_reason */
	uint8_t intent;			/* enum presence_intent */
};

enum presence_input {
	PRESENCE_IN_HELLO,		/* authenticated on a new channel */
	PRESENCE_IN_UNANSWERED,		/* a ping without answer for too long */
	PRESENCE_IN_HEARD,		/* any byte */
	PRESENCE_IN_INTENT,		/* arg: enum presence_intent */
	PRESENCE_IN_END,		/* its live channel ended;
					 * arg: reason */
	PRESENCE_IN_OVERDUE,		/* asleep for longer than announced */
	PRESENCE_IN_START,		/* as stored by the daemon's last run */
	PRESENCE_IN_LOST		/* not heard within the
					 * recovery window */
};

/* Applies an input.  True when state or reason changed: that is an event. */
bool presence_apply(struct presence *, enum presence_input, unsigned arg);

#endif
