/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket (decision 16 of the architecture, doc/openapi.json):
 * HTTP and JSON for operators over a unix socket, on a thread and a
 * libmicrohttpd daemon of its own.  Who connects is known by SO_PEERCRED.
 * Nothing of it is reachable on a device's listener, and no handler blocks
 * its loop: what needs the store or the main thread suspends the request
 * until the answer is in the mailbox.
 *
 * Functions are for the main thread unless they say otherwise.
 */
#ifndef CT_CONTROL_H
#define CT_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"

struct cert_facts;
struct channel_counters;
struct command_table;
struct conf;
struct control;
struct endpoint_table;
struct event;
struct event_bus;
struct identity;
struct plugs;
struct store;
struct telemetry_table;
struct tls_trust;

#define CONTROL_WHY_SIZE 512
#define CONTROL_WHO_MAX 64

enum control_role { CONTROL_NOBODY, CONTROL_VIEWER, CONTROL_OPERATOR };

struct control_who {
	bool group;
	uint32_t id;			/* uid or gid */
};

/* What [control] says; changed by a reload. */
struct control_rules {
	struct control_who operators[CONTROL_WHO_MAX];
	struct control_who viewers[CONTROL_WHO_MAX];
	unsigned operators_n, viewers_n;
	bool anyone_views;		/* who can connect */
	uint32_t connections, streams;	/* at a time */
	uint32_t request_max;		/* bytes of a body */
	uint32_t stream_max;		/* bytes that wait for a slow reader */
	uint32_t timeout_ms;		/* to send a request, to take
					 * an answer */
};
/* Looks up the names: blocking.  -EINVAL with why[CONTROL_WHY_SIZE]. */
int control_rules_read(const struct conf *, char *why,
    struct control_rules *ret);

/* One certificate in service, as long as the call lasts; or, if not present, a
 * slot without. */
struct control_certificate {
	const char *slot;
	bool present;
	int64_t not_before_ms, not_after_ms;	/* wall; 0 unknown */
	const char *sha256;		/* hex; like all text: NULL none */
	const char *subject, *issuer, *names, *key;
	bool self_signed;
	const char *source;		/* the plugin's instance */
	int64_t live_ms;		/* wall; since when; 0 unknown */
	/* Open channels that began on it, and on one that the slot
	 * served before. */
	uint64_t channels, channels_before;
	const struct cert_facts *chain;	/* as it is sent; NULL unknown */
	size_t chain_n;
	const char *error;		/* the slot's last */
	int64_t error_ms;
};

enum control_errand_kind {
	CONTROL_RELOAD, CONTROL_DRAIN, CONTROL_DRAIN_LOOK, CONTROL_DRAIN_ABORT,
	CONTROL_UPGRADE
};

/* What only the main thread can do.  The asker's until fn. */
struct control_errand {
	enum control_errand_kind kind;
	uint32_t window_ms;		/* drain */
	char servers[4096];		/* comma-separated; "" the same */
	char reason[16];		/* restart, rebalance, moved */
	char binary[4096];		/* upgrade; "": that of this process */
	int error;			/* what came of it */
	char why[CONTROL_WHY_SIZE];	/* if it failed */
	size_t channels;		/* drain: that were there */
	size_t left;			/* look, abort: that still have to go */
	uint64_t remaining_ms;		/* look: of the window */
	bool active, ready;		/* look, abort */
	void *daemon;			/* the hook's */
	struct mail mail;		/* the way there, and the way back */
	void (*fn)(struct control_errand *);	/* on the loop of home */
	void *arg;
	struct mailbox *home;
};

/* Of the last upgrade that was asked for. */
enum control_upgrade_state {
	CONTROL_UPGRADE_NONE, CONTROL_UPGRADE_STARTING, CONTROL_UPGRADE_MOVING,
	CONTROL_UPGRADE_REFUSED
};
struct control_upgrade {
	enum control_upgrade_state state;
	int64_t at_ms;			/* since when; 0 never */
	char why[CONTROL_WHY_SIZE];	/* refused */
};

enum control_phase { CONTROL_STARTING, CONTROL_READY, CONTROL_STOPPING };

/* What daemon/ does for it.  Called on the control thread. */
struct control_hooks {
	void *ctx;
	/* Posts e->mail to the main thread, which carries it out and posts it
	 * to e->home with an fn that calls e->fn. */
	void (*ask)(void *ctx, struct control_errand *);
	/* Calls fn for each slot, or each credential of it. */
	void (*certificates)(void *ctx, void (*fn)(void *arg,
	    const struct control_certificate *), void *arg);
	/* Calls fn for each listener that asks for client certificates, as
	 * credentials_trusts(). */
	void (*trusts)(void *ctx, void (*fn)(void *arg, const char *listener,
	    const struct tls_trust *, const char *error), void *arg);
	enum control_phase (*phase)(void *ctx);
	void (*upgrade)(void *ctx, struct control_upgrade *ret);
	/* Calls fn with each file that the process runs from and that is not on
	 * the disk any more. */
	void (*replaced)(void *ctx, void (*fn)(void *arg, const char *path),
	    void *arg);
};

/* All of it outlives control_stop(). */
struct control_deps {
	const char *path;		/* of the socket; copied */
	/* Not opened but taken from a former process (decision 0015):
	 * control_new() duplicates passed_fd, checks that it listens on `path`,
	 * and leaves the file alone until control_lend(false). */
	bool passed;
	int passed_fd;
	const char *version;
	uint64_t epoch;
	struct event_bus *bus;
	struct store *store;
	struct endpoint_table *endpoints;
	struct command_table *commands;
	struct identity *identity;
	struct telemetry_table *telemetry;
	const struct plugs *plugs;
	const struct channel_counters *channels;
	struct control_hooks hooks;
};

/* Listens; no thread yet.  why[CONTROL_WHY_SIZE].  -EADDRINUSE, -ENOMEM, … */
int control_new(const struct control_deps *, const struct control_rules *,
    char *why, struct control **ret);
int control_start(struct control *);	/* -errno of pthread_create */
/* The listening descriptor, which stays control's: to pass it on.  -1 after
 * control_stop().  Main thread. */
int control_fd(const struct control *);
/* true: another process has the socket too and answers for its file;
 * control_stop() only closes.  false: it is ours.  Main thread. */
void control_lend(struct control *, bool lent);
/* true: until false, or control_stop(), every request that begins gets 503 with
 * Retry-After: a new process takes over.  Those that run, streams and who waits
 * go on.  Waits for the control thread only. */
void control_hold(struct control *, bool on);
/* No request begins any more; errands that are out have to be answered next. */
void control_refuse(struct control *);
/* Waits until nothing is out (the store still runs), answers what waits, ends
 * the thread, closes the socket. */
void control_stop(struct control *);
/* After control_stop(), and when nobody calls control_event() any more. */
void control_free(struct control **);

void control_set_rules(struct control *, const struct control_rules *);

/* The bus' tap: any thread, one at a time; never waits for the
 * control thread. */
void control_event(struct control *, uint64_t seq, const struct event *,
    const char *json, size_t n);

struct control_counters {
	_Atomic uint64_t connections, streams;		/* now */
	_Atomic uint64_t connections_refused, requests, requests_refused;
	_Atomic uint64_t stream_gaps, timeouts;
};
const struct control_counters *control_counters(const struct control *);

#endif
