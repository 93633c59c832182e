/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of everything an event can say, and its packing into one allocation.
 * Runs on the emitting thread: no system call, no lock of ours.
 */
#include "event/event.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "event/record.h"

static const char *const type_names[EVENT_TYPES] = {
	[EVENT_ENDPOINT_ONLINE] = "endpoint.online",
	[EVENT_ENDPOINT_SUSPECT] = "endpoint.suspect",
	[EVENT_ENDPOINT_OFFLINE] = "endpoint.offline",
	[EVENT_ENDPOINT_ASLEEP] = "endpoint.asleep",
	[EVENT_ENDPOINT_DISCONNECTED] = "endpoint.disconnected",
	[EVENT_ENDPOINT_REPLACED] = "endpoint.replaced",
	[EVENT_ENDPOINT_UNKNOWN] = "endpoint.unknown",
	[EVENT_ENDPOINT_UNLINKED] = "endpoint.unlinked",
	[EVENT_ENDPOINT_MESSAGE] = "endpoint.message",
	[EVENT_AUTH_FAILED] = "auth.failed",
	[EVENT_CERTIFICATE_LIVE] = "certificate.live",
	[EVENT_CERTIFICATE_FAILED] = "certificate.failed",
	[EVENT_CERTIFICATE_EXPIRING] = "certificate.expiring",
	[EVENT_CERTIFICATE_EXPIRED] = "certificate.expired",
	[EVENT_PLUGIN_UP] = "plugin.up",
	[EVENT_PLUGIN_FAILED] = "plugin.failed",
	[EVENT_PLUGIN_DOWN] = "plugin.down",
	[EVENT_PLUGIN_EVENT] = "plugin.event",
	[EVENT_DAEMON_STARTED] = "daemon.started",
	[EVENT_DAEMON_READY] = "daemon.ready",
	[EVENT_DAEMON_RELOADED] = "daemon.reloaded",
	[EVENT_DAEMON_RELOAD_FAILED] = "daemon.reload-failed",
	[EVENT_DAEMON_STOPPING] = "daemon.stopping",
	[EVENT_STORE_FAILING] = "store.failing",
	[EVENT_STORE_RECOVERED] = "store.recovered",
	[EVENT_BUS_ALIVE] = "bus.alive",
	[EVENT_ENDPOINT_FORGOTTEN] = "endpoint.forgotten",
	[EVENT_ENDPOINT_CLONE] = "endpoint.clone",
	[EVENT_DAEMON_RECOVERED] = "daemon.recovered",
	[EVENT_COMMAND_QUEUED] = "command.queued",
	[EVENT_COMMAND_ACCEPTED] = "command.accepted",
	[EVENT_COMMAND_PROGRESS] = "command.progress",
	[EVENT_COMMAND_DONE] = "command.done",
	[EVENT_ENDPOINT_TELEMETRY] = "endpoint.telemetry",
	[EVENT_ENDPOINT_INVENTORY] = "endpoint.inventory",
	[EVENT_ENDPOINT_PENDING] = "endpoint.pending",
	[EVENT_ENDPOINT_ENROLLED] = "endpoint.enrolled",
	[EVENT_ENDPOINT_APPROVED] = "endpoint.approved",
	[EVENT_ENDPOINT_DENIED] = "endpoint.denied",
	[EVENT_ENDPOINT_REVOKED] = "endpoint.revoked",
	[EVENT_DAEMON_UPGRADED] = "daemon.upgraded",
};

static const char *const state_names[PRESENCE_STATES] = {
	[PRESENCE_UNKNOWN] = "unknown",
	[PRESENCE_ONLINE] = "online",
	[PRESENCE_SUSPECT] = "suspect",
	[PRESENCE_OFFLINE] = "offline",
	[PRESENCE_ASLEEP] = "asleep",
	[PRESENCE_DISCONNECTED] = "disconnected",
	[PRESENCE_UNLINKED] = "unlinked",
};

static const char *const security_names[SECURITY_WSS_SAFE + 1] = {
	[SECURITY_NONE] = "none",
	[SECURITY_WS] = "ws",
	[SECURITY_WSS] = "wss",
	[SECURITY_WSS_SAFE] = "wss-safe",
};

static const char *const reason_names[REASON_COUNT] = {
	[REASON_NONE] = "none",
	[REASON_HELLO] = "hello",
	[REASON_BYE] = "bye",
	[REASON_SHUTTING_DOWN] = "shutting-down",
	[REASON_REBOOTING] = "rebooting",
	[REASON_SUSPENDING] = "suspending",
	[REASON_PEER_CLOSE] = "peer-close",
	[REASON_TIMEOUT] = "timeout",
	[REASON_RESET] = "reset",
	[REASON_PROTOCOL_ERROR] = "protocol-error",
	[REASON_REPLACED] = "replaced",
	[REASON_KICKED] = "kicked",
	[REASON_DRAIN] = "drain",
	[REASON_PING_UNANSWERED] = "ping-unanswered",
	[REASON_HEARD] = "heard",
	[REASON_SLEEP] = "sleep",
	[REASON_LIMIT] = "limit",
	[REASON_STOPPING] = "stopping",
	[REASON_START] = "start",
	[REASON_REVOKED] = "revoked",
};

const char *
event_type_name(enum event_type t)
{
	CT_ASSERT((unsigned)t < EVENT_TYPES);
	return type_names[t];
}

const char *
presence_state_name(enum presence_state s)
{
	CT_ASSERT((unsigned)s < PRESENCE_STATES);
	return state_names[s];
}

const char *
channel_security_name(enum channel_security s)
{
	CT_ASSERT((unsigned)s <= SECURITY_WSS_SAFE);
	return security_names[s];
}

const char *
presence_reason_name(enum presence_reason r)
{
	CT_ASSERT((unsigned)r < REASON_COUNT);
	return reason_names[r];
}

bool
event_is_presence(enum event_type t)
{
	return (unsigned)t <= EVENT_ENDPOINT_UNLINKED;
}

/* Length with the NUL, 0 for nothing. */
static size_t
text_size(const char *s)
{
	return s == NULL || *s == '\0' ? 0 : strlen(s) + 1;
}

static const char *
put(char **at, const void *p, size_t n)
{
	char *to = *at;

	if (n == 0)
		return NULL;
	memcpy(to, p, n);
	*at += n;
	return to;
}

int
event_pack(const struct event *ev, struct event_record **ret)
{
	size_t id_n = text_size(ev->endpoint), peer_n = text_size(ev->peer);
	size_t text_n = text_size(ev->text), detail_n = ev->detail_n;
	struct event_record *r;
	size_t size;
	char *at;

	/* A protocol plugin can be behind these: refused, not asserted. */
	if ((unsigned)ev->type >= EVENT_TYPES ||
	    (unsigned)ev->state >= PRESENCE_STATES ||
	    (unsigned)ev->security > SECURITY_WSS_SAFE ||
	    (unsigned)ev->reason >= REASON_COUNT || id_n > EVENT_ID_MAX + 1)
		return -EINVAL;
	if (ev->detail == NULL)
		detail_n = 0;
	if (detail_n > SIZE_MAX / 2)
		return -EINVAL;
	size = sizeof(*r) + id_n + peer_n + text_n + detail_n;
	if ((r = mem_alloc(size)) == NULL)
		return -ENOMEM;
	r->ev = *ev;
	r->size = size;
	if (r->ev.wall_ms == 0)
		r->ev.wall_ms = clock_wall_ms();
	at = r->text;
	r->ev.endpoint = put(&at, ev->endpoint, id_n);
	r->ev.peer = put(&at, ev->peer, peer_n);
	r->ev.text = put(&at, ev->text, text_n);
	r->ev.detail = put(&at, ev->detail, detail_n);
	r->ev.detail_n = detail_n;
	*ret = r;
	return 0;
}
