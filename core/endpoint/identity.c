/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The working copy: members by id and their credentials, read from the store at
 * the start.  What is made of it is in identity_check.c and its neighbours.
 */
#include "endpoint/identity_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strtab.h"
#include "tls/digest.h"
#include "endpoint/auth.h"

#define FIRST_BUCKETS 64

/* ---- members ----------------------------------------------------------- */

static size_t
place_of(const struct identity *in, const char *id)
{
	return strtab_hash(id) & (in->buckets - 1);
}

struct member *
member_find(const struct identity *in, const char *id)
{
	struct member *m = NULL;

	if (in->buckets > 0)
		m = in->bucket[place_of(in, id)];
	while (m != NULL && strcmp(m->id, id) != 0)
		m = m->next;
	return m;
}

/* Doubles the buckets when they are full on average. */
static int
grow(struct identity *in)
{
	size_t old_n = in->buckets, n = old_n == 0 ? FIRST_BUCKETS : old_n * 2;
	struct member **old = in->bucket, **fresh, *m, *next, **to;

	if (in->count < old_n)
		return 0;
	if ((fresh = mem_calloc(n, sizeof(*fresh))) == NULL)
		return old == NULL ? -ENOMEM : 0;
	in->bucket = fresh;
	in->buckets = n;
	for (size_t i = 0; i < old_n; i++)
		for (m = old[i]; m != NULL; m = next) {
			next = m->next;
			to = &in->bucket[place_of(in, m->id)];
			m->next = *to;
			*to = m;
		}
	mem_free(old);
	return 0;
}

struct member *
member_get(struct identity *in, const char *id, int64_t now_ms)
{
	struct member *m = member_find(in, id), **to;
	size_t n = strlen(id) + 1;

	if (m != NULL || grow(in) != 0 ||
	    (m = mem_calloc(1, sizeof(*m) + n)) == NULL)
		return m;
	memcpy(m->id, id, n);
	m->created_ms = now_ms;
	m->status = STORE_ACTIVE;
	to = &in->bucket[place_of(in, id)];
	m->next = *to;
	*to = m;
	in->count++;
	return m;
}

void
member_set_status(struct identity *in, struct member *m,
    enum store_status status)
{
	in->pending -= m->status == STORE_PENDING;
	in->denied -= m->status == STORE_DENIED;
	m->status = (uint8_t)status;
	in->pending += m->status == STORE_PENDING;
	in->denied += m->status == STORE_DENIED;
}

static void
member_free(struct member *m)
{
	struct credential *c, *next;

	for (c = m->first; c != NULL; c = next) {
		next = c->next;
		mem_free_wiped(c, sizeof(*c));
	}
	mem_free(m);
}

void
member_remove(struct identity *in, struct member *m)
{
	struct member **at = &in->bucket[place_of(in, m->id)];

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	member_set_status(in, m, STORE_ACTIVE);
	for (struct credential *c = m->first; c != NULL; c = c->next)
		in->credentials--;
	in->count--;
	member_free(m);
}

struct credential *
member_credential(const struct member *m, enum store_cred_kind kind,
    const uint8_t value[32])
{
	struct credential *c = m->first;

	while (c != NULL && (c->kind != kind ||
	    !digest_equal(c->value, value, 32)))
		c = c->next;
	return c;
}

int
member_add(struct identity *in, struct member *m,
    const struct store_credential *s)
{
	struct credential *c = mem_alloc(sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	*c = (struct credential){
		.next = m->first, .number = s->number,
		.expires_ms = s->expires_ms, .used_ms = s->used_ms,
		.kind = (uint8_t)s->kind, .revoked = s->revoked
	};
	memcpy(c->value, s->value, sizeof(c->value));
	m->first = c;
	in->credentials++;
	return 0;
}

/* ---- reading the store ------------------------------------------------- */

struct reading {
	struct identity *in;
	int error;
};

/* Who is active and has no credential here, but in the token file or by a
 * certificate, needs no member. */
static bool
read_endpoint(void *ctx, const struct store_endpoint *e)
{
	struct reading *r = ctx;
	struct member *m;

	(void)endpoint_said(r->in->deps.endpoints, e->presence.id,
	    identity_said(e->agent, e->boot_id, e->peer, e->listener));
	if (e->status == STORE_ACTIVE)
		return true;
	(void)pthread_mutex_lock(&r->in->lock);
	if (member_find(r->in, e->presence.id) == NULL) {
		m = member_get(r->in, e->presence.id, e->created_ms);
		if (m == NULL)
			r->error = -ENOMEM;
		else
			member_set_status(r->in, m, e->status);
	}
	(void)pthread_mutex_unlock(&r->in->lock);
	return r->error == 0;
}

static bool
has_number(const struct member *m, uint64_t number)
{
	const struct credential *c = m->first;

	while (c != NULL && c->number != number)
		c = c->next;
	return c != NULL;
}

static void
read_credential(void *ctx, const struct store_credential *c)
{
	struct reading *r = ctx;
	struct member *m;

	if (r->error != 0)
		return;
	(void)pthread_mutex_lock(&r->in->lock);
	m = member_get(r->in, c->endpoint, c->created_ms);
	if (m == NULL)
		r->error = -ENOMEM;
	else if (!has_number(m, c->number))
		r->error = member_add(r->in, m, c);
	(void)pthread_mutex_unlock(&r->in->lock);
}

static int
read_all(struct identity *in)
{
	struct store_endpoint_filter all = { .after = "", .prefix = "",
	    .group = "", .state = -1, .status = -1, .limit = INT32_MAX };
	struct store_db *db = store_reader(in->deps.store);
	struct reading r = { .in = in };
	int e = store_endpoint_list(db, &all, read_endpoint, &r);

	if (e == 0 && r.error == 0)
		e = store_credential_each(db, NULL, read_credential, &r);
	return e != 0 ? e : r.error;
}

int
identity_new(const struct identity_deps *deps,
    const struct identity_rules *rules, struct identity **ret)
{
	struct identity *in = mem_calloc(1, sizeof(*in));
	int r;

	if (in == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&in->lock, NULL);
	in->deps = *deps;
	in->rules = *rules;
	r = digest_random(&in->addresses.salt, sizeof(uint64_t));
	in->identities.salt = in->tries.salt = in->addresses.salt;
	if (r != 0)
		identity_free(&in);
	else
		*ret = in;
	return r;
}

int
identity_load(struct identity *in, char *why)
{
	int r = read_all(in);

	if (r != 0)
		(void)snprintf(why, 256, "identities cannot be read: %s",
		    strerror(-r));
	return r;
}

void
identity_free(struct identity **pi)
{
	struct identity *in = *pi;
	struct member *m, *next;

	*pi = NULL;
	if (in == NULL)
		return;
	for (size_t i = 0; i < in->buckets; i++)
		for (m = in->bucket[i]; m != NULL; m = next) {
			next = m->next;
			member_free(m);
		}
	mem_free(in->bucket);
	auth_file_unref(&in->file);
	(void)pthread_mutex_destroy(&in->lock);
	mem_free(in);
}

void
identity_set_rules(struct identity *in, const struct identity_rules *rules)
{
	(void)pthread_mutex_lock(&in->lock);
	in->rules = *rules;
	(void)pthread_mutex_unlock(&in->lock);
}

void
identity_figures(struct identity *in, struct identity_figures *ret)
{
	(void)pthread_mutex_lock(&in->lock);
	*ret = (struct identity_figures){
		.pending = in->pending, .denied = in->denied,
		.credentials = in->credentials,
		.refused = atomic_load(&in->refused),
		.throttled_address = atomic_load(&in->throttled_address),
		.throttled_identity = atomic_load(&in->throttled_identity)
	};
	(void)pthread_mutex_unlock(&in->lock);
	for (int i = 0; i < ENROL_RESULTS; i++)
		ret->enrolments[i] = atomic_load(&in->enrolments[i]);
}

const char *
enrol_result_name(enum enrol_result r)
{
	static const char *const names[ENROL_RESULTS] = {
		[ENROL_ENROLLED] = "enrolled", [ENROL_PENDING] = "pending",
		[ENROL_REFUSED] = "refused", [ENROL_FULL] = "full",
		[ENROL_THROTTLED] = "throttled", [ENROL_BUSY] = "busy"
	};

	return names[r];
}
