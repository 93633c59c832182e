/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket with a real store and real tables under it, but no
 * channels: its loop is turned by the test, so that only the store's and the
 * bus' threads run beside it.  Clients are sockets; whoever runs the test is
 * an operator.
 */
#ifndef CT_TEST_CONTROL_RIG_H
#define CT_TEST_CONTROL_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/channel.h"
#include "control/control_priv.h"
#include "plug/plug_priv.h"

struct control_rig {
	struct event_bus *bus;
	struct store *store;
	struct endpoint_table *endpoints;
	struct identity *identity;
	struct telemetry_table *telemetry;
	struct command_table *commands;
	struct channel_counters channels;
	struct plugs plugs;		/* none */
	_Atomic(struct control *) control;
	struct control_deps deps;
	struct control_rules rules;
	char path[160];			/* of the socket */
	char database[160];

	/* What the main thread says to errands. */
	int errand_error;
	unsigned errands;
	char servers[200];		/* of the last drain */
	uint32_t window_ms;
	char binary[200];		/* of the last upgrade */
	struct control_upgrade upgrade;	/* what is told of it */
	unsigned replaced;		/* files on the disk */
	enum control_phase phase;
};

struct control_answer {
	unsigned status;		/* 0: the connection ended instead */
	char head[4096];
	char *body;			/* NUL behind; control_answer_free() */
	size_t body_n;
	json_t *json;			/* NULL: no body */
};

/* Fills the rules with what a test may change before it starts. */
void control_rig_init(struct control_rig *);
void control_rig_start(struct control_rig *);
void control_rig_stop(struct control_rig *);
/* One turn; waits a millisecond if there is nothing to do. */
void control_rig_turn(struct control_rig *);
/* Until all events have been taken and nothing is out. */
void control_rig_settle(struct control_rig *);
/* A connection that is adopted. */
int control_rig_dial(struct control_rig *);
/* From now on all who are connected have this role. */
void control_rig_role(struct control_rig *, enum control_role);
void control_rig_send(struct control_rig *, int fd, const char *);
/* The next answer with a length; 10 s of real time.  A problem is checked to
 * be one (RFC 9457 3). */
void control_rig_answer(struct control_rig *, int fd,
    struct control_answer *ret);
void control_answer_free(struct control_answer *);
/* Appends the bytes that come, as text; waits until `part` is among them.
 * false: the end. */
bool control_rig_text(struct control_rig *, int fd, char *to, size_t cap,
    const char *part);

/* One request on a connection of its own; body NULL: none. */
void control_rig_ask(struct control_rig *, const char *method,
    const char *target, const char *body, struct control_answer *ret);
/* The same; the status.  *ret_kind (32 bytes, or NULL): of a problem, or "". */
unsigned control_rig_status(struct control_rig *, const char *method,
    const char *target, const char *body, char *ret_kind);

#endif
