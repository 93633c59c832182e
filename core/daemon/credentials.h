/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The credentials in service (decision 0005): what sources published, the CA
 * lists of the listeners, the ticket master and ACME challenges become one
 * immutable snapshot, which is sent to every worker.  A change that cannot be
 * built keeps what is in service.  Thread: any (a mutex inside), but for new
 * and free.
 */
#ifndef CT_DAEMON_CREDENTIALS_H
#define CT_DAEMON_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plug/plug.h"

struct channel_counters;
struct channel_worker;
struct conf;
struct credentials;
struct event_bus;
struct net_worker;
struct tls_cred;
struct worker;

struct credentials_workers {
	struct worker *const *worker;
	struct net_worker *const *net;
	/* NULL: there are no channels. */
	struct channel_worker *const *channels;
	const struct channel_counters *counters;	/* NULL: as channels */
	unsigned n;
};

/* Reads CA files and the ticket master (state_dir/ticket.master, or the one
 * that is shared).  why[512].  The arrays are kept; mail goes out only
 * after credentials_open(). */
int credentials_new(struct conf *, const char *state_dir,
    struct event_bus *, const struct credentials_workers *, char *why,
    struct credentials **ret);
/* The workers exist: sends the first snapshot, which may be without any
 * credential (handshakes are refused then). */
int credentials_open(struct credentials *, char *why);
/* After the workers have stopped. */
void credentials_free(struct credentials **);

/* The hooks of plug/. */
int credentials_put(void *ctx, const char *slot, const char *source,
    struct tls_cred *, bool beside);
void credentials_failed(void *ctx, const char *slot, const char *why);
int credentials_challenge(void *ctx, const struct plug_challenge *);
void credentials_challenge_remove(void *ctx, const char *key);

/* Reload in two halves: CA files, policy, slots' names. */
struct credentials_staged;
int credentials_prepare(struct credentials *, struct conf *, char *why,
    struct credentials_staged **ret);
void credentials_commit(struct credentials *, struct credentials_staged **);
void credentials_discard(struct credentials_staged **);

/* Looks whether the ticket master is due for replacement (call hourly, but
 * never near a drain); a shared one never is. */
void credentials_rotate(struct credentials *);
/* Warns of certificates in service that end soon or have ended; now
 * and then. */
void credentials_expiry(struct credentials *);
/* Looks whether CAs, revocation lists and lists of fingerprints have
 * changed, and puts in service what can be used.  Blocking; on the thread
 * that commits. */
void credentials_look(struct credentials *);
/* Says each weakening of what is asked of client certificates, loudly. */
void credentials_warn(struct credentials *);
/* Calls fn for each listener that asks for client certificates; `error`
 * says why its files are not used as they are now, or is "".  fn must not
 * call back. */
struct tls_trust;
void credentials_trusts(struct credentials *, void (*fn)(void *arg,
    const char *listener, const struct tls_trust *, const char *error),
    void *arg);
/* What a slot serves, as long as the call lasts. */
struct credentials_entry {
	const char *slot;
	const struct tls_cred *cred;	/* NULL: none */
	const char *source;		/* the instance; NULL: none */
	int64_t live_ms;		/* wall; since when; 0: never */
	/* Open channels whose handshake was shown it, and whose was shown one
	 * that the slot served before.  With two side by side the latter is
	 * of both. */
	uint64_t channels, channels_before;
	const char *error;		/* of the slot, the last; NULL: none */
	int64_t error_ms;		/* wall */
};
/* Calls fn for each slot of the configuration and each credential it serves;
 * one without any comes once without.  fn must not call back. */
void credentials_each(struct credentials *, void (*fn)(void *arg,
    const struct credentials_entry *), void *arg);
/* The first slot without a credential, or NULL. */
const char *credentials_missing(struct credentials *);

#endif
