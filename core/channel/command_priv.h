/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the commands share. */
#ifndef CT_CHANNEL_COMMAND_PRIV_H
#define CT_CHANNEL_COMMAND_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/strtab.h"
#include "channel/channel_priv.h"
#include "channel/command.h"
#include "channel/completion.h"

#define WHY_SIZE 256
#define COMMAND_RELAY_OF "relay of "	/* how `by` of a relayed wake begins */

enum command_kind {
	COMMAND_FOR_DEVICE,
	COMMAND_WAKE,			/* the daemon's to do, see wake.h */
	COMMAND_RELAYED			/* a wake that a neighbour is to do */
};

/* Commands of one endpoint that have no outcome yet. */
struct command_queue {
	struct strtab_node node;
	struct list commands;		/* stored ones, in their order */
	uint32_t n;			/* with those that are being stored */
	bool stalled;			/* the sweep has to look at it */
	uint64_t later_on;		/* this channel has no room for more, */
	uint64_t later_ms;		/* monotonic: until then */
	char endpoint[];
};

struct command {
	struct strtab_node node;	/* by id */
	struct list link;		/* queue->commands */
	struct list all;
	struct command_queue *queue;
	uint64_t order;
	uint64_t sent_on, cancel_on;	/* channel; 0: on none */
	uint64_t progress_ms;		/* monotonic, of the last event */
	int64_t deadline_ms;		/* wall */
	enum command_kind kind;
	bool storing;			/* not durable yet */
	bool accepted;			/* the device has recorded it */
	bool sent;			/* it may have reached a device */
	bool cancelling;		/* the device is asked to give it up */
	bool ending;			/* a job decides its outcome */
	bool waking;			/* WAKE: somebody is at it */
	bool accepting;			/* a job stores that it was accepted */
	bool received;			/* not seen in the store yet */
	const char *verb, *args, *by;	/* in text, behind the id */
	char text[];
};

struct command_table {
	pthread_mutex_t lock;		/* guards all below */
	struct strtab by_id, queues;
	struct list all;
	int64_t next_deadline;		/* at most the first one */
	uint64_t made;			/* ids */
	uint32_t wakes;			/* of kind WAKE, for the sweep */
	uint32_t stalled;		/* queues */
	struct command_rules rules;
	_Atomic uint64_t refused[COMMAND_REFUSALS];
	struct command_deps deps;	/* constant, as is the next */
	struct channel_worker *const *workers;	/* NULL: none run yet */
};

/* A job about one command; freed when all is told. */
struct command_job {
	struct store_job job;
	struct completion completion;	/* if has_completion */
	struct mail mail;		/* to the worker that delivers */
	struct command_table *table;
	struct channel_worker *worker;
	struct command_added *added;	/* NULL: nobody waits */
	uint64_t channel;
	bool has_completion;
	bool from_device;		/* endpoint and deadline are checked */
	bool unsent_only;		/* ends nothing that a device
					 * may have */
	bool decided;			/* this job wrote the outcome */
	enum store_command_state to, final;
	uint64_t order;			/* of a new one */
	char id[COMMAND_ID_MAX + 1];
	char endpoint[ENDPOINT_ID_MAX + 1];
	char verb[COMMAND_VERB_MAX + 1];
	const char *message, *result;	/* in text */
	char text[];
};

/* command_table.c, all under the lock.  NULL: there is none. */
struct command *command_find(struct command_table *, const char *id);
struct command_queue *command_queue_find(struct command_table *,
    const char *endpoint);
/* Adds one that is not in its queue yet.  -ENOMEM. */
int command_insert(struct command_table *, const struct store_command *,
    enum command_kind, struct command **ret);
/* It is durable: from now on it is delivered. */
void command_enqueue(struct command *, uint64_t order);
/* With its queue if that is empty then. */
void command_remove(struct command_table *, struct command *);

/* The sweep has its channel look at the queue again. */
void command_stall(struct command_table *, struct command_queue *);

/* command.c */
struct command_job *command_job_new(struct command_table *, const char *id,
    const char *message, const char *result);
void command_job_free(struct command_job *);
/* The answer to who waits for it, if anybody does. */
void command_answer(struct command_job *, int error);
/* The job's memory becomes mail to the endpoint's worker: look at the queue. */
void command_look(struct command_job *);
void command_publish(struct command_table *, enum event_type,
    const char *endpoint, const char *id, const char *verb,
    const char *key, const char *value, const char *message);
/* Adds one without asking whether the operator may; see command_add(). */
int command_put(struct command_table *, const struct command_request *,
    enum command_kind, char *why, struct command_added *);

/* command_end.c: decides the outcome by a job.  Not under the lock; from_device
 * and completion as set in the job, which is taken over in any case.
 * 0, -EAGAIN, -ENOENT it is not open (in memory), or not for this job
 * to end. */
int command_end(struct command_job *, enum store_command_state);
/* The same without a job at hand. */
int command_end_with(struct command_table *, const char *id,
    enum store_command_state, const char *message);

/* wake.c: does a command of kind WAKE, or what can be done now.  Not under the
 * lock. */
void wake_try(struct command_table *, const char *id);
/* A relayed one has ended. */
void wake_relay_ended(struct command_table *, const char *by,
    enum store_command_state, const char *endpoint);

#endif
