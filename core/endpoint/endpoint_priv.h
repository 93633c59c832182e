/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the endpoint table share: endpoint.c (the table itself),
 * endpoint_live.c (what channels say), endpoint_walk.c (who goes through all of
 * it), endpoint_keep.c (what has to be stored), recovery.c (the time after a
 * start).  There are a million endpoints at most, so one is packed to
 * 104 bytes.
 */
#ifndef CT_ENDPOINT_ENDPOINT_PRIV_H
#define CT_ENDPOINT_ENDPOINT_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/slab.h"
#include "base/strtab.h"
#include "endpoint/endpoint.h"

#define ENDPOINT_SHARDS 16		/* a power of two */
#define ENDPOINT_SHORT_ID 24

struct endpoint {
	struct endpoint *next;		/* in its bucket */
	struct endpoint *next_dirty;	/* when listed */
	/* Never changes: read without the lock. */
	union {
		char here[ENDPOINT_SHORT_ID];
		struct {
			char *heap;
			char unused[ENDPOINT_SHORT_ID - sizeof(char *) - 1];
			bool is_long;	/* behind the longest short one */
		} at;
	} id;
	uint64_t channel_id;		/* live channel; 0 none */
	uint64_t credential : 40;	/* that let it in; 0 none of
					 * the store's */
	uint64_t said : 24;		/* see endpoint_said() */
	uint64_t revision;
	/* Times are wall ms since 1970: 48 bits last 8,900 years. */
	uint64_t number : 40;		/* of the last channel */
	uint64_t kick_code : 16;	/* the live one has to close; 0: it
					 * has not */
	uint64_t state : 8;		/* enum presence_state */
	uint64_t since : 48;		/* in this state */
	uint64_t unstored : 12;		/* numbers given since the last
					 * durable one */
	uint64_t intent : 4;		/* enum presence_intent */
	uint64_t seen : 48;		/* last seen; 0 never */
	uint64_t uncollected : 12;	/* numbers given since the
					 * last collect */
	uint64_t security : 2;		/* enum channel_security */
	uint64_t forgotten : 1;		/* as if it were not there */
	uint64_t leaving : 1;		/* that is being stored */
	uint64_t until : 48;		/* asleep, with INTENT_SLEEP */
	uint64_t worker : 8;
	uint64_t reason : 6;		/* enum presence_reason */
	uint64_t dirty : 1;		/* not as collected last */
	uint64_t listed : 1;		/* in the shard's dirty or flushing */
	uint32_t hash, rtt_us;
};

#define ENDPOINT_WALL_MAX ((INT64_C(1) << 48) - 1)
#define ENDPOINT_NEVER INT64_MAX

struct endpoint_shard {
	pthread_mutex_t lock;		/* guards all below and its endpoints */
	struct endpoint **bucket;
	size_t buckets, count;		/* count: with forgotten ones */
	size_t by_state[PRESENCE_STATES];	/* without */
	size_t live[SECURITY_WSS_SAFE + 1];	/* by what they are worth */
	int64_t due;			/* wall ms: no sleeper before that */
	struct endpoint *dirty, **dirty_end;	/* queue by next_dirty */
	struct endpoint *flushing;	/* collected, not settled */
	bool nudge;			/* the keeper has to be told */
	struct slab slab;
};

struct endpoint_table {
	struct event_bus *bus;
	void (*close)(void *ctx, struct endpoint_closing *);	/* or NULL */
	void *close_ctx;
	struct endpoint_keeper keeper;	/* nudge NULL: nothing is stored */
	uint64_t first_number, first_revision;	/* of who is new */
	_Atomic size_t count;		/* in all shards, with forgotten ones */
	_Atomic size_t forgotten;

	pthread_mutex_t wait_lock;	/* guards waiting */
	struct endpoint_waiter *waiting;
	struct endpoint_waiter *flushing;	/* the keeper's thread */

	pthread_mutex_t clone_lock;	/* guards clones */
	struct clone *clones;		/* clone.c */

	/* recovery.c; the main thread's but for the atomics */
	_Atomic bool recovering;
	uint32_t window_ms;
	uint64_t began;			/* mono ms */
	size_t expected;
	size_t lost[PRESENCE_STATES];	/* what they became */
	struct endpoint_cursor losing;
	_Atomic size_t unknown;		/* now */
	_Atomic size_t heard;		/* unknown ones that came back */

	struct endpoint_shard shard[ENDPOINT_SHARDS];
};

/* Where its live channel can be reached: nowhere, when it is with the next
 * process or on its way there. */
static inline struct endpoint_place
endpoint_place(const struct endpoint *e)
{
	bool here = e->worker < ENDPOINT_PASSING;

	return (struct endpoint_place){
		.channel_id = here ? e->channel_id : 0,
		.worker = here ? e->worker : 0
	};
}

static inline const char *
endpoint_text(const struct endpoint *e)
{
	return e->id.at.is_long ? e->id.at.heap : e->id.here;
}

/* endpoint.c.  Those that take a shard: under its lock.  An id's hash is
 * strtab_hash(), which has no key: where devices choose their ids themselves
 * ([auth] enrol = open) they can fill one bucket, with open_max at most, as
 * fast as enrol_rate lets an address.  A look-up before the proof is bounded
 * by the failures that an address may have. */
struct endpoint_shard *endpoint_shard_of(struct endpoint_table *,
    uint32_t hash);
/* NULL: not there; a forgotten one is found. */
struct endpoint *endpoint_find(struct endpoint_shard *, uint32_t hash,
    const char *id);
/* A new one, unlinked.  -ENOMEM, -ENOSPC. */
int endpoint_add(struct endpoint_table *, struct endpoint_shard *,
    uint32_t hash, const char *id, struct endpoint **ret);
/* It is forgotten: as if it were not there, without an event. */
void endpoint_blot_out(struct endpoint_table *, struct endpoint_shard *,
    struct endpoint *);
/* A forgotten one is there again. */
void endpoint_recall(struct endpoint_table *, struct endpoint_shard *,
    struct endpoint *);
/* An input of the presence machine, with all that hangs on it but the event.
 * True: state or reason changed. */
bool endpoint_apply(struct endpoint_table *, struct endpoint_shard *,
    struct endpoint *, enum presence_input, unsigned arg);
/* Counts it, and notes when a sleeper is due. */
void endpoint_set_state(struct endpoint_table *, struct endpoint_shard *,
    struct endpoint *, enum presence_state, int64_t since_ms);
uint64_t endpoint_wall(int64_t ms);	/* as it is kept */
void endpoint_fill_event(struct event *, const struct endpoint *,
    enum event_type);
enum event_type endpoint_event_type(const struct endpoint *);
/* Its live channel is gone: nothing more of it is heard. */
void endpoint_let_go(struct endpoint_shard *, struct endpoint *);
/* The next revision, and its event. */
void endpoint_publish_state(struct endpoint_table *, struct endpoint *);
void endpoint_fill_facts(struct endpoint_facts *, const struct endpoint *);
/* Unlocks, and tells the keeper what was marked meanwhile. */
void endpoint_leave(struct endpoint_table *, struct endpoint_shard *);

/* clone.c */
void clone_fini(struct endpoint_table *);

/* endpoint_keep.c */
void endpoint_mark(struct endpoint_table *, struct endpoint_shard *,
    struct endpoint *);

#endif
