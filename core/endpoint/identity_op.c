/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators change of identities.  Only taking away (revoke, deny) is in
 * force at once; who is to be forgotten is out of the way until that is stored.
 */
#include "endpoint/identity_change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"

/* ---- operators: endpoints ---------------------------------------------- */

static int
run_admit(struct store_job *j, struct store_db *db)
{
	struct change *c = CT_CONTAINER(j, struct change, job);

	return store_endpoint_admit(db, c->endpoint, c->status, c->now_ms);
}

static int
settle_admit(struct change *c, struct identity *in)
{
	struct member *m = member_get(in, c->endpoint, c->now_ms);

	if (m == NULL)
		return -ENOMEM;
	member_set_status(in, m, c->status);
	(void)endpoint_known(in->deps.endpoints, c->endpoint);
	return 0;
}

static bool
known(struct identity *in, const char *endpoint)
{
	struct endpoint_facts facts;

	return endpoint_get(in->deps.endpoints, endpoint, &facts) == 0;
}

static int
set_status(struct identity *in, const char *endpoint,
    enum store_status status, enum event_type event, struct identity_op *op)
{
	struct change *c = change_new(in, endpoint, op, run_admit,
	    settle_admit);

	if (c == NULL)
		return -ENOMEM;
	c->status = status;
	c->event = event;
	return change_submit(c);
}

/* Who asked for it a moment ago is not approved by this. */
static int
run_first(struct store_job *j, struct store_db *db)
{
	enum store_status was;
	int r = store_endpoint_status(db,
	    CT_CONTAINER(j, struct change, job)->endpoint, &was);

	return r == -ENOENT ? run_admit(j, db) : r == 0 ? -EEXIST : r;
}

int
identity_admit(struct identity *in, const char *endpoint,
    struct identity_op *op)
{
	if (!id_valid(endpoint))
		return -EINVAL;
	if (known(in, endpoint))
		return -EEXIST;
	return change_submit(change_new(in, endpoint, op, run_first,
	    settle_admit));
}

int
identity_approve(struct identity *in, const char *endpoint,
    struct identity_op *op)
{
	if (!known(in, endpoint))
		return -ENOENT;
	return set_status(in, endpoint, STORE_ACTIVE,
	    EVENT_ENDPOINT_APPROVED, op);
}

int
identity_deny(struct identity *in, const char *endpoint,
    struct identity_op *op)
{
	struct member *m;

	if (!known(in, endpoint))
		return -ENOENT;
	(void)pthread_mutex_lock(&in->lock);
	m = member_get(in, endpoint, clock_wall_ms());
	if (m != NULL)
		member_set_status(in, m, STORE_DENIED);
	(void)pthread_mutex_unlock(&in->lock);
	if (m == NULL)
		return -ENOMEM;
	(void)endpoint_kick(in->deps.endpoints, endpoint,
	    ENDPOINT_KICK_REVOKED, "denied");
	return set_status(in, endpoint, STORE_DENIED, EVENT_ENDPOINT_DENIED,
	    op);
}

/* What it has brought may be stored before its presence is. */
static int
run_forget(struct store_job *j, struct store_db *db)
{
	int r = store_endpoint_forget(db,
	    CT_CONTAINER(j, struct change, job)->endpoint);

	return r == -ENOENT ? 0 : r;
}

/* Only who still waits: an approval or a one-time token may have come first. */
static int
run_expire(struct store_job *j, struct store_db *db)
{
	enum store_status was;
	int r = store_endpoint_status(db,
	    CT_CONTAINER(j, struct change, job)->endpoint, &was);

	if (r == 0 && was != STORE_PENDING)
		return -ECANCELED;
	return r == 0 ? run_forget(j, db) : r;
}

static int
settle_forget(struct change *c, struct identity *in)
{
	struct member *m = member_find(in, c->endpoint);

	if (m != NULL)
		member_remove(in, m);
	(void)endpoint_forget(in->deps.endpoints, c->endpoint);
	return 0;
}

static void
undo_forget(struct change *c)
{
	endpoint_forget_cancel(c->in->deps.endpoints, c->endpoint);
}

static int
forget(struct identity *in, const char *endpoint, struct identity_op *op,
    int (*run)(struct store_job *, struct store_db *))
{
	struct change *c = change_new(in, endpoint, op, run, settle_forget);
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = endpoint_forget_begin(in->deps.endpoints, endpoint);
	if (r != 0) {
		change_free(c);
		return r;
	}
	c->undo = undo_forget;
	return change_submit(c);
}

int
identity_forget(struct identity *in, const char *endpoint,
    struct identity_op *op)
{
	return forget(in, endpoint, op, run_forget);
}

/* ---- operators: credentials -------------------------------------------- */

static int
run_add(struct store_job *j, struct store_db *db)
{
	struct change *c = CT_CONTAINER(j, struct change, job);

	return store_credential_add(db, &c->credential, &c->number);
}

static int
settle_add(struct change *c, struct identity *in)
{
	struct member *m = member_find(in, c->endpoint);

	if (m == NULL)
		return -ENOENT;		/* forgotten meanwhile */
	c->credential.number = c->number;
	return member_add(in, m, &c->credential);
}

int
identity_add(struct identity *in, const struct store_credential *what,
    struct identity_op *op)
{
	struct change *c;
	struct member *m;
	int r = 0;

	if (!known(in, what->endpoint))
		return -ENOENT;
	(void)pthread_mutex_lock(&in->lock);
	m = member_get(in, what->endpoint, clock_wall_ms());
	(void)pthread_mutex_unlock(&in->lock);
	c = m == NULL ? NULL : change_new(in, what->endpoint, op, run_add,
	    settle_add);
	if (c == NULL)
		return -ENOMEM;
	(void)snprintf(c->label, sizeof(c->label), "%s", what->label);
	c->credential.kind = what->kind;
	c->credential.expires_ms = what->expires_ms;
	c->credential.created_ms = c->now_ms;
	if (what->kind == STORE_CRED_TOKEN)
		r = change_secret(c->secret, c->credential.value);
	else
		memcpy(c->credential.value, what->value, 32);
	if (r != 0) {
		change_free(c);
		return r;
	}
	return change_submit(c);
}

static int
run_revoke(struct store_job *j, struct store_db *db)
{
	return store_credential_revoke(db,
	    CT_CONTAINER(j, struct change, job)->number);
}

/* Marks it; whose it is into endpoint[]. */
static int
revoke_now(struct identity *in, uint64_t number,
    char endpoint[ENDPOINT_ID_MAX + 1])
{
	int r = -ENOENT;

	(void)pthread_mutex_lock(&in->lock);
	for (size_t i = 0; i < in->buckets && r != 0; i++)
		for (struct member *m = in->bucket[i]; m != NULL && r != 0;
		    m = m->next)
			for (struct credential *c = m->first; c != NULL;
			    c = c->next)
				if (c->number == number) {
					c->revoked = true;
					(void)snprintf(endpoint,
					    ENDPOINT_ID_MAX + 1, "%s", m->id);
					r = 0;
				}
	(void)pthread_mutex_unlock(&in->lock);
	return r;
}

int
identity_revoke(struct identity *in, uint64_t number, struct identity_op *op)
{
	char endpoint[ENDPOINT_ID_MAX + 1];
	struct change *c;
	int r = revoke_now(in, number, endpoint);

	if (r != 0)
		return r;
	(void)endpoint_kick_credential(in->deps.endpoints, endpoint, number);
	c = change_new(in, endpoint, op, run_revoke, NULL);
	if (c == NULL)
		return -ENOMEM;
	c->number = number;
	c->event = EVENT_ENDPOINT_REVOKED;
	return change_submit(c);
}

/* ---- operators: one-time tokens ---------------------------------------- */

static int
run_token_add(struct store_job *j, struct store_db *db)
{
	struct change *c = CT_CONTAINER(j, struct change, job);

	return store_enrolment_add(db, &c->enrolment, &c->number);
}

int
identity_token_add(struct identity *in, const struct store_enrolment *what,
    struct identity_op *op)
{
	struct change *c = change_new(in, what->endpoint, op, run_token_add,
	    NULL);
	int r;

	if (c == NULL)
		return -ENOMEM;
	(void)snprintf(c->group, sizeof(c->group), "%s", what->group);
	c->enrolment.created_ms = c->now_ms;
	c->enrolment.expires_ms = what->expires_ms;
	c->enrolment.uses_left = what->uses_left;
	r = change_secret(c->secret, c->enrolment.sha256);
	if (r != 0) {
		change_free(c);
		return r;
	}
	return change_submit(c);
}

static int
run_token_remove(struct store_job *j, struct store_db *db)
{
	return store_enrolment_remove(db,
	    CT_CONTAINER(j, struct change, job)->number);
}

int
identity_token_remove(struct identity *in, uint64_t number,
    struct identity_op *op)
{
	struct change *c = change_new(in, "", op, run_token_remove, NULL);

	if (c != NULL)
		c->number = number;
	return change_submit(c);
}

/* ---- time -------------------------------------------------------------- */

#define SWEEP_MAX 64			/* in one sweep */

struct swept {
	char id[SWEEP_MAX][ENDPOINT_ID_MAX + 1];
	unsigned n;
};

/* Those that wait for too long. */
static void
find_overdue(struct identity *in, int64_t wall_ms, struct swept *s)
{
	(void)pthread_mutex_lock(&in->lock);
	for (size_t i = 0; in->pending > 0 && i < in->buckets; i++)
		for (struct member *m = in->bucket[i]; m != NULL &&
		    s->n < SWEEP_MAX; m = m->next)
			if (m->status == STORE_PENDING && m->created_ms +
			    (int64_t)in->rules.pending_ms <= wall_ms)
				(void)snprintf(s->id[s->n++],
				    ENDPOINT_ID_MAX + 1, "%s", m->id);
	(void)pthread_mutex_unlock(&in->lock);
}

void
identity_sweep(struct identity *in, int64_t wall_ms)
{
	struct swept s;

	s.n = 0;
	find_overdue(in, wall_ms, &s);
	for (unsigned i = 0; i < s.n; i++)
		if (forget(in, s.id[i], NULL, run_expire) == 0)
			log_info("nobody approved it, it is forgotten "
			    "endpoint=%s", s.id[i]);
}
