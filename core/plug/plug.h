/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All plugin instances of the daemon: what the sections [plugin.NAME] ask for,
 * loaded, opened, started, reloaded and ended.  This header is all that daemon/
 * needs of plug/.
 *
 * A protocol instance lives once on each network worker; an instance of the
 * other kinds has a worker (thread) of its own.  Functions are for the main
 * thread unless they say otherwise; those that wait for an instance's thread
 * must not be called on a worker.
 *
 * Order: plugs_new, plugs_start (or plugs_start_core, later
 * plugs_start_status), any number of (plugs_prepare, then plugs_commit or
 * plugs_discard), plugs_stop, plugs_free.
 */
#ifndef CT_PLUG_H
#define CT_PLUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel_protocol;
struct channel_worker;
struct cleat_metric;
struct conf;
struct event;
struct event_bus;
struct plugs;
struct plugs_staged;
struct tls_cred;
struct worker;

#define PLUG_WHY_SIZE 512

enum plug_challenge_kind {
	PLUG_CHALLENGE_HTTP,		/* ACME http-01, RFC 8555 8.3 */
	PLUG_CHALLENGE_ALPN		/* ACME tls-alpn-01, RFC 8737 */
};

struct plug_challenge {
	enum plug_challenge_kind kind;
	const char *key;		/* token, or server name */
	const char *body;		/* HTTP: what is served */
	struct tls_cred *cred;		/* ALPN: the hook takes a reference */
	/* To be called once, on any thread, when every worker serves it (0) or
	 * it could not be done; not when put() returned an error; always
	 * before plugs_free(). */
	void (*done)(void *arg, int result);
	void *arg;
};

/*
 * What instances cause and daemon/ carries out.  Called on an instance's
 * thread, also while plugs_start(), plugs_prepare() or plugs_commit() waits for
 * it, so a hook must not wait for the main thread; none is called
 * after plugs_stop().
 */
struct plug_hooks {
	void *ctx;
	/* The checked credential of a slot, for new handshakes, in place of
	 * what the instance `source` had there; `beside`: only of what it had
	 * with this kind of key.  Takes a reference of its own.
	 * 0; -ENOENT unknown slot; -ENOMEM. */
	int (*cred_put)(void *ctx, const char *slot, const char *source,
	    struct tls_cred *, bool beside);
	/* No new credential for the slot; what is in service stays.  It has
	 * been logged and published already. */
	void (*cred_failed)(void *ctx, const char *slot, const char *why);
	/* Everything in it is valid during the call.  0 (done() follows),
	 * -EAGAIN the workers are not there yet, -EINVAL, -ENOSPC, -ENOMEM. */
	int (*challenge_put)(void *ctx, const struct plug_challenge *);
	/* Token or server name; unknown ones are fine. */
	void (*challenge_remove)(void *ctx, const char *key);
	/* Every metric of the daemon, for status instances; those of one name
	 * follow each other.  Has a context of its own.  May be NULL. */
	int (*metrics)(void *metrics_ctx, void (*fn)(void *arg,
	    const struct cleat_metric *), void *arg);
	void *metrics_ctx;
};

struct plug_deps {
	struct event_bus *bus;		/* may be NULL in tests */
	uint64_t epoch;
	/* Modules named without a '/'; NULL or "": as installed. */
	const char *plugin_dir;
	const char *state_dir;		/* instances get plugins/NAME
					 * below it */
	/* By worker index.  Both arrays are kept, not copied: `channels` may be
	 * filled after plugs_new(), but before plugs_start(). */
	struct worker *const *workers;
	struct channel_worker *const *channels;
	unsigned workers_n;
	struct plug_hooks hooks;
};

/*
 * Loads each module, checks the options, makes the instances (life.open).  A
 * required instance that fails makes it fail, with one line in
 * why[PLUG_WHY_SIZE]; any other is logged, published as plugin.failed and left
 * out.  -EINVAL (configuration), -ENOENT, -EACCES, … , -ENOMEM.
 */
int plugs_new(const struct plug_deps *, struct conf *, char *why,
    struct plugs **ret);
/* For --check-config: modules and options, no instance is made.  Calls `path`
 * for each path that an option names. */
int plugs_check(const char *plugin_dir, struct conf *,
    void (*path)(const char *instance, const char *option, const char *path),
    char *why);
/* life.start of each: statuses, then protocols, then certificate sources (which
 * publish their first credentials in it).  Workers run.  As plugs_new. */
int plugs_start(struct plugs *, char *why);
/* The same in two steps, for a process that takes over from another: protocols
 * and certificate sources; and the statuses, which may want addresses that the
 * former process has until then.  The second may be called again, for those
 * that are behind a required one that failed. */
int plugs_start_core(struct plugs *, char *why);
int plugs_start_status(struct plugs *, char *why);
/* life.stop and life.close of each, in the opposite order; the threads of
 * instances end, and sign requests that wait or come are answered with an
 * error. The workers still run (or have never), but have closed their channels.
 * Idempotent. */
void plugs_stop(struct plugs *);
/* Unloads the modules.  After plugs_stop(), when no credential of theirs is
 * left and the bus' tap is silent. */
void plugs_free(struct plugs **);

/* What no reload does: the next process reads its configuration as a start
 * does, and takes the channels over. */
#define PLUG_NEEDS_RESTART "needs a restart, or cleatctl upgrade"

/*
 * Reload.  prepare: the sections, modules and the restart options must be as
 * they were (else -EINVAL; why names the key and says "needs a restart"), the
 * options must be valid, and each instance, on every worker, must accept them.
 * -EINVAL or what the instance returned, with why; nothing has changed then.
 */
int plugs_prepare(struct plugs *, struct conf *, char *why,
    struct plugs_staged **ret);
void plugs_commit(struct plugs_staged **);
void plugs_discard(struct plugs_staged **);

/*
 * The protocol for an upgrade request: by subprotocol (the first one offered
 * that anybody answers to), else by path, else the listener's default instance
 * (NULL: none).  *ret_subprotocol is the one to answer with, or NULL.  NULL:
 * nobody. Worker's thread.
 */
struct channel_protocol *plugs_route(struct plugs *, unsigned worker,
    const char *const *subprotocols, const char *path,
    const char *default_instance, const char **ret_subprotocol);
/* A worker's half of a protocol instance, or NULL.  Worker's thread. */
struct channel_protocol *plugs_protocol(struct plugs *, unsigned worker,
    const char *instance);

/* The bus' tap: copies the event for each status instance.  Bus' thread,
 * between plugs_new() and plugs_free(). */
void plugs_event(struct plugs *, uint64_t seq, const struct event *,
    const char *json, size_t n);
/* Whether there is a status instance that gets it.  As above. */
bool plugs_want_events(const struct plugs *);

/* One instance, for the counters. */
struct plug_info {
	const char *instance, *module;
	bool up;
	uint64_t slow;			/* ops that took over 50 ms */
	uint64_t lost;			/* events a slow status did not get */
	uint64_t signs, sign_failures;
};
/* The i-th; false behind the last.  Any thread. */
bool plugs_info(const struct plugs *, unsigned i, struct plug_info *ret);

#endif
