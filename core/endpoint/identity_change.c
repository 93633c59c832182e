/* SPDX-License-Identifier: Apache-2.0 */
/* See identity_change.h. */
#include "endpoint/identity_change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tls/digest.h"

struct change *
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

void
change_free(struct change *c)
{
	if (c->reserved) {
		(void)pthread_mutex_lock(&c->in->lock);
		c->in->enrolling--;
		(void)pthread_mutex_unlock(&c->in->lock);
	}
	mem_free_wiped(c, sizeof(*c));
}

void
change_count_enrolment(struct identity *in, int error)
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
	if (error != 0 && c->undo != NULL)
		c->undo(c);
	/* An approval that crossed it may have let somebody in. */
	if (error == 0 && c->status == STORE_DENIED)
		(void)endpoint_kick(c->in->deps.endpoints, c->endpoint,
		    ENDPOINT_KICK_REVOKED, "denied");
	if (error == 0 && c->event != EVENT_TYPES)
		tell(c->in, c->event, c->endpoint, NULL);
	if (error == 0 && c->status == STORE_PENDING)
		error = -EINPROGRESS;
	if (c->enrols && (error != 0 || c->event != EVENT_TYPES))
		change_count_enrolment(c->in, error);
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

int
change_submit(struct change *c)
{
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->job.done = change_done;
	r = store_submit(c->in->deps.store, &c->job);
	if (r != 0 && c->enrols)
		change_count_enrolment(c->in, r);
	if (r != 0 && c->undo != NULL)
		c->undo(c);
	if (r != 0)
		change_free(c);
	return r == -ESHUTDOWN ? -EAGAIN : r;
}

int
change_secret(char to[64], uint8_t ret_sha256[32])
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
