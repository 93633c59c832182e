/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hierarchical timer wheel: 4 levels of 64 slots, tick TIMER_TICK_MS.  A
 * timer never fires early and at most one tick late.  Set and stop are O(1).
 * Belongs to one thread.  The timer is embedded in its owner, who stops it
 * before freeing it.
 */
#ifndef CT_TIMER_H
#define CT_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_TICK_MS 16

struct timer {
	struct timer *next, **pprev;	/* pprev NULL: not running */
	void (*fn)(struct timer *);
	uint64_t due;			/* tick */
};

struct timer_wheel {
	uint64_t now;			/* tick */
	uint64_t used[4];		/* bit per slot */
	struct timer *slot[4][64];
};

void timer_wheel_init(struct timer_wheel *, uint64_t now_ms);
/* Prepares `t`; it is not running. */
void timer_init(struct timer *t, void (*fn)(struct timer *));
/* (Re)starts `t` to fire `in_ms` from now_ms (clamped to the wheel's reach,
 * some 74 hours).  Firing stops it. */
void timer_set(struct timer_wheel *, struct timer *t, uint64_t now_ms,
    uint64_t in_ms);
void timer_stop(struct timer_wheel *, struct timer *t);
static inline bool
timer_running(const struct timer *t)
{
	return t->pprev != NULL;
}
/* Fires what is due.  A callback may set or stop any timer of the wheel. */
void timer_wheel_run(struct timer_wheel *, uint64_t now_ms);
/* Milliseconds until the wheel wants to run again; -1 = never. */
int timer_wheel_wait(const struct timer_wheel *, uint64_t now_ms);

#endif
