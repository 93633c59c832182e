/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of `struct plugs`, for the files of plug/ alone.  The list of
 * instances is made by plugs_new() and does not change until plugs_free(): any
 * thread may walk it and look at an instance's state.
 */
#ifndef CT_PLUG_PLUG_PRIV_H
#define CT_PLUG_PLUG_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/timer.h"
#include "base/worker.h"
#include "plug/plug.h"

struct plug_inst;

#define PLUG_SIGN_TIMEOUT_MS 10000u

struct plugs {
	struct plug_deps deps;
	char *plugin_dir, *state_dir;
	struct plug_inst *first;
	bool stopped;
	/* Ends sign requests that nobody answers: a source that blocks cannot
	 * do it on its own thread.  Runs only if there are sources. */
	struct worker watch;
	bool has_watch;
	struct timer watch_timer;
	struct mail watch_mail;
	_Atomic bool watch_posted;
};

/* A sign request waits: have the watch look at it.  Any thread. */
void plugs_watch(struct plugs *);

/* What sections say about instances: a slot's source is a certificate source, a
 * listener's default a protocol.  -EINVAL with why. */
int plugs_check_refs(const struct plugs *, const struct conf *, char *why);
struct plug_inst *plugs_find(const struct plugs *, const char *name);

/* Writes one line into why[PLUG_WHY_SIZE]; returns err. */
int plug_why(char *why, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
