/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An accepted hello becomes the endpoint's live channel (decision 0007).  Where
 * another is live, the last wins and the old one is closed by mail to its worker;
 * or the first: the old one is pinged, and only if it is not heard within
 * PROBE_MS it ends and makes room.  The question is one allocation that goes to
 * the old channel's worker and back.
 */
#include "channel_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"
#include "channel/clone.h"

#define PROBE_MS 2000
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

/* ---- closed by others ------------------------------------------------------- */

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

/* ---- first in wins ---------------------------------------------------------- */

struct contest {
	struct mail mail;
	struct contest *next;		/* in theirs->contests */
	struct timer timer;
	struct channel_worker *mine, *theirs;	/* the newcomer's, the holder's */
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

/* ---- the hello ---------------------------------------------------------------- */

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
	struct closing *s = mem_alloc(sizeof(*s));
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
	post_closing(s, cw->shared.workers[ret_old->worker],
	    ret_old->channel_id, CLOSE_SUPERSEDED,
	    "another channel took over");
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

/* ---- the end -------------------------------------------------------------------- */

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
