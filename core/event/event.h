/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what happened, as a record that any thread hands to the bus without
 * waiting.  event_emit() copies into one allocation, pushes it on a bounded
 * lock-free ring and returns; the publisher thread numbers it (`seq`), writes
 * the JSON, keeps the view and sends it.  When the ring is full the event is
 * dropped but its number is used up and counted, so that a subscriber always
 * sees the gap.
 */
#ifndef CT_EVENT_H
#define CT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_bus;

/* The order is that of event_type_name(); also in <cleat/event.h>. */
enum event_type {
	EVENT_ENDPOINT_ONLINE,
	EVENT_ENDPOINT_SUSPECT,
	EVENT_ENDPOINT_OFFLINE,
	EVENT_ENDPOINT_ASLEEP,
	EVENT_ENDPOINT_DISCONNECTED,
	EVENT_ENDPOINT_REPLACED,
	EVENT_ENDPOINT_UNKNOWN,
	EVENT_ENDPOINT_UNLINKED,
	EVENT_ENDPOINT_MESSAGE,		/* detail: {"type":…,"data":…} */
	EVENT_AUTH_FAILED,
	EVENT_CERTIFICATE_LIVE,
	EVENT_CERTIFICATE_FAILED,
	EVENT_CERTIFICATE_EXPIRING,
	EVENT_CERTIFICATE_EXPIRED,
	EVENT_PLUGIN_UP,
	EVENT_PLUGIN_FAILED,
	EVENT_PLUGIN_DOWN,
	EVENT_PLUGIN_EVENT,		/* emitted by a plugin */
	EVENT_DAEMON_STARTED,
	EVENT_DAEMON_READY,
	EVENT_DAEMON_RELOADED,
	EVENT_DAEMON_RELOAD_FAILED,
	EVENT_DAEMON_STOPPING,
	EVENT_STORE_FAILING,
	EVENT_STORE_RECOVERED,
	EVENT_BUS_ALIVE,		/* the publisher's heartbeat */
	EVENT_ENDPOINT_FORGOTTEN,	/* known no more */
	EVENT_ENDPOINT_CLONE,		/* two devices with one identity */
	EVENT_DAEMON_RECOVERED,		/* nobody is unknown any more */
	EVENT_COMMAND_QUEUED,		/* detail: id, verb; it is durable */
	EVENT_COMMAND_ACCEPTED,		/* the device has recorded it */
	EVENT_COMMAND_PROGRESS,		/* detail: also percent, message */
	EVENT_COMMAND_DONE,		/* detail: also outcome, message */
	EVENT_ENDPOINT_TELEMETRY,	/* detail: seq, cursor */
	EVENT_ENDPOINT_INVENTORY,	/* detail: revision */
	EVENT_ENDPOINT_PENDING,		/* waits for an operator */
	EVENT_ENDPOINT_ENROLLED,	/* has its first credential */
	EVENT_ENDPOINT_APPROVED,
	EVENT_ENDPOINT_DENIED,
	EVENT_ENDPOINT_REVOKED,		/* one of its credentials */
	/* This process took over from another; text: version; detail: epoch and
	 * version of the former. */
	EVENT_DAEMON_UPGRADED,
	EVENT_TYPES
};
const char *event_type_name(enum event_type);	/* "endpoint.online" */

enum presence_state {
	PRESENCE_UNKNOWN, PRESENCE_ONLINE, PRESENCE_SUSPECT, PRESENCE_OFFLINE,
	PRESENCE_ASLEEP, PRESENCE_DISCONNECTED, PRESENCE_UNLINKED,
	PRESENCE_STATES
};
const char *presence_state_name(enum presence_state);

enum channel_security {
	SECURITY_NONE, SECURITY_WS, SECURITY_WSS, SECURITY_WSS_SAFE
};
const char *channel_security_name(enum channel_security);

enum presence_reason {			/* why the state is what it is */
	REASON_NONE, REASON_HELLO, REASON_BYE, REASON_SHUTTING_DOWN,
	REASON_REBOOTING, REASON_SUSPENDING, REASON_PEER_CLOSE, REASON_TIMEOUT,
	REASON_RESET, REASON_PROTOCOL_ERROR, REASON_REPLACED, REASON_KICKED,
	REASON_DRAIN, REASON_PING_UNANSWERED, REASON_HEARD, REASON_SLEEP,
	REASON_LIMIT, REASON_STOPPING, REASON_START, REASON_REVOKED,
	REASON_COUNT
};
const char *presence_reason_name(enum presence_reason);

/* What is handed over; every pointer is only read during the call.  Unused
 * fields stay zero.  An endpoint event is one of the first eight types. */
struct event {
	enum event_type type;
	int64_t wall_ms;		/* 0 = now */
	int64_t since_ms;		/* wall, in this state;
					 * 0 = from now on */
	const char *endpoint;		/* "" or NULL: not about an endpoint */
	uint64_t channel;		/* channel number */
	uint64_t old_channel;		/* replaced */
	uint64_t revision;		/* of the endpoint's state */
	enum presence_state state;
	enum channel_security security;
	enum presence_reason reason;
	uint32_t rtt_us;		/* 0 unknown */
	const char *peer;		/* address as text */
	const char *text;		/* one line for people; slot,
					 * plugin… name */
	const char *detail;		/* a JSON object known to be valid */
	size_t detail_n;
};

/* Any thread; never waits.  About 200 ns.  NULL bus: nothing happens. */
void event_emit(struct event_bus *, const struct event *);
/* Wakes the publisher if it sleeps: once at the end of a turn that emitted. */
void event_kick(struct event_bus *);

#endif
