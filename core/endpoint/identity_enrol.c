/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How devices become endpoints: by a key, a token or a certificate that
 * they bring.  Who may is decided when it is asked, and once more where it
 * is stored.
 */
#include "endpoint/identity_change.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "endpoint/auth.h"

/* Who has it by now: what was true when it was asked may have changed, and
 * nothing else is written meanwhile.  0: it may be given away; -EALREADY: this
 * very credential has it; -EACCES.  An endpoint that is known, though nobody
 * can be it, is only given to whom an operator or a CA has spoken for: what is
 * stored of it is not for whoever asks. */
static int
look_again(struct change *c, struct store_db *db, enum store_status *ret_was)
{
	uint64_t others = 0;
	int r = store_endpoint_status(db, c->endpoint, ret_was);
	bool known = r == 0;

	if (known && *ret_was == STORE_DENIED)
		return -EACCES;
	if (known || r == -ENOENT)
		r = store_credential_find(db, c->endpoint,
		    c->credential.kind, c->credential.value, &c->number);
	if (r == 0)
		return -EALREADY;
	if (r == -ENOENT && known && !c->has_one_time && !c->shared)
		return -EACCES;
	if (r == -ENOENT && !c->shared)
		r = store_credential_count(db, c->endpoint, &others);
	if (r == -ENOENT)
		return 0;
	return r == 0 && others > 0 ? -EACCES : r;
}

static int
run_enrol(struct store_job *j, struct store_db *db)
{
	struct change *c = CT_CONTAINER(j, struct change, job);
	enum store_status was = STORE_ACTIVE;
	int r = look_again(c, db, &was);
	bool there = r == -EALREADY;

	if (there && (was == STORE_ACTIVE || !c->has_one_time)) {
		c->status = was;
		c->event = EVENT_TYPES;		/* it was told already */
		return 0;
	}
	if (r != 0 && !there)
		return r;
	r = 0;
	if (c->has_one_time)
		r = store_enrolment_take(db, c->one_time, c->endpoint,
		    c->now_ms, c->group);
	if (r == -ENOENT || r == -ETIME || r == -EDQUOT)
		r = -EACCES;
	if (r == 0)
		r = store_endpoint_admit(db, c->endpoint, c->status,
		    c->now_ms);
	if (r == 0 && c->group[0] != '\0')
		r = store_endpoint_describe(db, c->endpoint, NULL, c->group);
	if (r == 0 && !there)
		r = store_credential_add(db, &c->credential, &c->number);
	return r;
}

/* What was taken away meanwhile stays away: the job that stores
 * that follows. */
static int
settle_enrol(struct change *c, struct identity *in)
{
	struct member *m = member_get(in, c->endpoint, c->now_ms);
	struct credential *cr;
	int r = 0;

	if (m == NULL)
		return -ENOMEM;
	c->credential.number = c->number;
	if (m->status != STORE_DENIED)
		member_set_status(in, m, c->status);
	(void)endpoint_known(in->deps.endpoints, c->endpoint);
	cr = member_credential(m, c->credential.kind, c->credential.value);
	if (cr == NULL)
		r = member_add(in, m, &c->credential);
	else if (cr->revoked)
		r = -EACCES;
	return m->status == STORE_DENIED ? -EACCES : r;
}

/* Whether anybody is this endpoint already. */
static bool
taken(const struct identity *in, const struct member *m, const char *id)
{
	const struct credential *c = m == NULL ? NULL : m->first;
	const uint8_t *sha256;
	const char *other;

	if (in->file != NULL && auth_file_entry(in->file,
	    auth_file_find(in->file, id), &other, &sha256) &&
	    strcmp(other, id) == 0)
		return true;
	while (c != NULL && c->revoked)
		c = c->next;
	return c != NULL;
}

/* The credential is there already: what that means for who has it. */
static int
has_it(const struct member *m, const struct credential *cr, bool token,
    int64_t wall_ms, uint64_t *ret_number)
{
	if (cr->expires_ms != 0 && cr->expires_ms <= wall_ms)
		return -EACCES;
	*ret_number = cr->number;
	if (m->status != STORE_PENDING)
		return -EALREADY;
	return token ? 0 : -EINPROGRESS;	/* need not wait any more */
}

/* Under the lock: whether it may be tried at all, and what it would become. */
static int
may_enrol(struct identity *in, const struct change *c,
    enum store_status *ret_status, uint64_t *ret_number)
{
	struct member *m = member_find(in, c->endpoint);
	bool key = c->credential.kind == STORE_CRED_KEY;
	struct credential *cr = m == NULL || !key ? NULL :
	    member_credential(m, STORE_CRED_KEY, c->credential.value);

	if (m != NULL && m->status == STORE_DENIED)
		return -EACCES;
	*ret_status = STORE_ACTIVE;
	if (cr != NULL && !cr->revoked)
		return has_it(m, cr, c->has_one_time, c->now_ms, ret_number);
	if (taken(in, m, c->endpoint))
		return -EACCES;
	if (c->has_one_time)
		return 0;
	switch (in->rules.enrol) {
	case ENROL_OPEN:
		return endpoint_table_count(in->deps.endpoints) +
		    in->enrolling >= in->rules.open_max ? -EDQUOT : 0;
	case ENROL_APPROVE:
		*ret_status = STORE_PENDING;
		if (!key)
			return -EACCES;
		return in->pending + in->enrolling >= in->rules.pending_max ?
		    -EDQUOT : 0;
	case ENROL_CLOSED:
		break;
	}
	return -EACCES;
}

/* Under the lock. */
static const char *
refusal(const struct identity *in, const struct member *m, const char *id,
    bool enrols, bool one_time)
{
	if (m != NULL && m->status == STORE_DENIED)
		return "an operator has denied it";
	if (enrols && taken(in, m, id))
		return "the id has a credential already: it cannot be enrolled "
		    "again";
	if (enrols && one_time)
		return "the one-time token is wrong, used up, expired or for "
		    "another id";
	if (enrols && m != NULL && !one_time)
		return "the id is known: it is only given away with a one-time "
		    "token (cleatctl enrol token)";
	if (enrols && in->rules.enrol == ENROL_CLOSED)
		return "without a one-time token nobody enrols ([auth] enrol "
		    "is closed)";
	if (enrols)
		return "it cannot enrol with what it showed";
	if (m != NULL && m->status == STORE_PENDING)
		return "it waits for approval, and showed something else";
	if (!taken(in, m, id))
		return "this id has no credential: enrol it, or add one "
		    "(cleatctl credential add)";
	return "what it showed is none of its credentials: wrong, revoked or "
	    "expired";
}

const char *
identity_refusal(struct identity *in, const char *endpoint, bool enrols,
    bool one_time)
{
	const char *why;

	(void)pthread_mutex_lock(&in->lock);
	why = refusal(in, member_find(in, endpoint), endpoint, enrols,
	    one_time);
	(void)pthread_mutex_unlock(&in->lock);
	return why;
}

/* Whether the change may be tried; what it would make of the endpoint
 * into it. */
static int
ask(struct identity *in, struct change *c, const char *address,
    uint64_t *ret_number)
{
	uint64_t now = clock_mono_ms();
	int r = -EDQUOT;

	(void)pthread_mutex_lock(&in->lock);
	if (throttle_full(&in->tries, address,
	    in->rules.enrol_per_minute, now)) {
		atomic_fetch_add(&in->enrolments[ENROL_THROTTLED], 1);
	} else {
		throttle_count(&in->tries, address,
		    in->rules.enrol_per_minute, now);
		r = may_enrol(in, c, &c->status, ret_number);
		if (r != 0)
			change_count_enrolment(in, r);
	}
	/* A place under the limits, until it is settled. */
	c->reserved = r == 0 && !c->has_one_time;
	in->enrolling += c->reserved;
	(void)pthread_mutex_unlock(&in->lock);
	return r;
}

/* What is shown and what it will be known by. */
static int
fill_enrolment(struct change *c, const char *token, const uint8_t *key)
{
	int r = 0;

	c->credential.created_ms = c->now_ms;
	c->has_one_time = token != NULL;
	c->credential.kind = key != NULL ? STORE_CRED_KEY : STORE_CRED_TOKEN;
	if (token != NULL)
		r = auth_token_digest(token, c->one_time);
	if (r == 0 && key == NULL)
		return change_secret(c->secret, c->credential.value);
	if (r == 0)
		memcpy(c->credential.value, key, 32);
	return r;
}

int
identity_enrol(struct identity *in, const char *endpoint, const char *token,
    const uint8_t *key, const char *address, struct identity_op *op,
    uint64_t *ret_number)
{
	struct change *c = change_new(in, endpoint, op, run_enrol,
	    settle_enrol);
	int r;

	if (c == NULL) {
		change_count_enrolment(in, -ENOMEM);
		return -ENOMEM;
	}
	c->enrols = true;
	r = fill_enrolment(c, token, key);
	if (r != 0)
		change_count_enrolment(in, r);
	else
		r = ask(in, c, address, ret_number);
	if (r != 0) {
		change_free(c);
		return r;
	}
	c->event = c->status == STORE_PENDING ? EVENT_ENDPOINT_PENDING :
	    EVENT_ENDPOINT_ENROLLED;
	return change_submit(c);
}

int
identity_vouch(struct identity *in, const char *endpoint,
    const uint8_t sha256[32], struct identity_op *op)
{
	struct change *c = change_new(in, endpoint, op, run_enrol,
	    settle_enrol);

	if (c == NULL) {
		change_count_enrolment(in, -ENOMEM);
		return -ENOMEM;
	}
	c->enrols = true;
	c->status = STORE_ACTIVE;
	c->shared = true;
	c->event = EVENT_ENDPOINT_ENROLLED;
	c->credential.created_ms = c->now_ms;
	c->credential.kind = STORE_CRED_CERT;
	memcpy(c->credential.value, sha256, 32);
	return change_submit(c);
}
