/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What devices say of themselves when they are let in, and from where:
 * stored when it is not what is stored, so that a fleet that comes back
 * costs no writes.
 */
#include "endpoint/identity_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/check.h"
#include "base/mem.h"

static uint64_t
mix(uint64_t h, const char *s)
{
	do				/* FNV-1a, with the end of each text */
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	while (*s++ != '\0');
	return h;
}

uint32_t
identity_said(const char *agent, const char *boot_id, const char *peer,
    const char *listener)
{
	uint64_t h = mix(mix(mix(mix(0xcbf29ce484222325u, agent), boot_id),
	    peer), listener);

	return (uint32_t)(h >> 40) | 1;
}

struct note {
	struct store_job job;
	struct identity *in;
	char endpoint[ENDPOINT_ID_MAX + 1];
	char agent[129], boot_id[129], peer[ADDR_TEXT_SIZE], listener[65];
};

static int
run_note(struct store_job *j, struct store_db *db)
{
	const struct note *n = CT_CONTAINER(j, struct note, job);
	struct endpoint_facts facts;
	enum store_status was;

	/* It was forgotten meanwhile. */
	if (endpoint_get(n->in->deps.endpoints, n->endpoint, &facts) != 0 &&
	    store_endpoint_status(db, n->endpoint, &was) == -ENOENT)
		return 0;
	return store_endpoint_hello(db, n->endpoint, n->agent, n->boot_id,
	    n->peer, n->listener);
}

static void
note_done(struct store_job *j)
{
	struct note *n = CT_CONTAINER(j, struct note, job);

	if (j->error != 0)		/* the next hello says it again */
		(void)endpoint_said(n->in->deps.endpoints, n->endpoint, 0);
	mem_free(n);
}

void
identity_note_hello(struct identity *in, const char *endpoint,
    const char *agent, const char *boot_id, const char *peer,
    const char *listener)
{
	struct note *n = mem_alloc(sizeof(*n));
	uint32_t said;

	if (n == NULL)
		return;			/* the next hello says it again */
	n->in = in;
	n->job = (struct store_job){ .run = run_note, .done = note_done,
	    .bytes = sizeof(*n) };
	(void)snprintf(n->endpoint, sizeof(n->endpoint), "%s", endpoint);
	(void)snprintf(n->agent, sizeof(n->agent), "%s", agent);
	(void)snprintf(n->boot_id, sizeof(n->boot_id), "%s", boot_id);
	(void)snprintf(n->peer, sizeof(n->peer), "%.*s",
	    (int)addr_host_length(peer), peer);
	(void)snprintf(n->listener, sizeof(n->listener), "%s",
	    listener == NULL ? "" : listener);
	said = identity_said(n->agent, n->boot_id, n->peer, n->listener);
	if (endpoint_said(in->deps.endpoints, endpoint, said)) {
		mem_free(n);
	} else if (store_submit(in->deps.store, &n->job) != 0) {
		(void)endpoint_said(in->deps.endpoints, endpoint, 0);
		mem_free(n);
	}
}
