/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what somebody shows is a credential of the endpoint that he claims to
 * be, now and when the token file changes.  The comparison takes the same steps
 * for an id that is not there.
 */
#include "endpoint/identity_priv.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tls/digest.h"
#include "endpoint/auth.h"

#define USED_EVERY_MS 600000		/* the last use is stored that often */

static uint64_t
file_number(const uint8_t sha256[32])
{
	uint64_t n;

	memcpy(&n, sha256, sizeof(n));
	return (n & (IDENTITY_FILE_BIT - 1)) | IDENTITY_FILE_BIT;
}

/* As many comparisons for somebody unknown as for one with one credential. */
static struct credential *
compare(const struct member *m, const struct identity_proof *p,
    int64_t now_ms)
{
	static const uint8_t nobody[32];
	struct credential *found = NULL, *c = m == NULL ? NULL : m->first;

	if (c == NULL)
		(void)digest_equal(nobody, p->value, 32);
	for (; c != NULL; c = c->next)
		if (digest_equal(c->value, p->value, 32) &&
		    c->kind == p->kind && !c->revoked &&
		    (c->expires_ms == 0 || c->expires_ms > now_ms))
			found = c;
	return found;
}

/* Under the lock. */
static int
decide(struct identity *in, const char *endpoint,
    const struct identity_proof *p, int64_t now_ms, uint64_t *ret_number,
    struct credential **ret_used)
{
	struct member *m = member_find(in, endpoint);
	struct credential *c = compare(m, p, now_ms);
	bool in_file = p->kind == STORE_CRED_TOKEN && in->file != NULL &&
	    auth_file_has(in->file, endpoint, p->value);

	if (m != NULL && m->status == STORE_DENIED)
		return -EACCES;
	if (m != NULL && m->status == STORE_PENDING)
		return c != NULL ? -EINPROGRESS : -EACCES;
	if (c != NULL) {
		*ret_number = c->number;
		*ret_used = c;
		return 0;
	}
	if (in_file) {
		*ret_number = file_number(p->value);
		return 0;
	}
	/* The CA of the listener vouches; unless this one was revoked. */
	if (p->kind == STORE_CRED_CERT && in->rules.cert_admits &&
	    (m == NULL || member_credential(m, p->kind, p->value) == NULL))
		return -ENOENT;
	return -EACCES;
}

struct used {
	struct store_job job;
	uint64_t number;
	int64_t at_ms;
};

static int
store_used(struct store_job *j, struct store_db *db)
{
	struct used *u = CT_CONTAINER(j, struct used, job);
	int r = store_credential_used(db, u->number, u->at_ms);

	return r == -ENOENT ? 0 : r;	/* forgotten meanwhile */
}

static void
stored_used(struct store_job *j)
{
	mem_free(CT_CONTAINER(j, struct used, job));
}

/* Nobody waits for this; what cannot be stored now is stored the next time. */
static void
note_use(struct identity *in, uint64_t number, int64_t at_ms)
{
	struct used *u = mem_calloc(1, sizeof(*u));

	if (u == NULL)
		return;
	u->job.run = store_used;
	u->job.done = stored_used;
	u->job.bytes = sizeof(*u);
	u->number = number;
	u->at_ms = at_ms;
	if (store_submit(in->deps.store, &u->job) != 0)
		mem_free(u);
}

int
identity_may_try(struct identity *in, const char *guessed,
    const char *address)
{
	uint64_t now = clock_mono_ms();
	int r = 0;

	(void)pthread_mutex_lock(&in->lock);
	if (throttle_full(&in->addresses, address,
	    in->rules.failures_address, now)) {
		atomic_fetch_add(&in->throttled_address, 1);
		r = -EDQUOT;
	} else if (guessed != NULL && throttle_full(&in->identities, guessed,
	    in->rules.failures_identity, now)) {
		atomic_fetch_add(&in->throttled_identity, 1);
		r = -EDQUOT;
	}
	(void)pthread_mutex_unlock(&in->lock);
	return r;
}

void
identity_failed(struct identity *in, const char *guessed,
    const char *address)
{
	uint64_t now = clock_mono_ms();

	atomic_fetch_add(&in->refused, 1);
	(void)pthread_mutex_lock(&in->lock);
	throttle_count(&in->addresses, address, in->rules.failures_address,
	    now);
	if (guessed != NULL)
		throttle_count(&in->identities, guessed,
		    in->rules.failures_identity, now);
	(void)pthread_mutex_unlock(&in->lock);
}

int
identity_check(struct identity *in, const char *endpoint,
    const struct identity_proof *p, uint64_t *ret_number)
{
	int64_t wall = clock_wall_ms();
	struct credential *c = NULL;
	bool note = false;
	int r;

	(void)pthread_mutex_lock(&in->lock);
	r = decide(in, endpoint, p, wall, ret_number, &c);
	if (c != NULL && wall - c->used_ms > USED_EVERY_MS) {
		c->used_ms = wall;
		note = true;
	}
	(void)pthread_mutex_unlock(&in->lock);
	if (note)
		note_use(in, *ret_number, wall);
	return r;
}

static bool
file_holds(const struct auth_file *f, const char *endpoint, uint64_t number)
{
	const uint8_t *sha256;
	const char *id;

	if (f == NULL)
		return false;
	for (size_t i = auth_file_find(f, endpoint); auth_file_entry(f, i,
	    &id, &sha256) && strcmp(id, endpoint) == 0; i++)
		if (file_number(sha256) == number)
			return true;
	return false;
}

static bool
holds(const struct identity *in, const char *endpoint, uint64_t number)
{
	const struct member *m = member_find(in, endpoint);
	const struct credential *c = m == NULL ? NULL : m->first;

	if (m != NULL && m->status != STORE_ACTIVE)
		return false;
	if ((number & IDENTITY_FILE_BIT) != 0)
		return file_holds(in->file, endpoint, number);
	while (c != NULL && c->number != number)
		c = c->next;
	return c != NULL && !c->revoked;
}

/* Whoever was let in by a token that is gone has to go too. */
static void
kick_gone(struct identity *in, const struct auth_file *old,
    const struct auth_file *fresh)
{
	const uint8_t *sha256;
	const char *id;

	for (size_t i = 0; old != NULL && auth_file_entry(old, i, &id,
	    &sha256); i++)
		if (!auth_file_has(fresh, id, sha256))
			(void)endpoint_kick_credential(in->deps.endpoints, id,
			    file_number(sha256));
}

void
identity_set_file(struct identity *in, struct auth_file *f)
{
	struct auth_file *old;

	(void)pthread_mutex_lock(&in->lock);
	old = in->file;
	in->file = auth_file_ref(f);
	(void)pthread_mutex_unlock(&in->lock);
	kick_gone(in, old, f);
	auth_file_unref(&old);
}

bool
identity_holds(struct identity *in, const char *endpoint, uint64_t number)
{
	bool ok;

	(void)pthread_mutex_lock(&in->lock);
	ok = holds(in, endpoint, number);
	(void)pthread_mutex_unlock(&in->lock);
	return ok;
}
