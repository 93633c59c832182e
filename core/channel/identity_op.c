/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes identities: enrolment and the operators.  A change runs as a store
 * job, and is in force in memory when that is done, on the store's thread and so in
 * the order of the store, before anybody is told; only taking away (revoke, deny,
 * forget) is in force at once.
 */
#include "channel/identity_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "channel/auth.h"
#include "event/event.h"
#include "tls/digest.h"

struct change {
	struct store_job job;
	struct identity *in;
	struct identity_op *op;		/* NULL: nobody waits */
	/* On success, under the lock. */
	int (*settle)(struct change *, struct identity *);
	enum event_type event;		/* then; EVENT_TYPES none */
	enum store_status status;
	struct store_credential credential;	/* texts are below */
	struct store_enrolment enrolment;
	uint8_t one_time[32];		/* digest of the token that was shown */
	bool has_one_time;
	bool shared;			/* may join credentials that are there */
	bool reserved;			/* counts in identity.enrolling */
	bool enrols;			/* a device asked for it */
	uint64_t number;
	int64_t now_ms;
	char secret[64];
	char group[65], label[129];
	char endpoint[ENDPOINT_ID_MAX + 1];
};

static struct change *
change_new(struct identity *in, const char *endpoint, struct identity_op *op,
    int (*run)(struct store_job *, struct store_db *),
    int (*settle)(struct change *, struct identity *))
{
	struct change *c = mem_calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->in = in;
	c->op = op;
	c->settle = settle;
	c->job.run = run;
	c->job.bytes = sizeof(*c);
	c->event = EVENT_TYPES;
	c->now_ms = clock_wall_ms();
	(void)snprintf(c->endpoint, sizeof(c->endpoint), "%s", endpoint);
	c->credential.endpoint = c->endpoint;
	c->credential.label = c->label;
	c->enrolment.endpoint = c->endpoint;
	c->enrolment.group = c->group;
	return c;
}

static void
tell(struct identity *in, enum event_type type, const char *endpoint,
    const char *text)
{
	struct event ev = { .type = type, .endpoint = endpoint,
	    .text = text };

	event_emit(in->deps.bus, &ev);
	event_kick(in->deps.bus);
}

static void
on_home(struct mail *m)
{
	struct identity_op *op = CT_CONTAINER(m, struct identity_op, mail);

	op->done(op);
}

/* It did not come about, or is over. */
static void
change_free(struct change *c)
{
	if (c->reserved) {
		(void)pthread_mutex_lock(&c->in->lock);
		c->in->enrolling--;
		(void)pthread_mutex_unlock(&c->in->lock);
	}
	mem_free_wiped(c, sizeof(*c));
}

/* What came of it; one that is enrolled already is not counted again. */
static void
count_enrolment(struct identity *in, int error)
{
	enum enrol_result r;

	switch (error) {
	case 0:
		r = ENROL_ENROLLED;
		break;
	case -EINPROGRESS:
		r = ENROL_PENDING;
		break;
	case -EACCES:
		r = ENROL_REFUSED;
		break;
	case -EDQUOT:
		r = ENROL_FULL;
		break;
	case -EALREADY:
		return;
	default:
		r = ENROL_BUSY;
		break;
	}
	atomic_fetch_add(&in->enrolments[r], 1);
}

static void
change_done(struct store_job *j)
{
	struct change *c = CT_CONTAINER(j, struct change, job);
	struct identity_op *op = c->op;
	int error = j->error;

	if (error == 0 && c->settle != NULL) {
		(void)pthread_mutex_lock(&c->in->lock);
		error = c->settle(c, c->in);
		(void)pthread_mutex_unlock(&c->in->lock);
	}
	/* An approval that crossed it may have let somebody in. */
	if (error == 0 && c->status == STORE_DENIED)
		(void)endpoint_kick(c->in->deps.endpoints, c->endpoint, 4005,
		    "denied");
	if (error == 0 && c->event != EVENT_TYPES)
		tell(c->in, c->event, c->endpoint, NULL);
	if (error == 0 && c->status == STORE_PENDING)
		error = -EINPROGRESS;
	if (c->enrols && (error != 0 || c->event != EVENT_TYPES))
		count_enrolment(c->in, error);
	if (op != NULL) {
		op->error = error;
		op->number = c->number;
		memcpy(op->secret, error == 0 ? c->secret : "", error == 0 ?
		    sizeof(op->secret) : 1);
	}
	change_free(c);
	if (op == NULL)
		return;
	op->mail.fn = on_home;
	if (op->home == NULL)
		op->done(op);
	else
		mailbox_post(op->home, &op->mail);
}

/* Takes the change over. */
static int
submit(struct change *c)
{
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->job.done = change_done;
	r = store_submit(c->in->deps.store, &c->job);
	if (r != 0 && c->enrols)
		count_enrolment(c->in, r);
	if (r != 0)
		change_free(c);
	return r == -ESHUTDOWN ? -EAGAIN : r;
}

/* 32 random bytes as text that stands in URLs and files (RFC 4648 5). */
static int
make_secret(char to[64], uint8_t ret_sha256[32])
{
	uint8_t random[32];
	int r = digest_random(random, sizeof(random));

	if (r != 0)
		return r;
	digest_base64(random, sizeof(random), to);
	mem_wipe(random, sizeof(random));
	to[43] = '\0';			/* without padding */
	for (char *p = to; *p != '\0'; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	return digest_sha256(to, 43, ret_sha256);
}

/* ---- enrolment ------------------------------------------------------------- */

/* Who has it by now: what was true when it was asked may have changed, and
 * nothing else is written meanwhile.  0: somebody new; -EALREADY: this very
 * credential has it; -EACCES. */
static int
look_again(struct change *c, struct store_db *db, enum store_status *ret_was)
{
	uint64_t others = 0;
	int r = store_endpoint_status(db, c->endpoint, ret_was);

	if (r == 0 && *ret_was == STORE_DENIED)
		return -EACCES;
	if (r == 0 || r == -ENOENT)
		r = store_credential_find(db, c->endpoint,
		    c->credential.kind, c->credential.value, &c->number);
	if (r == 0)
		return -EALREADY;
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

/* What was taken away meanwhile stays away: the job that stores that follows. */
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

/* Whether the change may be tried; what it would make of the endpoint into it. */
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
			count_enrolment(in, r);
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
		return make_secret(c->secret, c->credential.value);
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
		count_enrolment(in, -ENOMEM);
		return -ENOMEM;
	}
	c->enrols = true;
	r = fill_enrolment(c, token, key);
	if (r != 0)
		count_enrolment(in, r);
	else
		r = ask(in, c, address, ret_number);
	if (r != 0) {
		change_free(c);
		return r;
	}
	c->event = c->status == STORE_PENDING ? EVENT_ENDPOINT_PENDING :
	    EVENT_ENDPOINT_ENROLLED;
	return submit(c);
}

int
identity_vouch(struct identity *in, const char *endpoint,
    const uint8_t sha256[32], struct identity_op *op)
{
	struct change *c = change_new(in, endpoint, op, run_enrol,
	    settle_enrol);

	if (c == NULL) {
		count_enrolment(in, -ENOMEM);
		return -ENOMEM;
	}
	c->enrols = true;
	c->status = STORE_ACTIVE;
	c->shared = true;
	c->event = EVENT_ENDPOINT_ENROLLED;
	c->credential.created_ms = c->now_ms;
	c->credential.kind = STORE_CRED_CERT;
	memcpy(c->credential.value, sha256, 32);
	return submit(c);
}

/* ---- operators: endpoints ---------------------------------------------------- */

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
	bool yes;

	(void)pthread_mutex_lock(&in->lock);
	yes = member_find(in, endpoint) != NULL;
	(void)pthread_mutex_unlock(&in->lock);
	return yes || endpoint_get(in->deps.endpoints, endpoint, &facts) == 0;
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
	return submit(c);
}

int
identity_admit(struct identity *in, const char *endpoint,
    struct identity_op *op)
{
	if (!endpoint_id_valid(endpoint))
		return -EINVAL;
	if (known(in, endpoint))
		return -EEXIST;
	return set_status(in, endpoint, STORE_ACTIVE, EVENT_TYPES, op);
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
	(void)endpoint_kick(in->deps.endpoints, endpoint, 4005, "denied");
	return set_status(in, endpoint, STORE_DENIED, EVENT_ENDPOINT_DENIED,
	    op);
}

static int
run_forget(struct store_job *j, struct store_db *db)
{
	return store_endpoint_forget(db,
	    CT_CONTAINER(j, struct change, job)->endpoint);
}

/* Who was enrolled while it was under way is forgotten with it. */
static int
settle_forget(struct change *c, struct identity *in)
{
	struct member *m = member_find(in, c->endpoint);

	if (m != NULL && m->first != NULL) {
		member_remove(in, m);
		(void)endpoint_forget(in->deps.endpoints, c->endpoint);
	}
	return 0;
}

static int
forget(struct identity *in, const char *endpoint, struct identity_op *op)
{
	struct member *m;

	(void)pthread_mutex_lock(&in->lock);
	m = member_find(in, endpoint);
	if (m != NULL)
		member_remove(in, m);
	(void)pthread_mutex_unlock(&in->lock);
	(void)endpoint_forget(in->deps.endpoints, endpoint);
	return submit(change_new(in, endpoint, op, run_forget,
	    settle_forget));
}

int
identity_forget(struct identity *in, const char *endpoint,
    struct identity_op *op)
{
	return known(in, endpoint) ? forget(in, endpoint, op) : -ENOENT;
}

/* ---- operators: credentials ---------------------------------------------------- */

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
		r = make_secret(c->secret, c->credential.value);
	else
		memcpy(c->credential.value, what->value, 32);
	if (r != 0) {
		change_free(c);
		return r;
	}
	return submit(c);
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
	return submit(c);
}

/* ---- operators: one-time tokens ------------------------------------------------- */

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
	r = make_secret(c->secret, c->enrolment.sha256);
	if (r != 0) {
		change_free(c);
		return r;
	}
	return submit(c);
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
	return submit(c);
}

/* ---- time ------------------------------------------------------------------------ */

/* One that waits for too long, or false. */
static bool
overdue(struct identity *in, int64_t wall_ms, char id[ENDPOINT_ID_MAX + 1])
{
	bool found = false;

	(void)pthread_mutex_lock(&in->lock);
	for (size_t i = 0; in->pending > 0 && i < in->buckets && !found; i++)
		for (struct member *m = in->bucket[i]; m != NULL && !found;
		    m = m->next)
			if (m->status == STORE_PENDING && m->created_ms +
			    (int64_t)in->rules.pending_ms <= wall_ms) {
				(void)snprintf(id, ENDPOINT_ID_MAX + 1, "%s",
				    m->id);
				found = true;
			}
	(void)pthread_mutex_unlock(&in->lock);
	return found;
}

void
identity_sweep(struct identity *in, int64_t wall_ms)
{
	char id[ENDPOINT_ID_MAX + 1];

	while (overdue(in, wall_ms, id)) {
		log_info("nobody approved it, forgotten endpoint=%s", id);
		if (forget(in, id, NULL) != 0)
			return;
	}
}
