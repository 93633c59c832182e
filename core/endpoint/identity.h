/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may be which endpoint (decision 0013): the working copy of what the store
 * has about status and credentials, and the decision whether somebody gets in.
 * What is decided here is stored by jobs; a decision that creates something
 * (enrolment, an operator's change) is only told when it is durable.
 *
 * Thread: any; one mutex, held for a look-up, never across a callback.
 */
#ifndef CT_ENDPOINT_IDENTITY_H
#define CT_ENDPOINT_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"
#include "store/credentials.h"
#include "store/endpoints.h"
#include "endpoint/endpoint.h"

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
	uint32_t open_max;		/* endpoints that `open` lets in until
					 * there are so many */
	uint32_t enrol_per_minute;	/* attempts of one address */
	uint32_t failures_address, failures_identity;	/* a minute */
	bool cert_admits;		/* a certificate of the listener's CA is
					 * enough for an unknown endpoint */
};

struct identity_deps {
	struct store *store;
	struct event_bus *bus;
	struct endpoint_table *endpoints;
};
/* Nobody is known yet.  What is in deps outlives it.  -ENOMEM, -EIO. */
int identity_new(const struct identity_deps *, const struct identity_rules *,
    struct identity **ret);
/* Reads what is stored, before the store's thread runs; what is known already
 * is left as it is.  -ENOMEM, the store's; why[256]. */
int identity_load(struct identity *, char *why);
/* After the store ended. */
void identity_free(struct identity **);
void identity_set_rules(struct identity *, const struct identity_rules *);
/* The static file (auth.h); keeps a reference.  Whoever was let in by a token
 * that is not in the new file any more is closed (4005). */
void identity_set_file(struct identity *, struct auth_file *);

/* A credential that was shown. */
struct identity_proof {
	enum store_cred_kind kind;
	uint8_t value[32];		/* as in store_credential */
};
/* A number that is not in the store: tokens of the static file have one by
 * their contents.  All are below 2^40, for an endpoint keeps no more bits. */
#define IDENTITY_FILE_BIT ((uint64_t)1 << 39)
/*
 * Before anything of an attempt is looked at.  guessed: the endpoint whose
 * token it may be, or NULL.  -EDQUOT: too many failures from `address`, or for
 * that endpoint, lately.
 */
int identity_may_try(struct identity *, const char *guessed,
    const char *address);
/* It was refused, whatever was wrong with it. */
void identity_failed(struct identity *, const char *guessed,
    const char *address);
/*
 * 0: it is one of endpoint's, not expired, not revoked, and the endpoint is
 * active; *ret_number for identity_holds() and revocation.  -EACCES otherwise,
 * in the same time; -EINPROGRESS it waits for approval with this very key;
 * -ENOENT a certificate that is new: see identity_vouch().
 */
int identity_check(struct identity *, const char *endpoint,
    const struct identity_proof *, uint64_t *ret_number);
/* Why that endpoint was just refused, as far as it can be told afterwards: one
 * line for operators, never for the peer.  enrols: it wanted to; one_time: with
 * a token. */
const char *identity_refusal(struct identity *, const char *endpoint,
    bool enrols, bool one_time);
/* What a device said of itself when it was let in, and where it came from
 * (without the port): stored when there is time, if it is not what is stored.
 * listener may be NULL. */
void identity_note_hello(struct identity *, const char *endpoint,
    const char *agent, const char *boot_id, const char *peer,
    const char *listener);
/* Whether it still holds: asked once more after the channel became live. */
bool identity_holds(struct identity *, const char *endpoint, uint64_t number);

/* An operation under way; belongs to the caller again when done() is called, on
 * the loop of `home` (NULL: on the store's thread). */
struct identity_op {
	void (*done)(struct identity_op *);
	struct mailbox *home;
	int error;			/* 0: it is durable; what the call says,
					 * or the store's (store/store.h), which
					 * is never a verdict */
	uint64_t number;		/* of the credential or
					 * one-time token */
	char secret[64];		/* a token that was made, else ""; the
					 * caller wipes it */
	struct mail mail;		/* identity's */
};

/*
 * Lets a new device in, or lets it wait.  token NULL: without one; key NULL: a
 * token is made.  0: done() will be called with 0 (and number, secret),
 * -EINPROGRESS it waits for approval, -EACCES, or the store's error.  Else at
 * once: -EACCES closed, or the endpoint is somebody else's; -EINPROGRESS;
 * -EALREADY it is enrolled with this key (*ret_number); -EDQUOT too many;
 * -EAGAIN, -ENOMEM.
 */
int identity_enrol(struct identity *, const char *endpoint, const char *token,
    const uint8_t *key, const char *address, struct identity_op *,
    uint64_t *ret_number);

/*
 * A certificate that only its CA vouches for (identity_check() said -ENOENT):
 * makes it a credential of the endpoint, which it makes known.  0: done() will
 * be called (-EACCES: denied, or it was revoked); -EAGAIN, -ENOMEM.
 */
int identity_vouch(struct identity *, const char *endpoint,
    const uint8_t sha256[32], struct identity_op *);

/*
 * What operators do.  All: 0: done() will be called; -ENOENT, -EEXIST, -EAGAIN
 * the store is busy, -ENOMEM: it will not.
 */
int identity_admit(struct identity *, const char *endpoint,
    struct identity_op *);		/* makes it known; -EEXIST */
int identity_approve(struct identity *, const char *endpoint,
    struct identity_op *);
/* Nobody is it any more; closes its channel (4005). */
int identity_deny(struct identity *, const char *endpoint,
    struct identity_op *);
/* Forgets everything about it, and closes its channel. */
int identity_forget(struct identity *, const char *endpoint,
    struct identity_op *);
/* kind TOKEN: a token is made (op->secret), value is ignored. */
int identity_add(struct identity *, const struct store_credential *,
    struct identity_op *);
/* Closes who was let in by it (4005), before it returns. */
int identity_revoke(struct identity *, uint64_t number, struct identity_op *);
/* A one-time token (op->secret); sha256 is ignored. */
int identity_token_add(struct identity *, const struct store_enrolment *,
    struct identity_op *);
int identity_token_remove(struct identity *, uint64_t number,
    struct identity_op *);

/* Once a second from one thread: who waits for too long is forgotten. */
void identity_sweep(struct identity *, int64_t wall_ms);

enum enrol_result {
	ENROL_ENROLLED, ENROL_PENDING,
	ENROL_REFUSED,			/* closed, denied, taken, a
					 * wrong token */
	ENROL_FULL,			/* pending_max, open_max */
	ENROL_THROTTLED, ENROL_BUSY,	/* the store; or memory */
	ENROL_RESULTS
};
const char *enrol_result_name(enum enrol_result);

struct identity_figures {
	uint64_t pending, denied, credentials;
	/* Counters: proofs that were refused, and not looked at because there
	 * were too many from an address, or for an identity. */
	uint64_t refused, throttled_address, throttled_identity;
	uint64_t enrolments[ENROL_RESULTS];
};
void identity_figures(struct identity *, struct identity_figures *ret);

#endif
