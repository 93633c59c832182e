/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the credentials share.  One mutex guards all; what is done
 * "under the lock" is said.  Nothing here is called by others.
 */
#ifndef CT_DAEMON_CREDENTIALS_PRIV_H
#define CT_DAEMON_CREDENTIALS_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/credentials.h"
#include "daemon/options.h"
#include "daemon/trust.h"
#include "tls/snapshot.h"
#include "tls/suites.h"

#define CREDENTIALS_WHY_SIZE 512
#define CREDENTIALS_HTTP_MAX 64		/* challenges at a time */

/* From the configuration. */
struct policy {
	struct conf *conf;
	struct tls_suites suites;
	struct tls_suites **own;	/* by listener; NULL: as all */
	struct tls_slot_spec *slot;
	size_t slots;
	struct tls_listener_spec *listener;
	struct listener_trust *trust;	/* by listener */
	size_t listeners;
	int64_t expiry[EXPIRY_STEPS];	/* seconds before the end */
	size_t expiry_n;
};

/* What sources published for a slot: one of each kind of key. */
struct published {
	char *slot;
	struct tls_cred *cred[TLS_SLOT_CREDS];
	char *source[TLS_SLOT_CREDS];
	int64_t live_ms[TLS_SLOT_CREDS];	/* wall; since when */
	uint16_t number[TLS_SLOT_CREDS];	/* in credentials.began;
						 * 0 none */
	uint8_t warned_of[TLS_SLOT_CREDS][32];	/* SHA-256 */
	unsigned warned[TLS_SLOT_CREDS];	/* steps of the expiry told */
	char *error;			/* the last; NULL: none */
	int64_t error_ms;
	struct published *next;
};

/* A certificate that is or was in service: its place in the array is the number
 * by which channels that it was shown to are counted.  It is used again when
 * nobody is left, and as late as possible: handshakes may be under way. */
struct began {
	const struct published *slot;	/* NULL: never used */
	uint8_t sha256[32];
};

struct challenge {
	char *key, *body;		/* body: http */
	struct tls_cred *cred;		/* cred: alpn */
	struct challenge *next;
};

struct credentials {
	pthread_mutex_t lock;		/* guards all below */
	struct event_bus *bus;
	struct credentials_workers workers;
	bool open;
	struct policy *policy;
	struct published *published;
	struct began *began;		/* CHANNEL_BEGAN_MAX, [0] is not used */
	unsigned began_n;		/* used so far, [0] counts */
	unsigned began_last;		/* given out */
	struct challenge *http, *alpn;
	char *ticket_path;
	uint8_t ticket[TLS_TICKET_MASTER_SIZE];
};

/* credentials_ticket.c: the ticket master that `conf` wants.  rotate_s: the
 * node's own is replaced when it is older; 0 never.  Blocking.  -errno, why. */
int credentials_ticket(const struct credentials *, const struct conf *,
    uint64_t rotate_s, char *why, uint8_t ret[TLS_TICKET_MASTER_SIZE]);

/* credentials_policy.c: what the configuration says; reads its CA files. */
int policy_new(struct conf *, char *why, struct policy **ret);
void policy_free(struct policy **);

/*
 * credentials_serve.c, under the lock.  A snapshot of policy and credentials;
 * and that, or the answers of the HTTP challenges, to every worker or to none,
 * so that a later one never overtakes an earlier one.  `ch` (may be NULL) is
 * told when all serve it.
 */
int credentials_build(struct credentials *, struct policy *, char *why,
    struct tls_snapshot **ret);
int credentials_swap(struct credentials *, struct policy *,
    const struct plug_challenge *ch, char *why);
int credentials_send_answers(struct credentials *,
    const struct plug_challenge *ch);
struct published *credentials_published(const struct credentials *,
    const char *slot);

/* credentials_began.c, under the lock.  The number of a certificate in a slot,
 * the one that it has if it is known; 0: all are in use. */
uint16_t began_number(struct credentials *, const struct published *,
    const struct tls_cred *);
/* Open channels that began on what the slot serves at place k, and on what it
 * does not serve any more. */
uint64_t began_now(const struct credentials *, const struct published *, int k);
uint64_t began_before(const struct credentials *, const struct published *);

/* credentials_challenge.c: frees a whole list. */
void challenges_free(struct challenge **);

#endif
