/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again: full jitter over a window that doubles, so that a fleet
 * does not come back at once (product story: teleport#6889).  Pure: randomness
 * and what happened come in, milliseconds come out.  doc/protocol.md, "Closing
 * and reconnecting".
 */
#ifndef CT_CLIENT_BACKOFF_H
#define CT_CLIENT_BACKOFF_H

#include <stdint.h>

#define BACKOFF_SUPERSEDED_MS 60000	/* at least, after 4003 */

struct backoff {
	uint32_t min_ms, max_ms;	/* the server's hint replaces ours */
	uint32_t window_ms;		/* of the last attempt; 0: none */
};

void backoff_init(struct backoff *, uint32_t min_ms, uint32_t max_ms);
/* What the server wants (max_ms 0: nothing); the window stays. */
void backoff_hint(struct backoff *, uint32_t min_ms, uint32_t max_ms);
/* A channel ended after so long: the window starts small again when that is
 * more than max_ms. */
void backoff_lasted(struct backoff *, uint64_t ms);

/*
 * Milliseconds to wait after an end with close code `code` (1006: none came):
 * between 0 and the window.  1012 (restart), 1013 (try later) and 4008 spread
 * over the whole hint at once; refusals (4001, 4004, 4005) wait for max_ms and
 * up to a quarter more; 4003 (superseded) at least a minute, lest two devices
 * of one identity fight.  `random` is any 32 random bits.
 */
uint32_t backoff_next(struct backoff *, uint16_t code, uint32_t random);

/* Somewhere in [from, from + window). */
uint32_t backoff_spread(uint32_t from, uint32_t window, uint32_t random);

#endif
