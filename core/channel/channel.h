/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WebSocket connection after its upgrade: stream, frames, messages,
 * keepalive, and the endpoint it was authenticated as.  A channel belongs to
 * one worker and is only touched on its thread; other threads name it by
 * (worker, id).  What protocols call is in the second half.
 */
#ifndef CT_CHANNEL_H
#define CT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h"
#include "store/commands.h"
#include "endpoint/clone.h"
#include "channel/protocol.h"

struct channel;
struct channel_worker;
struct command_table;
struct endpoint_table;
struct identity;
struct event_bus;
struct net;
struct net_upgrade;
struct net_worker;
struct telemetry_table;
struct worker;

enum channel_cert_id { CERT_ID_CN, CERT_ID_FINGERPRINT, CERT_ID_SAN_URI };

/* Changed by a reload: each worker gets a new copy by mailbox. */
struct channel_limits {
	uint32_t ping_ms, suspect_ms, dead_ms;
	uint32_t auth_ms;		/* hello must be accepted by then */
	uint32_t auth_bytes;		/* received before that */
	uint32_t send_queue;		/* unsent bytes per channel */
	uint32_t retry_min_ms, retry_max_ms;	/* hint for devices */
	bool first_in_wins;		/* take-over; else last in wins */
	struct clone_rules clone;
	enum channel_cert_id cert_id;	/* what of a certificate is the id */
};

#define CHANNEL_BEGAN_MAX 4096		/* certificates with open channels */
struct channel_counters {
	_Atomic uint64_t opened, closed, authenticated, auth_failed;
	_Atomic uint64_t messages_in, messages_out, bytes_in, bytes_out;
	_Atomic uint64_t protocol_errors, timeouts, auth_timeouts;
	_Atomic uint64_t queue_overflows, too_big, moved;
	_Atomic uint64_t handed_over, received;	/* by upgrades */
	_Atomic uint64_t replaced, refused_busy;
	/* Open now, by the certificate that the server showed them (the number
	 * of tls_slot_spec); [0]: by none that has a number. */
	_Atomic uint32_t began[CHANNEL_BEGAN_MAX];
};
/* Open now, in this process.  Any thread. */
uint64_t channel_count_open(const struct channel_counters *);

/* ---- for daemon/ ------------------------------------------------------- */

/* Shared by all workers; the objects outlive them. */
struct channel_shared {
	struct command_table *commands;	/* NULL: none */
	struct telemetry_table *telemetry;	/* NULL: none */
	struct net *net;
	struct endpoint_table *endpoints;
	struct identity *identity;
	struct event_bus *bus;
	struct channel_counters *counters;
	struct channel_worker **workers;	/* by index */
	unsigned workers_n;
	uint64_t epoch;
	/* A worker's protocol by instance name, for channels that move in;
	 * NULL: none.  That worker's thread. */
	struct channel_protocol *(*find_protocol)(void *ctx, unsigned worker,
	    const char *name);
	void *find_ctx;
};

int channel_worker_new(const struct channel_shared *, unsigned index,
    struct worker *, struct net_worker *, const struct channel_limits *,
    struct channel_worker **ret);
/* Asks every channel that is there to connect again within window_ms, at
 * `servers` (comma-separated; "" the same), spread over its first half, and
 * closes (1012) who has not gone half a window after he was asked.  A later
 * call takes the place of one that is under way.  On its thread.  -ENOMEM. */
int channel_worker_drain(struct channel_worker *, uint32_t window_ms,
    const char *servers, const char *why);
/* Who was asked may still go, but nobody is asked or closed any more.  On its
 * thread. */
void channel_worker_drain_abort(struct channel_worker *);
/* How many that have to go are still there.  On its thread. */
size_t channel_worker_drain_left(const struct channel_worker *);
/* Starts the closing handshake with every channel (1001 at stop).  On its
 * thread; channel_worker_count() falls to 0 within some 7 seconds. */
void channel_worker_close_all(struct channel_worker *, uint16_t code,
    const char *why);
/* Ends what is left without further ado.  On its thread. */
void channel_worker_kill_all(struct channel_worker *);
/* Kills all, then frees.  On its thread, or after it ended. */
void channel_worker_free(struct channel_worker **);
void channel_worker_set_limits(struct channel_worker *,
    const struct channel_limits *);
/* By whom client certificates are judged from now on: ends (4005) the channels
 * that a revocation or a removed CA concerns.  Takes a reference.  On its
 * thread. */
struct tls_snapshot;
void channel_worker_set_trust(struct channel_worker *, struct tls_snapshot *);
size_t channel_worker_count(const struct channel_worker *);

/* net's `upgraded` hook: makes a channel of the stream. */
int channel_adopt(struct channel_worker *, struct net_upgrade *,
    struct channel_protocol *);
/* The endpoint table's closer, by mail to the channel's worker.  workers: the
 * array of all (struct channel_worker **), which outlives the table's use. */
struct endpoint_closing;
void channel_pass_closing(void *workers, struct endpoint_closing *);

/* Moves a live channel to another worker by export and import (decision 0003).
 * On the worker that has it.  -ENOENT no such channel, -EBUSY just now not. */
int channel_migrate(struct channel_worker *from, uint64_t id,
    unsigned to_worker);
/* Moves up to `count` (at most CHANNEL_SHED_MAX) channels that can be moved
 * just now; returns how many.  On the worker that has them. */
#define CHANNEL_SHED_MAX 256		/* takes a few ms */
unsigned channel_worker_shed(struct channel_worker *from, unsigned to_worker,
    unsigned count);

/* ---- for protocols (plug/) ---------------------------------------------- */

uint64_t channel_id(const struct channel *);	/* unique in this epoch */
/* -> NULL: not a channel of this worker (any more). */
struct channel *channel_find(struct channel_worker *, uint64_t id);
struct channel_protocol *channel_protocol(const struct channel *);
void channel_set_session(struct channel *, void *session);
void *channel_session(const struct channel *);
/* What the channel is worth without authentication (wss or ws). */
enum channel_security channel_security(const struct channel *);
const char *channel_endpoint(const struct channel *);	/* "" before hello */
const struct channel_limits *channel_limits(const struct channel *);

/*
 * Sends one message; copies.  0; -EAGAIN the send queue is full (drained() will
 * be called); -EPIPE the channel is closing; -EMSGSIZE.
 */
int channel_send(struct channel *, const void *p, size_t n, bool text);
/* Starts the closing handshake.  Harmless when closing already.  The reason is
 * cut to 123 bytes. */
void channel_close(struct channel *, uint16_t code, const char *why);

/* 32 bytes for `challenge`, made once and bound to this channel.  -EIO. */
int channel_challenge(struct channel *, uint8_t ret[32]);

struct channel_hello {
	const char *endpoint;		/* claimed id */
	enum channel_auth_method method;
	const char *token;		/* AUTH_TOKEN, AUTH_ENROL (NULL none);
					 * wiped by the caller */
	/* AUTH_KEY; AUTH_ENROL (NULL: a token is wanted): 32 and 64 bytes. */
	const uint8_t *public_key, *signature;
	bool bound;			/* the exporter value was signed, too */
	const char *boot_id, *agent;	/* "" unknown; peer text */
};
/* Asks who it is; the answer comes by authenticated(), never inside this call.
 * -EALREADY asked or authenticated before, -EINVAL not a valid endpoint id. */
int channel_authenticate(struct channel *, const struct channel_hello *);

/* After authentication: what the device announced. */
enum channel_power {
	POWER_ON, POWER_SHUTTING_DOWN, POWER_REBOOTING, POWER_SUSPENDING
};
int channel_announce(struct channel *, enum channel_power);	/* -EPERM */
/* The device will be silent until then: asleep instead of disconnected. */
int channel_announce_sleep(struct channel *, int64_t until_wall_ms);
int channel_announce_bye(struct channel *);
/* completed(request) follows when what it announced so far is durable, or could
 * not be stored.  -EPERM, -ENOMEM, -EAGAIN too much waits. */
int channel_announce_settle(struct channel *, uint64_t request);
/*
 * What ends with the protocol's completed(): 0, -EPERM before authentication,
 * -EINVAL, -EAGAIN too much waits, -ENOMEM.  Text is checked and copied.
 */
/* Stores an array under the device's number; value: the last one stored. */
int channel_telemetry(struct channel *, uint64_t request, uint64_t seq,
    const char *json, size_t n);
/* A merge patch (RFC 7396), an object; value: revision.  -EMSGSIZE. */
int channel_inventory(struct channel *, uint64_t request, const char *json,
    size_t n);
struct channel_outcome {
	const char *id;
	enum store_command_state state;	/* an outcome */
	const char *result, *message;	/* a JSON value or ""; text */
};
/* What became of a command; value: enum cleat_outcome that counts.  The
 * completion's error is -ENOENT for one that is not this endpoint's. */
int channel_command_outcome(struct channel *, uint64_t request,
    const struct channel_outcome *);

/* The device has recorded it, works on it.  -EPERM, -ENOENT not an open one of
 * this endpoint, -EAGAIN, -ENOMEM. */
int channel_command_accepted(struct channel *, const char *id);
int channel_command_progress(struct channel *, const char *id, int percent,
    const char *text);
/* The device has no room for it now: it is sent again on this channel after
 * some seconds, and nothing new before.  -EPERM; -ENOENT not an open one of
 * this endpoint, or not sent on this channel; -EAGAIN. */
int channel_command_later(struct channel *, const char *id);

/* An event endpoint.message about this endpoint. detail: a JSON object. */
int channel_publish(struct channel *, const char *detail, size_t n);

#endif
