/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The presence machine.  Only the live channel of an endpoint feeds it; whether
 * a channel is the live one is decided before (endpoint.c).
 */
#include "endpoint/presence.h"

static bool
become(struct presence *p, enum presence_state state,
    enum presence_reason reason)
{
	bool changed = p->state != state || p->reason != reason;

	p->state = (uint8_t)state;
	p->reason = (uint8_t)reason;
	return changed;
}

/* The end of a channel means what the device announced before it. */
static bool
end(struct presence *p, enum presence_reason reason)
{
	switch ((enum presence_intent)p->intent) {
	case INTENT_BYE:
		return become(p, PRESENCE_OFFLINE, REASON_BYE);
	case INTENT_SHUTTING_DOWN:
		return become(p, PRESENCE_OFFLINE, REASON_SHUTTING_DOWN);
	case INTENT_REBOOTING:
		return become(p, PRESENCE_OFFLINE, REASON_REBOOTING);
	case INTENT_SUSPENDING:
		return become(p, PRESENCE_OFFLINE, REASON_SUSPENDING);
	case INTENT_SLEEP:
		return become(p, PRESENCE_ASLEEP, REASON_SLEEP);
	case INTENT_NONE:
		break;
	}
	return become(p, PRESENCE_DISCONNECTED, reason);
}

/* Who was there when the last run ended may be there still.  Whom that run
 * itself sent away, because it stopped, is no different from whom its
 * death left. */
static bool
start(struct presence *p)
{
	if (p->state != PRESENCE_ONLINE && p->state != PRESENCE_SUSPECT &&
	    p->state != PRESENCE_UNKNOWN &&
	    (p->state != PRESENCE_DISCONNECTED || p->reason != REASON_STOPPING))
		return false;
	return become(p, PRESENCE_UNKNOWN, REASON_START);
}

bool
presence_apply(struct presence *p, enum presence_input input, unsigned arg)
{
	switch (input) {
	case PRESENCE_IN_HELLO:
		p->intent = INTENT_NONE;
		return become(p, PRESENCE_ONLINE, REASON_HELLO);
	case PRESENCE_IN_UNANSWERED:
		if (p->state != PRESENCE_ONLINE)
			return false;
		return become(p, PRESENCE_SUSPECT, REASON_PING_UNANSWERED);
	case PRESENCE_IN_HEARD:
		if (p->state != PRESENCE_SUSPECT)
			return false;
		return become(p, PRESENCE_ONLINE, REASON_HEARD);
	case PRESENCE_IN_INTENT:
		p->intent = (uint8_t)arg;
		return false;
	case PRESENCE_IN_END:
		return end(p, (enum presence_reason)arg);
	case PRESENCE_IN_OVERDUE:
		if (p->state != PRESENCE_ASLEEP)
			return false;
		return become(p, PRESENCE_DISCONNECTED, REASON_TIMEOUT);
	case PRESENCE_IN_START:
		return start(p);
	case PRESENCE_IN_LOST:
		if (p->state != PRESENCE_UNKNOWN)
			return false;
		return end(p, REASON_TIMEOUT);
	}
	return false;
}
