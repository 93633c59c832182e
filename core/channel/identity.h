/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may be which endpoint (decision 0013): the working copy of what the store
 * has about status and credentials, and the decision whether somebody gets in.
 * What is decided here is stored by jobs; a decision that creates something
 * (enrolment) is only told when it is durable.
 *
 * Thread: any; one mutex, held for a look-up, never across a callback.
 */
#ifndef CT_CHANNEL_IDENTITY_H
#define CT_CHANNEL_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/credentials.h"
#include "store/endpoints.h"

struct auth_file;
struct event_bus;
struct identity;
struct store;

enum identity_enrol { ENROL_CLOSED, ENROL_APPROVE, ENROL_OPEN };

/* Changed by a reload. */
struct identity_rules {
	enum identity_enrol enrol;
	uint32_t pending_max;		/* that may wait for approval */
	uint64_t pending_ms;		/* after which it is forgotten */
	uint32_t open_max;		/* let in by `open` at most, in all */
	uint32_t enrol_per_minute;	/* for one address */
	uint32_t failures_address, failures_identity;	/* a minute */
	bool cert_admits;		/* a certificate of the listener's CA is
					 * enough for an unknown endpoint */
};

/* Reads everything.  store and bus outlive it. */
int identity_new(struct store *, struct event_bus *, const struct identity_rules *,
    char *why, struct identity **ret);
void identity_free(struct identity **);
void identity_set_rules(struct identity *, const struct identity_rules *);
/* The static file (auth.h); its tokens have no number and cannot be revoked but by
 * a reload. */
void identity_set_file(struct identity *, struct auth_file *);

/* A credential that was shown; number 0: of the static file, or of a CA. */
struct identity_proof {
	enum store_cred_kind kind;
	uint8_t value[32];		/* as in store_credential */
};
/*
 * 0: it is one of endpoint's, not expired, not revoked, and the endpoint is
 * active; *ret_number for identity_holds() and revocation.  -EACCES otherwise,
 * in the same time; -EINPROGRESS it waits for approval with this very key;
 * -EDQUOT too many failures from `address` or for `endpoint` lately (the proof
 * was not looked at).
 */
int identity_check(struct identity *, const char *endpoint,
    const struct identity_proof *, const char *address, uint64_t *ret_number);
/* Whether it still holds: asked once more after the channel became live. */
bool identity_holds(struct identity *, const char *endpoint, uint64_t number);

#endif
