/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to try again: full jitter over a window that doubles, so that a fleet does
 * not come back at once (product story: teleport#6889).  Pure: randomness and
 * what happened come in, milliseconds come out.
 */
#ifndef CT_CLIENT_BACKOFF_H
#define CT_CLIENT_BACKOFF_H

#include <stdint.h>

#define BACKOFF_SUPERSEDED_MS 60000	/* at least, after 4003 */

struct backoff {
	uint32_t min_ms, max_ms;	/* the server's hint replaces ours */
	uint32_t window_ms;		/* of the next attempt; 0: the first */
};

void backoff_init(struct backoff *, uint32_t min_ms, uint32_t max_ms);
/* A hello was accepted: the next failure starts small again. */
void backoff_succeeded(struct backoff *, uint32_t hint_min_ms,
    uint32_t hint_max_ms);

/*
 * Milliseconds to wait after an end with close code `code` (1006: none came).
 * 1012 (restart), 1013 (try later) and refusals (4001, 4004, 4005) spread over
 * the whole hint at once; 4003 (superseded) waits at least a minute, lest two
 * devices of one identity fight.
 * `random` is any 32 random bits.
 */
uint32_t backoff_next(struct backoff *, uint16_t code, uint32_t random);

#endif
