/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that have no outcome yet, a queue for each endpoint (decision 0014):
 * accepted when stored, delivered in their order to the endpoint's live
 * channel, again after every reconnect until an outcome is stored, expired by
 * the clock.
 * Thread: any; one mutex, held briefly, never across a callback.
 */
#ifndef CT_CHANNEL_COMMAND_H
#define CT_CHANNEL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "store/commands.h"
#include "store/store.h"

struct channel_worker;
struct command_table;
struct endpoint_table;
struct event_bus;
struct telemetry_table;
struct wake_net;

#define COMMAND_ID_MAX ID_WORD_MAX
#define COMMAND_VERB_MAX ID_WORD_MAX

struct command_rules {
	uint32_t queue_max;		/* open ones of one endpoint */
	uint32_t open_max;		/* in all */
	uint32_t args_max;		/* bytes */
	uint64_t deadline_max_ms;
};

/* What to reach a device by, and where to keep it. */
struct command_deps {
	struct store *store;
	struct endpoint_table *endpoints;
	struct event_bus *bus;
	struct telemetry_table *telemetry;	/* where sleepers are */
	const struct wake_net *net;	/* NULL: the real one */
};
/* None is open yet.  -ENOMEM. */
int command_table_new(const struct command_deps *,
    const struct command_rules *, struct command_table **ret);
/*
 * Reads those that are open, before store_start().  Of those that are known
 * already (command_receive()) only what became of them since is taken.  What
 * the live channel of its endpoint has not been told yet is looked at by the
 * next sweep.  why[256] on failure: -ENOMEM, the store's.
 */
int command_table_load(struct command_table *, char *why);
void command_table_free(struct command_table **);
/* By index; before they run.  The array outlives the table's use. */
void command_table_set_workers(struct command_table *,
    struct channel_worker *const *);
void command_table_set_rules(struct command_table *,
    const struct command_rules *);

struct command_request {
	const char *endpoint, *verb, *args;	/* args: a JSON object */
	const char *id;			/* "" make one */
	const char *by;
	int64_t deadline_ms;		/* wall */
};
/* The answer to command_add() and command_cancel(), on the loop of `home`; the
 * caller's, who keeps it until then. */
struct command_added {
	void (*fn)(struct command_added *);
	struct mailbox *home;
	struct mail mail;		/* the table's */
	int error;			/* 0: it is durable */
	char id[COMMAND_ID_MAX + 1];
};
/* 0: fn will be called (error: -EEXIST the id is taken, -ENOSPC, -EIO).
 * -EINVAL (why[256] says what), -ENOENT no such endpoint, -EEXIST, -EDQUOT the
 * queue is full, -EAGAIN the store is busy, -ENOMEM. */
int command_add(struct command_table *, const struct command_request *,
    char *why, struct command_added *);
/* Cancelled at once if the device never had it, else the device is asked, now
 * and after every reconnect.  0: fn will be called when that is durable (error:
 * -ENOENT no such command, -EALREADY it has an outcome, -ENOSPC, -EIO).
 * -EAGAIN, -ENOMEM. */
int command_cancel(struct command_table *, const char *id,
    struct command_added *);

/* Once a second from one thread: what is past its deadline expires. */
void command_table_sweep(struct command_table *, int64_t wall_ms);

/* The operator forgets the endpoint, and the store its commands. */
void command_table_forget(struct command_table *, const char *endpoint);

size_t command_table_open(struct command_table *);	/* in all */

/*
 * The open commands of an endpoint go with its live channel to the next process
 * (handover.h).  table NULL: there are none.  -EBUSY one is on its way to the
 * store; -ENOMEM.
 */
struct pack;
struct unpack;
int command_pass(struct command_table *, const char *endpoint,
    uint64_t channel_id, struct pack *);
/* There.  -EINVAL, -EEXIST, -ENOMEM; what came before that stays. */
int command_receive(struct command_table *, const char *endpoint,
    uint64_t channel_id, struct unpack *);

/* Why commands were not taken; counted. */
enum command_refusal {
	COMMAND_REFUSED_INVALID, COMMAND_REFUSED_ENDPOINT,	/* unknown */
	COMMAND_REFUSED_EXISTS,		/* the id */
	COMMAND_REFUSED_QUEUE,		/* of the endpoint is full */
	COMMAND_REFUSED_OPEN,		/* too many in all */
	COMMAND_REFUSED_BUSY,		/* the store */
	COMMAND_REFUSED_STORE,		/* could not write */
	COMMAND_REFUSED_MEMORY, COMMAND_REFUSALS
};
const char *command_refusal_name(enum command_refusal);
uint64_t command_table_refused(const struct command_table *,
    enum command_refusal);

#endif
