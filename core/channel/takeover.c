/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An accepted hello becomes the endpoint's live channel (decision 0007).  Where
 * another is live, the last wins and the old one is closed by mail to its
 * worker; or the first: the old one is pinged, and only if it is not heard
 * within PROBE_MS it ends and makes room.  The question is one allocation that
 * goes to the old channel's worker and back.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"
#include "endpoint/clone.h"

#define PROBE_MS 2000

/* ---- closed by others -------------------------------------------------- */

static void
close_it(struct mail *m)
{
	struct endpoint_closing *s = CT_CONTAINER(m, struct endpoint_closing,
	    mail);
	/* Not there: it ended by itself, or is on its way to another worker,
	 * which asks when it arrives whether it may live on. */
	struct channel *c = channel_find(s->to, s->place.channel_id);

	if (c != NULL)
		channel_close(c, s->code, s->why);
	mem_free(s);
}

void
channel_pass_closing(void *workers, struct endpoint_closing *s)
{
	struct channel_worker *const *cw = workers;
	struct channel_worker *to = cw[s->place.worker];

	s->mail.fn = close_it;
	s->to = to;
	mailbox_post(&to->worker->mailbox, &s->mail);
}

/* ---- first in wins ----------------------------------------------------- */

struct contest {
	struct mail mail;
	struct contest *next;		/* in theirs->contests */
	struct timer timer;
	struct channel_worker *mine, *theirs;	/* the newcomer's,
						 * the holder's */
	uint64_t newcomer, holder;	/* channel ids */
	uint32_t unsent;		/* bytes, when the probe was sent */
	bool heard;
};

static void
answered(struct mail *m)
{
	struct contest *k = CT_CONTAINER(m, struct contest, mail);
	struct channel_worker *cw = k->mine;
	struct channel *c = channel_find(cw, k->newcomer);
	bool heard = k->heard;

	mem_free(k);
	if (c == NULL || c->pre == NULL || !c->pre->contested)
		return;			/* it did not wait */
	c->pre->contested = false;
	if (heard) {
		COUNT(cw, refused_busy, 1);
		log_notice("refused, another channel has the identity "
		    "endpoint=%s peer=%s", c->pre->endpoint, c->pre->peer);
		channel_admitted(c, -EBUSY, 0);
	} else {
		takeover_begin(c);
	}
	loop_defer(cw->loop, &cw->defer);	/* wakes the bus */
}

/* On the holder's worker; the contest is in no list. */
static void
answer(struct contest *k, bool heard)
{
	loop_timer_stop(k->theirs->loop, &k->timer);
	k->heard = heard;
	k->mail.fn = answered;
	mailbox_post(&k->mine->worker->mailbox, &k->mail);
}

void
takeover_decided(struct channel *c, bool heard)
{
	struct contest **pk = &c->owner->contests, *k;

	c->probed = false;
	while ((k = *pk) != NULL) {
		if (k->holder != c->id) {
			pk = &k->next;
			continue;
		}
		*pk = k->next;
		answer(k, heard);
	}
}

static void
not_heard(struct timer *t)
{
	struct contest *k = CT_CONTAINER(t, struct contest, timer);
	struct channel *c = channel_find(k->theirs, k->holder);

	CT_ASSERT(c != NULL && c->probed);	/* its end decides */
	/* Who is not read, because he is slow to read us, shows by taking
	 * bytes that he is there (keepalive.c). */
	if (!c->stream.reading && channel_unsent(c) < k->unsent) {
		takeover_decided(c, true);
		return;
	}
	COUNT(c->owner, timeouts, 1);
	channel_kill(c, WS_CLOSE_ABNORMAL, REASON_TIMEOUT);
}

static void
contested(struct mail *m)
{
	struct contest *k = CT_CONTAINER(m, struct contest, mail);
	struct channel_worker *cw = k->theirs;
	struct channel *c = channel_find(cw, k->holder);

	if (cw->stopping) {		/* and so is the other */
		mem_free(k);
		return;
	}
	timer_init(&k->timer, not_heard);
	if (c == NULL) {
		answer(k, false);
		return;
	}
	k->next = cw->contests;
	cw->contests = k;
	c->probed = true;
	k->unsent = channel_unsent(c);
	loop_timer_set(cw->loop, &k->timer, PROBE_MS);
	channel_probe(c);		/* may end it, and the contest */
}

static int
contest(struct channel *c, const struct endpoint_place *holder)
{
	struct channel_worker *cw = c->owner;
	struct contest *k = mem_calloc(1, sizeof(*k));

	if (k == NULL)
		return -ENOMEM;
	k->mine = cw;
	k->theirs = cw->shared.workers[holder->worker];
	k->newcomer = c->id;
	k->holder = holder->channel_id;
	k->mail.fn = contested;
	c->pre->contested = true;
	mailbox_post(&k->theirs->worker->mailbox, &k->mail);
	return 0;
}

/* ---- the hello --------------------------------------------------------- */

/* Two devices with one identity do this to each other again and again. */
static void
replaced(struct channel *c)
{
	struct channel_worker *cw = c->owner;
	const struct clone_sight sight = {
		.peer = c->pre->peer, .boot_id = c->pre->boot_id
	};

	COUNT(cw, replaced, 1);
	clone_replaced(cw->shared.endpoints, c->endpoint, &sight,
	    &cw->limits.clone);
}

static int
claim(struct channel *c, uint64_t *ret_number, struct endpoint_place *ret_old)
{
	struct channel_worker *cw = c->owner;
	struct endpoint_closing *s = mem_alloc(sizeof(*s));
	struct endpoint_claim what = {
		.id = c->pre->endpoint,
		.place = { .channel_id = c->id, .worker = cw->index },
		.security = c->pre->security,
		.peer = c->pre->peer,
		.agent = c->pre->agent,
		.credential = c->pre->credential,
		.polite = cw->limits.first_in_wins
	};
	int r;

	if (s == NULL)
		return -ENOMEM;
	r = endpoint_claim(cw->shared.endpoints, &what, &c->endpoint,
	    ret_number, ret_old);
	if (r != 0 || ret_old->channel_id == 0) {
		mem_free(s);
		return r;
	}
	s->place = *ret_old;
	s->code = CLOSE_SUPERSEDED;
	(void)snprintf(s->why, sizeof(s->why), "another channel took over");
	channel_pass_closing(cw->shared.workers, s);
	replaced(c);
	return 0;
}

void
takeover_begin(struct channel *c)
{
	struct endpoint_place old = { 0 };
	uint64_t number = 0;
	int r = claim(c, &number, &old);

	if (r == -EBUSY)
		r = contest(c, &old);
	if (r != 0 || !c->pre->contested)
		channel_admitted(c, r, number);
}

/* ---- the end ----------------------------------------------------------- */

void
takeover_stop(struct channel_worker *cw)
{
	struct contest *k;

	cw->stopping = true;
	while ((k = cw->contests) != NULL) {
		cw->contests = k->next;
		loop_timer_stop(cw->loop, &k->timer);
		mem_free(k);
	}
}
