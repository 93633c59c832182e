/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of a ThingWorx WS EMS (config.json) as one of cleat-agent,
 * and its http_server as a listener of cleatd.  What of it is weak, has no
 * counterpart or cannot be understood is reported, a line each; no line has a
 * value that may be a secret.  Reads and writes no file but the keys that
 * secrets are encrypted with.  Thread: main only.
 */
#ifndef CT_CTL_WSEMS_H
#define CT_CTL_WSEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define WSEMS_FILE_MAX (1u << 20)
#define WSEMS_WHY_SIZE 512
#define WSEMS_LINES_MAX 500		/* of the report; the rest is counted */

enum wsems_kind {
	WSEMS_WEAKENED,
	WSEMS_LOST,			/* no counterpart */
	WSEMS_UNKNOWN,
	WSEMS_WRONG,			/* cannot be understood or written */
	WSEMS_CHANGED,			/* taken, but not as it stands there */
	WSEMS_KINDS
};

struct wsems_opts {
	bool listener;			/* take over http_server, too */
	const char *endpoint;		/* NULL: auto_bind says it */
	const char *state_dir;		/* of the agent; NULL: none */
	/* Keys that secrets are encrypted with; NULL: they stay plain. */
	const char *agent_key, *daemon_key;
};

struct wsems {
	struct text agent;		/* a file of options */
	struct text listener;		/* of cleat.conf; may be empty */
	struct text report;		/* lines "KIND: SETTING: text\n" */
	unsigned count[WSEMS_KINDS];
	bool agent_plain, listener_plain;	/* a secret stands in it */
};

/*
 * n bytes, JSON that may have comments of C and C++.  *ret is to be ended with
 * wsems_fini() also on failure: -EINVAL with why[WSEMS_WHY_SIZE]: it is no
 * JSON; the errors of secret_encrypt(), with why; -ENOMEM.
 */
int wsems_import(const char *p, size_t n, const struct wsems_opts *, char *why,
    struct wsems *ret);
void wsems_fini(struct wsems *);	/* wipes */

#endif
