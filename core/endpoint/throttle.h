/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often something failed lately, by key, in fixed memory: buckets that
 * refill with time, two for each key, in two rows.  A key that shares one of
 * its places with another is told from it by the other one; only who shares
 * both is treated more strictly, and nobody more laxly.  Begins as zeroes and
 * a salt.
 * Thread: the owner's lock.
 */
#ifndef CT_ENDPOINT_THROTTLE_H
#define CT_ENDPOINT_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_ROWS 2
#define THROTTLE_PLACES 2048		/* of a row */

struct throttle {
	uint64_t salt;			/* so that nobody can aim at a place */
	struct throttle_place {
		uint64_t at_ms;		/* when `used` was right */
		uint32_t used;		/* in 1/1024 of a try */
	} row[THROTTLE_ROWS][THROTTLE_PLACES];
};

/* Whether `key` has used up its `per_minute`. */
bool throttle_full(struct throttle *, const char *key, uint32_t per_minute,
    uint64_t now_ms);
/* One more failure. */
void throttle_count(struct throttle *, const char *key, uint32_t per_minute,
    uint64_t now_ms);

#endif
