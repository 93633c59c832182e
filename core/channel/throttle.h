/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often something failed lately, by key, in fixed memory: a bucket for each
 * key that refills with time.  Keys that share a place share a bucket, which makes
 * it stricter, never laxer.  Begins as zeroes and a salt.  Thread: the owner's lock.
 */
#ifndef CT_CHANNEL_THROTTLE_H
#define CT_CHANNEL_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_PLACES 4096

struct throttle {
	uint64_t salt;			/* so that nobody can aim at a place */
	struct throttle_place {
		uint64_t at_ms;		/* when `used` was right */
		uint32_t used;		/* in 1/1024 of a try */
	} place[THROTTLE_PLACES];
};

/* Whether `key` has used up its `per_minute`. */
bool throttle_full(struct throttle *, const char *key, uint32_t per_minute,
    uint64_t now_ms);
/* One more failure. */
void throttle_count(struct throttle *, const char *key, uint32_t per_minute,
    uint64_t now_ms);

#endif
