/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets: so many a second, and so many at once.  One alone (a
 * listener's), and one for each address in fixed memory.  Any thread.
 */
#ifndef CT_NET_RATE_H
#define CT_NET_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

struct rate_limit {
	uint32_t rate;			/* tokens a second; 0: no limit */
	uint32_t burst;			/* tokens of a full bucket,
					 * 1 at least */
};

/* When the bucket is full again, as clock_mono_ms() but in ns; begins as 0. */
struct rate {
	_Atomic uint64_t full_ns;
};

/* Takes a token.  false: there is none.  Clocks of several threads may differ a
 * little. */
bool rate_take(struct rate *, const struct rate_limit *, uint64_t now_ms);

/* Of addresses; the fullest bucket of its place is forgotten for a new one, so
 * that who has many addresses gains a burst for each, and no memory. */
struct rate_table;

int rate_table_new(uint64_t seed, struct rate_table **ret);	/* -ENOMEM */
void rate_table_free(struct rate_table **);
bool rate_table_take(struct rate_table *, const struct addr *,
    const struct rate_limit *, uint64_t now_ms);

#endif
