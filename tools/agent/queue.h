/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry that the server does not have yet: a bounded file, numbered without
 * gaps, that survives a power cut (doc/protocol.md, "telemetry").  When it is
 * full the oldest goes, and is counted.  Blocking; one owner.
 */
#ifndef CT_AGENT_QUEUE_H
#define CT_AGENT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct queue;

/* `max_bytes` of data in it.  -errno, -ENOMEM. */
int queue_open(const char *path, size_t max_bytes, struct queue **ret);
void queue_close(struct queue **);

/* One line of JSON.  Durable after queue_sync().  -EMSGSIZE alone more than
 * max_bytes; -ERANGE there are no more numbers; -errno, -ENOMEM. */
int queue_add(struct queue *, const char *json);
int queue_sync(struct queue *);

/* The server's last number at hello: the first time, ours go on from it.  1: it
 * has more than we ever sent, and what waits has other numbers now.  -ERANGE:
 * no server gets there; -errno, -ENOMEM. */
int queue_start(struct queue *, uint64_t server_seq);
/* The first with a number above `seq`: its number, 0 if there is none (or
 * queue_start() was never called); *ret_json to be freed. */
uint64_t queue_after(struct queue *, uint64_t seq, char **ret_json);
/* The server has everything up to there. */
int queue_stored(struct queue *, uint64_t seq);

size_t queue_count(const struct queue *);
uint64_t queue_dropped(const struct queue *);	/* since the start */

#endif
