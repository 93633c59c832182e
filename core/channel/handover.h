/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live channels on their way to the next process (decision 0015), in batches:
 * what is open is taken out of its worker's loop and written down, and either
 * forgotten here, when the other side has it, or put back as it was.  With a
 * channel goes all that is known of its endpoint: presence, open commands, last
 * telemetry number.  Who has no live channel is read from the store over there.
 *
 * Between the two is who carries the bytes and the descriptors
 * (daemon/upgrade).  All functions: on the thread of the worker they name.
 */
#ifndef CT_CHANNEL_HANDOVER_H
#define CT_CHANNEL_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel_worker;
struct handover_batch;
struct handover_arrivals;

/* SCM_RIGHTS takes so many, and not one more. */
#define HANDOVER_MAX 253
/* A batch is closed when it has that many bytes; one channel may have more. */
#define HANDOVER_BYTES ((size_t)4 << 20)

/* While it is on, no hello is heard: nobody becomes known in a process that
 * does not know everybody.  The next process has it on before the first batch
 * and until identities and who is at rest are read; then whose credential does
 * not hold any more is closed (4005). */
void handover_hold(struct channel_worker *, bool on);

/* ---- from here --------------------------------------------------------- */

/* Takes up to `max` channels that can go just now.  0 with *ret NULL: there are
 * none (handover_left() says whether some are worth waiting for).  -ENOMEM.
 * While hold is on, the input of those that cannot waits until they have gone,
 * or until its end. */
int handover_take(struct channel_worker *, unsigned max,
    struct handover_batch **ret);
/* Those that are here and may still become able to go. */
size_t handover_left(const struct channel_worker *);
unsigned handover_count(const struct handover_batch *);
/* Live as long as the batch. */
const uint8_t *handover_bytes(const struct handover_batch *, size_t *ret_n);
const int *handover_fds(const struct handover_batch *);
/* The other side has them, but those marked in refused[] (by place; NULL: all):
 * they are forgotten and their descriptors closed.  The refused ones go on here
 * and are closed with 1012.  -> how many those are. */
unsigned handover_go(struct handover_batch **, const uint8_t *refused);
/* It has not: all go on here. */
void handover_back(struct handover_batch **);

/* ---- there ------------------------------------------------------------- */

/* Makes channels of a batch that are not in the loop yet.  ret_refused[fds_n]:
 * 1 for each that could not be made; its descriptor is closed.  -EINVAL: the
 * bytes are no batch of fds_n channels; -ENOMEM; all descriptors stay the
 * caller's then. */
int handover_arrive(struct channel_worker *, const uint8_t *p, size_t n,
    const int *fds, unsigned fds_n, uint8_t *ret_refused,
    struct handover_arrivals **ret);
/* They are ours alone now. */
void handover_begin(struct handover_arrivals **);
/* They are not: their descriptors are closed here, which ends no connection
 * that the former still has, and their endpoints are read from the store. */
void handover_abandon(struct handover_arrivals **);
/* The number of the newest channel; and those above which new ones here begin,
 * with room for 2^32 of which the former did not know yet when it was asked. */
uint64_t handover_last_id(const struct channel_worker *);
void handover_first_id(struct channel_worker *, uint64_t above);

/* What both sides must agree on: the layout of what is written here.  Stream,
 * record state and sessions have versions of their own: a first batch that is
 * refused for them is taken back. */
uint64_t handover_layout(void);

#endif
