/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel rig with a real store under it and the tables of commands and
 * reports; its protocol writes down what it is asked.  "dev-1" is online, as
 * `client`.  One thread, beside the store's.
 */
#ifndef CT_TEST_PRODUCT_RIG_H
#define CT_TEST_PRODUCT_RIG_H

#include "channel/command.h"
#include "channel/telemetry.h"
#include "channel/wake.h"
#include "channel_rig.h"
#include "store/store.h"

#define PRODUCT_LOG 512

struct product {
	struct rig rig;
	struct rig_client client, other;
	struct store *store;
	struct telemetry_table *telemetry;
	struct command_table *commands;
	struct command_rules rules;
	const struct wake_net *net;
	char path[256];			/* of the database */

	/* What the protocol was asked, in order: "c-1", "c-1 again",
	 * "cancel c-1", "drain". */
	char asked[PRODUCT_LOG][100];
	unsigned asked_n;
	char verb[80], args[300];	/* of the last command */
	uint32_t window_ms;
	int command_error;		/* what it answers */
	unsigned command_errors;	/* so often; 0: always */
	/* Completions. */
	struct channel_completion done;
	unsigned done_n;
	uint64_t telemetry_seq;		/* of the last hello */
	/* Answers to the operator. */
	struct command_added added;
	unsigned added_n;
	char why[256];
};

void product_start(struct product *);
void product_stop(struct product *);
/* Beside it the next process of an upgrade: the same database, nobody is there,
 * its tables are empty and its store does not run. */
void product_start_next(struct product *, const struct product *former);
/* Who is at rest is read, and the store runs. */
void product_load(struct product *);
void product_stop_both(struct product *next, struct product *former);
/* As after kill -9: another daemon with the database as it is now. */
void product_restart(struct product *);
/* What waits is stored, and told. */
void product_settle(struct product *);
/* The disk stalls: what is submitted from now on waits. */
void product_hold(struct product *);
/* It goes on; error: what has waited is not stored. */
void product_release(struct product *, bool error);
struct channel *product_channel(struct product *);	/* of the last dial */
void product_connect(struct product *, struct rig_client *, const char *id);
/* Adds a `message` (or verb, args) for dev-1; what command_add() returns. */
int product_add(struct product *, const char *id);
int product_add_verb(struct product *, const char *endpoint, const char *id,
    const char *verb, const char *args);
int product_cancel(struct product *, const char *id);
int product_outcome(struct product *, const char *id,
    enum store_command_state);
/* In the store; -1: not there. */
int product_state(struct product *, const char *id);
const char *product_message(struct product *, const char *id);
/* How many events of this type there were. */
unsigned product_events(struct product *, enum event_type);

#endif
