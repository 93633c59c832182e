/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread's event loop: descriptors (level-triggered epoll), timers, and
 * work put off to the end of the turn.  All calls from the loop's own thread.
 * A watch, timer or defer is embedded in its owner.
 *
 * A turn: wait, deliver mail (the hook), deliver descriptor events, fire due
 * timers, run deferred work.
 */
#ifndef CT_LOOP_H
#define CT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/timer.h"

struct loop;

struct watch {
	void (*fn)(struct watch *, uint32_t epoll_events);
	int fd;				/* -1: not watched */
};

/* Work for the end of this turn; deferring it twice runs it once. */
struct defer {
	void (*fn)(struct defer *);
	struct defer *next;
	bool pending;
};

int loop_new(struct loop **ret);	/* -ENOMEM, -EMFILE */
void loop_free(struct loop **);

/* Starts watching w->fd.  `events` may hold EPOLLEXCLUSIVE (such a watch cannot
 * be changed by loop_mod: delete and add it).  -errno of epoll. */
int loop_add(struct loop *, struct watch *w, uint32_t events);
int loop_mod(struct loop *, struct watch *w, uint32_t events);
/* Ends watching; must come before close(w->fd).  Events of this turn that were
 * not delivered yet are dropped.  Does not change w->fd. */
void loop_del(struct loop *, struct watch *w);

/* Hands the watching of from->fd over to `to`, another watch with the same
 * descriptor, in one step.  Events of this turn that `from` did not get yet are
 * dropped (they come again).  -errno of epoll: `from` goes on watching. */
int loop_move(struct loop *, struct watch *to, struct watch *from,
    uint32_t events);

void loop_timer_set(struct loop *, struct timer *, uint64_t in_ms);
void loop_timer_stop(struct loop *, struct timer *);
/* The turn's monotonic time (read once after the wait;
 * timers count from it). */
uint64_t loop_now_ms(const struct loop *);

void loop_defer(struct loop *, struct defer *);
void loop_defer_cancel(struct loop *, struct defer *);

/*
 * What a mailbox needs to save its senders a system call; one a loop.
 * may_sleep() runs before a wait that could block: false = there is work, only
 * look.  awake() runs in every turn before the descriptor events: what
 * was sent before something happened out there is known when that is looked at.
 */
struct loop_hook {
	bool (*may_sleep)(struct loop_hook *);
	void (*awake)(struct loop_hook *);
};
/* NULL takes the hook away. */
void loop_set_hook(struct loop *, struct loop_hook *);

/* Runs until loop_stop(); the turn in which that is called is the last.
 * 0, or -errno of epoll_wait. */
int loop_run(struct loop *);
/* One turn waiting at most max_wait_ms (-1 = as the timers say).  For tests. */
int loop_turn(struct loop *, int max_wait_ms);
void loop_stop(struct loop *);

#endif
