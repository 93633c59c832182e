/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The materialised view: what the events so far add up to.  Every endpoint with
 * its present state, every certificate slot and plugin with its last event, and
 * the daemon's own times.  Endpoints are never taken out (a forgotten one
 * is only passed over), and stay in the order in which they were first
 * seen: a pager that goes on behind an id misses none.  Belongs to the
 * publisher thread.
 */
#ifndef CT_EVENT_VIEW_H
#define CT_EVENT_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "event/event.h"

/* 15,000 of these and their index are in memory: see test_view.c for the limit
 * in bytes.  Times are wall ms, of 48 bits as in the endpoint table. */
struct view_endpoint {
	uint64_t revision, seq;
	uint64_t since_ms : 48;		/* in this state */
	uint64_t peer_n : 8, peer_cap : 8;	/* without NUL; there is none */
	uint64_t changed_ms : 48;	/* last event */
	uint64_t id_n : 8;		/* as peer_n */
	uint64_t state : 4;		/* VIEW_FORGOTTEN: passed over */
	uint64_t security : 4;
	uint64_t channel : 40;		/* number of 40 bits, as there */
	uint64_t reason : 8;
	char text[];			/* id, then peer */
};

enum view_fact_kind { VIEW_CERTIFICATE, VIEW_PLUGIN, VIEW_KINDS };

#define VIEW_FORGOTTEN PRESENCE_STATES
#define VIEW_FACTS_MAX 1024		/* of a kind */
#define VIEW_FACT_NAME_MAX 255
#define VIEW_DETAIL_MAX 4096		/* a longer one is left out */
#define VIEW_PEER_MAX 120		/* a longer one is cut */

struct view_text {
	char *p;			/* NULL: none */
	size_t n;
};

struct view_fact {
	char *name;			/* slot or plugin; the event's text */
	enum event_type type;		/* of the last event */
	int64_t wall_ms;
	uint64_t seq;
	struct view_text detail;
	int64_t live_ms;		/* certificate:
					 * last went live; 0 never */
	struct view_text live;		/* its detail */
};

struct view_facts {
	struct view_fact *v;
	uint32_t n, cap;
};

struct view_block;

struct view {
	struct view_block *blocks;	/* that endpoints lie in */
	size_t left;			/* bytes of the first one */
	struct view_endpoint **endpoint;
	uint32_t endpoints, endpoint_cap;
	uint32_t forgotten;		/* of those */
	uint32_t *slot;			/* hash: number of the endpoint + 1 */
	uint32_t slots;			/* a power of two, or 0 */
	uint64_t key[2];		/* of the hash */
	uint64_t seq;			/* last number applied */
	uint32_t by_state[PRESENCE_STATES];
	uint32_t by_security[SECURITY_WSS_SAFE + 1];	/* online, suspect */
	struct view_facts fact[VIEW_KINDS];
	int64_t started_ms, ready_ms, reloaded_ms, reload_failed_ms;
	int64_t stopping_ms, upgraded_ms;
	struct view_text upgraded;	/* its detail */
};

int view_new(struct view **ret);	/* -ENOMEM */
void view_free(struct view **);

/*
 * Applies one event.  A presence event with a revision below the one that is
 * known is late and changes nothing.  -ENOMEM, -ENOSPC (too many slots or
 * plugins), -EINVAL (no usable id or name): nothing but v->seq changed.
 */
int view_apply(struct view *v, const struct event *ev, uint64_t seq);

#define VIEW_NONE UINT32_MAX
/* The number of an endpoint in v->endpoint, or VIEW_NONE. */
uint32_t view_find(const struct view *v, const char *id, size_t id_n);
/* The number of a slot or plugin in v->fact[kind].v, or VIEW_NONE. */
uint32_t view_find_fact(const struct view *v, enum view_fact_kind kind,
    const char *name);

#endif
