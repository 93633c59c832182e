/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections there are, in all and by address, channels included, and
 * whether one more may come.  An IPv6 address counts by its /64, because a
 * customer has at least that many of them; unix peers count in all only.
 * Thread: any; the one lock guards the table and is never held
 * across a call out.
 */
#ifndef CT_NET_ADMISSION_H
#define CT_NET_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct admission;

int admission_new(uint32_t limit, uint32_t per_address,
    struct admission **ret);	/* -ENOMEM */
/* Everything must have been given back. */
void admission_free(struct admission **);
/* What is over a new limit stays; nothing more comes until it is below. */
void admission_set_limits(struct admission *, uint32_t limit,
    uint32_t per_address);

/* How fast connections of one address may come; 0: no limit. */
void admission_set_rate(struct admission *, uint32_t rate, uint32_t burst);
/* Whether one more may come now.  It counts as one. */
bool admission_pass(struct admission *, const struct addr *, uint64_t now_ms);

/* A place for one more connection.  -EUSERS: none is left. */
int admission_enter(struct admission *);
/* Counts it for its address too.  -EDQUOT: too many from there; -ENOMEM. */
int admission_claim(struct admission *, const struct addr *);
/* One that the former process let in: both, over the limits too.  -ENOMEM. */
int admission_receive(struct admission *, const struct addr *);
/* Gives the place back, and what was claimed for `a` (NULL: nothing was). */
void admission_leave(struct admission *, const struct addr *a);

bool admission_full(const struct admission *);	/* lock-free */
/* Tests only. */
size_t admission_count(const struct admission *);	/* lock-free */
size_t admission_of(struct admission *, const struct addr *);

#endif
