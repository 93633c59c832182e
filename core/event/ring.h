/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded ring of pointers from many threads to one, without locks, that
 * numbers what goes through it.  A push that finds the ring full is refused but
 * its number is used up at that very moment: numbers say the order in which
 * pushes (taken or refused) happened, over all threads.
 */
#ifndef CT_EVENT_RING_H
#define CT_EVENT_RING_H

#include <stdbool.h>
#include <stdint.h>

struct ring;

#define RING_SIZE_MAX (UINT32_C(1) << 24)

/* `size`: a power of two, 2 … RING_SIZE_MAX.  -EINVAL, -ENOMEM. */
int ring_new(uint32_t size, struct ring **ret);
/* Whoever made it has taken everything out.  NULL is fine. */
void ring_free(struct ring **);

/* Any thread; never waits.  False: full, the caller keeps `p`.  *ret_pos counts
 * pushes taken, modulo 2^32. */
bool ring_push(struct ring *, void *p, uint32_t *ret_pos);
/* Any thread: uses up a number for something that could not be made. */
void ring_skip(struct ring *);

/* The rest: the one taking thread.  False: nothing is ready.  A thread between
 * taking its place and filling it holds back what came after. */
bool ring_pop(struct ring *, void **ret_p, uint64_t *ret_seq);
/* Is the next one ready? */
bool ring_ready(struct ring *);
/* Pushes waiting or about to be filled in. */
uint32_t ring_waiting(struct ring *);
/* The last number that is known to be used: that of the last pop, and the
 * refused ones behind it when nothing else waits. */
uint64_t ring_settle(struct ring *);
/* How many numbers up to there had no pointer. */
uint64_t ring_dropped(const struct ring *);

#endif
