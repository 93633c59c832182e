/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An accepted hello becomes the endpoint's live channel; the one that was live
 * is closed by mail to its worker (decision 0007).
 */
#include "channel_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/worker.h"

#define WHY_MAX 123			/* RFC 6455 5.5.1 */

/* Sent to the worker that has a channel which is to close. */
struct closing {
	struct mail mail;
	struct channel_worker *to;
	uint64_t id;
	uint16_t code;
	char why[WHY_MAX + 1];
};

static void
close_it(struct mail *m)
{
	struct closing *s = CT_CONTAINER(m, struct closing, mail);
	/* Not there: it ended by itself, or is on its way to another worker,
	 * which asks when it arrives whether it may live on. */
	struct channel *c = channel_find(s->to, s->id);

	if (c != NULL)
		channel_close(c, s->code, s->why);
	mem_free(s);
}

static void
post_closing(struct closing *s, struct channel_worker *to, uint64_t id,
    uint16_t code, const char *why)
{
	s->mail.fn = close_it;
	s->to = to;
	s->id = id;
	s->code = code;
	(void)snprintf(s->why, sizeof(s->why), "%s", why);
	mailbox_post(&to->worker->mailbox, &s->mail);
}

static int
kick(struct endpoint_table *t, const char *id, const uint64_t *credential,
    uint16_t code, const char *why)
{
	struct channel_worker **workers = endpoint_table_workers(t);
	struct endpoint_place place;
	struct closing *s;
	int r;

	if (workers == NULL)		/* there are no channels */
		return -ENOENT;
	s = mem_alloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	r = endpoint_mark_kick(t, id, credential, code, &place);
	if (r != 0) {
		mem_free(s);
		return r;
	}
	post_closing(s, workers[place.worker], place.channel_id, code, why);
	return 0;
}

int
endpoint_kick(struct endpoint_table *t, const char *id, uint16_t code,
    const char *why)
{
	return kick(t, id, NULL, code, why);
}

int
endpoint_kick_credential(struct endpoint_table *t, const char *id,
    uint64_t number)
{
	return kick(t, id, &number, CLOSE_REVOKED, "the credential was revoked");
}

static int
claim(struct channel *c, uint64_t *ret_number)
{
	struct channel_worker *cw = c->owner;
	struct closing *s = mem_alloc(sizeof(*s));
	struct endpoint_place old;
	struct endpoint_claim what = {
		.id = c->pre->endpoint,
		.place = { .channel_id = c->id, .worker = cw->index },
		.security = c->pre->security,
		.peer = c->pre->peer,
		.agent = c->pre->agent,
		.credential = c->pre->credential
	};
	int r;

	if (s == NULL)
		return -ENOMEM;
	r = endpoint_claim(cw->shared.endpoints, &what, &c->endpoint,
	    ret_number, &old);
	if (r != 0 || old.channel_id == 0) {
		mem_free(s);
		return r;
	}
	post_closing(s, cw->shared.workers[old.worker], old.channel_id,
	    CLOSE_SUPERSEDED, "another channel took over");
	return 0;
}

void
takeover_begin(struct channel *c)
{
	uint64_t number = 0;
	int r = claim(c, &number);

	channel_admitted(c, r, number);
}
