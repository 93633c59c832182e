/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of identities: a store job, in force in memory when that is done, on
 * the store's thread and so in the order of the store, before anybody is told.
 * Private to the identity_*.c files.
 */
#ifndef CT_ENDPOINT_IDENTITY_CHANGE_H
#define CT_ENDPOINT_IDENTITY_CHANGE_H

#include "event/event.h"
#include "endpoint/identity_priv.h"

struct change {
	struct store_job job;
	struct identity *in;
	struct identity_op *op;		/* NULL: nobody waits */
	/* On success, under the lock. */
	int (*settle)(struct change *, struct identity *);
	void (*undo)(struct change *);	/* else, without it; or NULL */
	enum event_type event;		/* then; EVENT_TYPES none */
	enum store_status status;
	struct store_credential credential;	/* texts are below */
	struct store_enrolment enrolment;
	uint8_t one_time[32];		/* digest of the token that was shown */
	bool has_one_time;
	bool shared;			/* may join credentials that
					 * are there */
	bool reserved;			/* counts in identity.enrolling */
	bool enrols;			/* a device asked for it */
	uint64_t number;
	int64_t now_ms;
	char secret[64];
	char group[65], label[129];
	char endpoint[ENDPOINT_ID_MAX + 1];
};

/* NULL: no memory. */
struct change *change_new(struct identity *, const char *endpoint,
    struct identity_op *, int (*run)(struct store_job *, struct store_db *),
    int (*settle)(struct change *, struct identity *));
/* It did not come about, or is over. */
void change_free(struct change *);
/* Takes the change over (NULL: -ENOMEM).  -EAGAIN: the store is behind. */
int change_submit(struct change *);
/* 32 random bytes as text that stands in URLs and files (RFC 4648 5), and its
 * digest.  -errno of the random numbers. */
int change_secret(char to[64], uint8_t ret_sha256[32]);
/* What came of an enrolment; of one that has it already nothing is counted. */
void change_count_enrolment(struct identity *, int error);

#endif
