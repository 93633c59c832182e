/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of cleat-agent share. */
#ifndef CT_AGENT_H
#define CT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../client/cleat-client.h"
#include "base/log.h"
#include "job.h"
#include "journal.h"
#include "queue.h"

#define AGENT_VERBS_MAX 64
/* Commands with the running one, and bytes of their arguments: more than a
 * server that is set up as usual keeps for one endpoint. */
#define AGENT_WAITING_MAX 1024
#define AGENT_WAITING_BYTES (16 * 1024 * 1024)
#define AGENT_TELEMETRY_SENT_MAX 16	/* without an answer: the protocol's */
#define AGENT_LINE_MAX (60 * 1024)	/* of telemetry */
/* The protocol's 32, without the message and its params. */
#define AGENT_DEPTH_MAX 30
#define AGENT_AGAIN_MS 5000		/* after "not just now" */

struct verb {
	char *name, *path;
};

struct agent_opts {
	struct cleat_client_opts client;
	const char *state_dir;
	const char *token_file, *enrol_token_file, *proxy_password_file;
	const char *key_passphrase, *key_passphrase_file;	/* one counts */
	const char *event;		/* sent each time we come online */
	const char *telemetry;		/* FIFO, or "-" */
	uint32_t telemetry_max;		/* bytes */
	const char *inventory;		/* "none", "facts", or a file */
	bool check;			/* only the options, and ends */
	bool plain;			/* the file has a secret as it is */
	bool wake;			/* sends Wake-on-LAN for others */
	enum log_level log_level;
	bool test;			/* try once, tell, and end */
	const char *target;		/* of the test; NULL: client.server */
	bool hello, json;
	uint32_t timeout_s;		/* 0: not told */
	struct verb verbs[AGENT_VERBS_MAX];
	size_t verbs_n;
	char *texts[256];		/* of the file; owned */
	size_t texts_n;
};

struct command {
	char id[JOURNAL_ID_SIZE];
	char verb[65];
	char *args;			/* JSON */
	uint64_t deadline_ms;		/* monotonic */
	bool cancelled;
};

/* Telemetry that was sent and is not settled. */
struct flight {
	struct agent *a;
	uint64_t seq;			/* 0: a free place */
	int code;			/* of the refusal; 0: no answer yet */
	char why[96];
};

struct agent {
	const struct agent_opts *opts;
	struct cleat_client *client;
	int signals;

	/* commands.c */
	struct journal *journal;	/* NULL: no state directory */
	struct command *waiting;	/* [0] runs */
	size_t waiting_n, waiting_cap;
	size_t waiting_bytes;		/* of their arguments */
	struct job job;
	bool powering;			/* [0] waits until its outcome
					 * is told */
	uint64_t power_ms;		/* but not longer than until then */
	uint64_t outcome_ms;		/* not to be sent again before */
	uint64_t progress_ms;		/* the last one */

	/* telemetry.c */
	struct queue *queue;		/* NULL: no telemetry */
	int input;			/* -1: none */
	char *line;			/* AGENT_LINE_MAX */
	size_t line_n;
	bool skipping;			/* the rest of a line that is
					 * too long */
	uint64_t sent_seq;		/* on this channel */
	uint64_t stored_seq;		/* the server's */
	uint64_t top_seq;		/* sent on this channel, or its */
	unsigned in_flight, refused_n;
	struct flight flights[AGENT_TELEMETRY_SENT_MAX];
	uint64_t refused;		/* for good, since the start */
	uint64_t telemetry_ms;		/* not to be sent before */
};

#define AGENT_GO_ON (-1)
#define AGENT_USAGE 2			/* cleat-agent(1), EXIT STATUS */

/* options.c.  AGENT_GO_ON, or the exit status of the program, said. */
int agent_options(int argc, char **argv, struct agent_opts *);
void agent_options_free(struct agent_opts *);

/* main.c: reads what the options name; the token only if it is `wanted`.
 * -errno, logged. */
int agent_read_secrets(struct agent_opts *, bool token_wanted);
void agent_wipe_secrets(struct agent_opts *);
/* The key in the state directory, if nothing else proves who we are; into
 * path[4096], which must stay. */
void agent_default_identity(struct agent_opts *, char *path);

/* test.c: the exit status of the program. */
int agent_test(struct agent_opts *);

/* commands.c */
int agent_commands_init(struct agent *);
void agent_commands_fini(struct agent *);
int agent_request(struct agent *, const char *method, const char *params);
void agent_commands_online(struct agent *);
/* After each turn of the loop. */
void agent_commands_tick(struct agent *, uint64_t now_ms);
uint64_t agent_commands_due(const struct agent *);	/* UINT64_MAX never */

/* telemetry.c */
int agent_telemetry_init(struct agent *);
void agent_telemetry_fini(struct agent *);
void agent_telemetry_read(struct agent *);
void agent_telemetry_hello(struct agent *, uint64_t server_seq);
void agent_telemetry_tick(struct agent *, uint64_t now_ms);
uint64_t agent_telemetry_due(const struct agent *);

/* facts.c: JSON text of the inventory, to be freed; NULL: none. */
char *agent_inventory(const char *how);

/* wake.c: 0, -EINVAL no such MAC or address, -errno. */
int agent_wake(const char *mac, const char *address);

#endif
