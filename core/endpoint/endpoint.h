/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint table (decision 0007): every device identity and its one live
 * channel.  Sharded by a hash of the id, a short mutex a shard.  The shard
 * alone assigns channel number, state and revision, and alone emits presence
 * events, under its lock, so that their order on the bus is the order of the
 * changes.  No callback is made under a lock.  A late word of a channel that is
 * not the live one any more changes nothing (hono#1483, open-balena-vpn#287).
 *
 * Thread: any.  An endpoint is never freed while the table lives.
 */
#ifndef CT_ENDPOINT_ENDPOINT_H
#define CT_ENDPOINT_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"
#include "base/id.h"
#include "event/event.h"
#include "endpoint/presence.h"

struct endpoint;
struct endpoint_table;

#define ENDPOINT_ID_MAX ID_MAX
#define ENDPOINTS_MAX 1000000

/* bus may be NULL.  -ENOMEM. */
int endpoint_table_new(struct event_bus *bus, struct endpoint_table **ret);
void endpoint_table_free(struct endpoint_table **);

/* Where a live channel is. */
struct endpoint_place {
	uint64_t channel_id;		/* 0: none */
	unsigned worker;
};

/* A channel that has to close. */
#define ENDPOINT_WHY_MAX 123		/* RFC 6455 5.5.1 */
struct endpoint_closing {
	struct mail mail;		/* for who passes it on, as is `to` */
	void *to;
	struct endpoint_place place;
	uint16_t code;
	char why[ENDPOINT_WHY_MAX + 1];
};
/* How the layer above is told; before there are channels.  fn, from any thread
 * and without a lock held, takes the closing over (mem_free()) and
 * cannot fail. */
void endpoint_table_set_closer(struct endpoint_table *,
    void (*fn)(void *ctx, struct endpoint_closing *), void *ctx);

struct endpoint_claim {
	const char *id;
	struct endpoint_place place;	/* of the new channel */
	enum channel_security security;
	const char *peer;		/* address, for the event */
	const char *agent;		/* "" unknown; peer text */
	uint64_t credential;		/* number of what let it in; 0 none */
	bool polite;			/* only if no other is live */
};

/*
 * A channel proved to be `id`: it becomes the live one.  One event:
 * endpoint.online, or endpoint.replaced when another was live; that one
 * is in *ret_old for the caller to close.  -ENOMEM, -ENOSPC over ENDPOINTS_MAX;
 * -EBUSY another is live (polite; *ret_old says which); -EAGAIN it is about to
 * be forgotten, its channel is with the next process, or the store is so far
 * behind that after a crash numbers could come twice.
 */
int endpoint_claim(struct endpoint_table *, const struct endpoint_claim *,
    struct endpoint **ret, uint64_t *ret_number,
    struct endpoint_place *ret_old);

/* An input from channel `channel_id`; ignored unless it is the live one. */
void endpoint_input(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, enum presence_input, unsigned arg);
/* When the last byte of that channel came; wall ms. */
void endpoint_seen(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, int64_t wall_ms);
/* Its silence is announced until then; call before the channel ends. */
void endpoint_sleep(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, int64_t until_wall_ms);
/* The live channel of `id` arrived on another worker.  -ENOENT no such
 * endpoint, -ESTALE it is not the live one any more. */
int endpoint_moved(struct endpoint_table *, const char *id,
    struct endpoint_place, struct endpoint **ret);
/* The last round trip, published with the next event.  It was seen now. */
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
 * missed.  For a bus that lost events,
 * or has not had them yet. */
bool endpoint_table_restate(struct endpoint_table *, struct endpoint_cursor *,
    size_t max);

/* The same, but told to fn instead of emitted.  Any thread; fn must not
 * call back. */
bool endpoint_table_tell(struct endpoint_table *, struct endpoint_cursor *,
    size_t max, void (*fn)(void *arg, const struct event *), void *arg);

/* The end of the recovery window, in slices alike: who is unknown is what it
 * had announced, or disconnected.  recovery.c */
bool endpoint_table_lose(struct endpoint_table *, struct endpoint_cursor *,
    size_t max);

/* ---- for others -------------------------------------------------------- */

/* Everything about one that is in memory. */
struct endpoint_facts {
	const char *id;			/* lives as long as the table */
	struct endpoint_place place;	/* of the live channel */
	uint64_t number, revision;
	uint64_t credential;		/* number; 0 none, or not live */
	struct presence presence;
	enum channel_security security;	/* NONE when not live */
	int64_t since_ms;		/* wall, in this state */
	int64_t last_seen_ms;		/* wall; 0 never */
	int64_t asleep_until_ms;	/* wall; of the last announcement */
	uint32_t rtt_us;		/* 0 unknown */
};
/* -ENOENT: not known, forgotten, or about to be. */
int endpoint_get(struct endpoint_table *, const char *id,
    struct endpoint_facts *ret);

/* How many endpoints are in each state, and live ones of each worth. */
struct endpoint_figures {
	uint64_t known;
	uint64_t state[PRESENCE_STATES];
	uint64_t live[SECURITY_WSS_SAFE + 1];
};
void endpoint_table_figures(struct endpoint_table *,
    struct endpoint_figures *ret);

/* Whether the device said the same of itself before; `said` (24 bits of a hash)
 * is what it said from now on.  0: nothing.  False also when it is
 * not known. */
bool endpoint_said(struct endpoint_table *, const char *id, uint32_t said);

/* Makes it known as unlinked; nothing when it is.  -ENOMEM, -ENOSPC. */
int endpoint_known(struct endpoint_table *, const char *id);
/*
 * It is to be forgotten.  First: nobody finds it and nothing of it is stored
 * any more (-ENOENT); then comes the job that takes it out of the store.
 * After that either it is as if it had never been, but for its numbers, and a
 * live channel is closed with 4004; or it is as it was, and its channel has to
 * come anew.
 */
#define ENDPOINT_KICK_SUPERSEDED 4003
#define ENDPOINT_KICK_FORGOTTEN 4004
#define ENDPOINT_KICK_REVOKED 4005
int endpoint_forget_begin(struct endpoint_table *, const char *id);
void endpoint_forget_cancel(struct endpoint_table *, const char *id);
int endpoint_forget(struct endpoint_table *, const char *id);	/* -ENOENT */
/*
 * Closes the live channel with `code`, by its closer; wherever it is on the way
 * to.  4005 ends as `revoked`, 1012 as `drain`, others as `kicked`.
 * -ENOENT: there is none, -ENOMEM.
 */
int endpoint_kick(struct endpoint_table *, const char *id, uint16_t code,
    const char *why);
/* The same with 4005, if the credential of that number let it in. */
int endpoint_kick_credential(struct endpoint_table *, const char *id,
    uint64_t number);
/* The code with which this channel has to close (4003: another one is live), or
 * 0. */
uint16_t endpoint_kick_code(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id);

/* ---- what is stored ---------------------------------------------------- */

/*
 * No number comes twice.  So many may be given out before one is durable, and
 * are leapt over after a crash; the leap itself is durable before the next is
 * given (endpoint_table_behind()).  Who is not in the store starts above all
 * that an earlier epoch can have given to somebody who was not stored.
 */
#define ENDPOINT_LEAP_NUMBERS 1000
#define ENDPOINT_LEAP_REVISIONS 1000000

/* Who stores; nudge() is called after a change, from any thread, without a lock
 * held. */
struct endpoint_keeper {
	void (*nudge)(void *ctx);
	void *ctx;
};
/* Before there are channels.  Without a keeper nothing waits for
 * being stored. */
void endpoint_table_keep(struct endpoint_table *,
    const struct endpoint_keeper *);

/* Returns 0 or why it could not be written. */
typedef int endpoint_save_fn(void *ctx, const struct endpoint_facts *);
/* On the keeper's thread: saves what has changed, or some of it; then, whatever
 * came of it, how the commit ended.  Nudges again when more is left. */
int endpoint_table_collect(struct endpoint_table *, endpoint_save_fn *,
    void *ctx);
void endpoint_table_settled(struct endpoint_table *, int error);

struct endpoint_waiter {
	struct endpoint_waiter *next;
	struct endpoint *endpoint;
	/* Once, on the keeper's thread or in endpoint_wait().  error: 0
	 * durable, the commit's, -ESHUTDOWN. */
	void (*fn)(struct endpoint_waiter *, int error);
};
/* Waits until what was said about it so far is durable. */
void endpoint_wait(struct endpoint_table *, struct endpoint *,
    struct endpoint_waiter *);
/* After the keeper's last commit: nobody waits any more. */
void endpoint_table_give_up(struct endpoint_table *);

/* Whether something is not stored yet. */
bool endpoint_table_behind(struct endpoint_table *);

/* How the last run ended. */
struct endpoint_start {
	uint64_t epoch;			/* of this run; from 1 on */
	bool killed;			/* what it had not stored is lost */
	int64_t last_alive_ms;		/* wall */
	uint32_t dead_ms;
};
/* One endpoint as it is stored, before hellos are heard; id, number, revision,
 * presence and times are taken.  -EINVAL not a valid id, -ENOMEM, -ENOSPC;
 * -EEXIST it is there, because it came with its channel (endpoint_receive()),
 * and is left as it is. */
int endpoint_table_load(struct endpoint_table *, const struct endpoint_facts *,
    const struct endpoint_start *);
/* After the last one. */
void endpoint_table_loaded(struct endpoint_table *,
    const struct endpoint_start *);

/* ---- handed to the next process (handover.h) --------------------------- */

/* In place of a worker's index: */
#define ENDPOINT_PASSING 254u		/* it may come back */
#define ENDPOINT_ELSEWHERE 255u		/* it is with the next process */

/* What goes with a live channel. */
struct endpoint_passed {
	uint64_t channel_id, number, revision, credential;
	int64_t since_ms, last_seen_ms, asleep_until_ms;	/* wall */
	uint32_t rtt_us;
	uint16_t kick_code, unstored;
	uint8_t state, reason, intent, security;
	char id[ENDPOINT_ID_MAX + 1];
};
/* From now on nobody takes its live channel over or finds it; a kick is only
 * noted.  Until endpoint_gone(), or endpoint_moved() says that it is here after
 * all.  -ESTALE: that channel is not the live one. */
int endpoint_pass(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id, struct endpoint_passed *ret);
/* Its live channel is with the next process now. */
void endpoint_gone(struct endpoint_table *, struct endpoint *,
    uint64_t channel_id);
/* There: as it was, with its channel still to come; no event.  -EINVAL,
 * -EEXIST, -ENOMEM, -ENOSPC. */
int endpoint_receive(struct endpoint_table *, const struct endpoint_passed *);
/* Its channel does not come after all: it is as if it had not been received,
 * and endpoint_table_load() brings it as it is stored. */
void endpoint_unreceive(struct endpoint_table *, const char *id,
    uint64_t channel_id);
/* The next process died: who was gone is disconnected (reset), with an event;
 * who is only passing is not.  -> how many. */
size_t endpoint_table_lose_passed(struct endpoint_table *);
/* The former process died: nobody else stores those who have a live channel. */
void endpoint_table_mark_live(struct endpoint_table *);

const char *endpoint_id(const struct endpoint *);
size_t endpoint_table_count(struct endpoint_table *);

#endif
