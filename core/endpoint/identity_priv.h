/* SPDX-License-Identifier: Apache-2.0 */
/* What identity.c (the working copy), identity_check.c (the decision),
 * identity_op.c (what is changed and stored) and identity_note.c share. */
#ifndef CT_ENDPOINT_IDENTITY_PRIV_H
#define CT_ENDPOINT_IDENTITY_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/store.h"
#include "endpoint/identity.h"
#include "endpoint/throttle.h"

struct credential {
	struct credential *next;
	uint64_t number;
	int64_t expires_ms;		/* 0 never */
	int64_t used_ms;		/* as it is stored */
	uint8_t value[32];
	uint8_t kind;			/* enum store_cred_kind */
	bool revoked;
};

struct member {
	struct member *next;		/* in its bucket */
	struct credential *first;
	int64_t created_ms;
	uint8_t status;			/* enum store_status */
	char id[];
};

struct identity {
	struct identity_deps deps;
	_Atomic uint64_t refused, throttled_address, throttled_identity;
	_Atomic uint64_t enrolments[ENROL_RESULTS];

	pthread_mutex_t lock;		/* guards all below */
	struct identity_rules rules;
	struct auth_file *file;
	struct member **bucket;
	size_t buckets, count, pending, denied, credentials;
	size_t enrolling;		/* without a token, on their way to the
					 * store */
	struct throttle addresses, identities, tries;
};

/* Tells one hello from another, for endpoint_said(); never 0. */
uint32_t identity_said(const char *agent, const char *boot_id,
    const char *peer, const char *listener);

/* All under the lock. */
struct member *member_find(const struct identity *, const char *id);
/* Finds or makes it (active).  NULL: no memory. */
struct member *member_get(struct identity *, const char *id, int64_t now_ms);
void member_set_status(struct identity *, struct member *, enum store_status);
void member_remove(struct identity *, struct member *);
struct credential *member_credential(const struct member *,
    enum store_cred_kind, const uint8_t value[32]);
/* -ENOMEM. */
int member_add(struct identity *, struct member *,
    const struct store_credential *);

#endif
