/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An accepted hello becomes the endpoint's live channel; the one that was live
 * is closed by mail to its worker (decision 0007).
 */
#include "channel_priv.h"

#include <errno.h>

#include "base/mem.h"
#include "base/worker.h"

/* Sent to the worker that has the channel which was taken over. */
struct supersede {
	struct mail mail;
	struct channel_worker *to;
	uint64_t id;
};

static void
superseded(struct mail *m)
{
	struct supersede *s = CT_CONTAINER(m, struct supersede, mail);
	/* Not there: it ended by itself, or is on its way to another worker,
	 * which asks whether it is still the live one when it arrives. */
	struct channel *c = channel_find(s->to, s->id);

	if (c != NULL)
		channel_close(c, 4003, "another channel took over");
	mem_free(s);
}

static int
claim(struct channel *c, uint64_t *ret_number)
{
	struct channel_worker *cw = c->owner;
	struct supersede *s = mem_alloc(sizeof(*s));
	struct endpoint_place old;
	struct endpoint_claim what = {
		.id = c->pre->endpoint,
		.place = { .channel_id = c->id, .worker = cw->index },
		.security = c->pre->security,
		.peer = c->pre->peer,
		.agent = c->pre->agent
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
	s->mail.fn = superseded;
	s->to = cw->shared.workers[old.worker];
	s->id = old.channel_id;
	mailbox_post(&s->to->worker->mailbox, &s->mail);
	return 0;
}

void
takeover_begin(struct channel *c)
{
	uint64_t number = 0;
	int r = claim(c, &number);

	channel_admitted(c, r, number);
}
