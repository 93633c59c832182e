/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint table (decision 0007): every device identity and its one live
 * channel.  Sharded by a hash of the id, a short mutex a shard.  The shard alone
 * assigns channel number, state and revision, and alone emits presence events,
 * under its lock, so that their order on the bus is the order of the changes.
 * No callback is made under a lock.  A late word of a channel that is not the
 * live one any more changes nothing (hono#1483, open-balena-vpn#287).
 *
 * Thread: any.  An endpoint is never freed while the table lives.
 */
#ifndef CT_CHANNEL_ENDPOINT_H
#define CT_CHANNEL_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/presence.h"
#include "event/event.h"

struct endpoint;
struct endpoint_table;

#define ENDPOINT_ID_MAX 128
#define ENDPOINTS_MAX 1000000

/* 1 to 128 bytes of letters, digits and . _ : @ - ; so it can stand in topics,
 * logs and file names as it is. */
bool endpoint_id_valid(const char *id);

/* bus may be NULL.  -ENOMEM. */
int endpoint_table_new(struct event_bus *bus, struct endpoint_table **ret);
void endpoint_table_free(struct endpoint_table **);

/* Where a live channel is. */
struct endpoint_place {
	uint64_t channel_id;		/* 0: none */
	unsigned worker;
};

struct endpoint_claim {
	const char *id;
	struct endpoint_place place;	/* of the new channel */
	enum channel_security security;
	const char *peer;		/* address, for the event */
	const char *agent;		/* "" unknown; peer text */
};

/*
 * A channel proved to be `id`: it becomes the live one (last in wins).  One
 * event: endpoint.online, or endpoint.replaced when another was live; that one
 * is in *ret_old for the caller to close.  -ENOMEM, -ENOSPC over ENDPOINTS_MAX.
 */
int endpoint_claim(struct endpoint_table *, const struct endpoint_claim *,
    struct endpoint **ret, uint64_t *ret_number, struct endpoint_place *ret_old);

/* An input from channel `channel_id`; ignored unless it is the live one. */
void endpoint_input(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, enum presence_input, unsigned arg);
/* Its silence is announced until then; call before the channel ends. */
void endpoint_sleep(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, int64_t until_wall_ms);
/* The live channel of `id` arrived on another worker.  -ENOENT no such endpoint,
 * -ESTALE it is not the live one any more. */
int endpoint_moved(struct endpoint_table *, const char *id,
    struct endpoint_place, struct endpoint **ret);
/* The last round trip, published with the next event. */
void endpoint_set_rtt(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, uint32_t rtt_us);
/* An endpoint.message event.  -EPERM: the channel is not the live one. */
int endpoint_publish(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, const char *detail, size_t n);

/* Sleepers whose time (plus grace_ms) is over become disconnected.  Call about
 * once a second from one thread. */
void endpoint_table_sweep(struct endpoint_table *, int64_t wall_ms,
    uint32_t grace_ms);

/* Where a walk through the table is; starts all zero. */
struct endpoint_cursor {
	unsigned shard;
	size_t bucket;
};
/* Emits the present state of endpoints again, with their revisions, until some
 * `max` are out.  True: more are left.  Those that exist throughout are never
 * missed.  For a bus that lost events. */
bool endpoint_table_restate(struct endpoint_table *, struct endpoint_cursor *,
    size_t max);

/* How many endpoints are in each state, and live ones of each worth.  Takes each
 * lock for a short time only: what changes meanwhile counts as it was met. */
struct endpoint_figures {
	uint64_t state[PRESENCE_STATES];
	uint64_t live[SECURITY_WSS_SAFE + 1];
};
void endpoint_table_figures(struct endpoint_table *,
    struct endpoint_figures *ret);

const char *endpoint_id(const struct endpoint *);
size_t endpoint_table_count(struct endpoint_table *);

#endif
