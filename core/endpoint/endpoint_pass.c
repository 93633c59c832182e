/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An endpoint whose channel is handed to the next process (handover.h): what
 * goes with it, and what is left of it here.  States do not change by that, so
 * there is no event.
 */
#include "endpoint/endpoint_priv.h"

#include <errno.h>
#include <string.h>

#include "base/id.h"

/* Under the lock.  Field by field: what lies between them stays zero. */
static void
fill(struct endpoint_passed *to, const struct endpoint *e)
{
	memset(to, 0, sizeof(*to));
	to->channel_id = e->channel_id;
	to->number = e->number;
	to->revision = e->revision;
	to->credential = e->credential;
	to->since_ms = (int64_t)e->since;
	to->last_seen_ms = (int64_t)e->seen;
	to->asleep_until_ms = (int64_t)e->until;
	to->rtt_us = e->rtt_us;
	to->kick_code = (uint16_t)e->kick_code;
	to->unstored = e->unstored;
	to->state = (uint8_t)e->state;
	to->reason = (uint8_t)e->reason;
	to->intent = (uint8_t)e->intent;
	to->security = (uint8_t)e->security;
	memcpy(to->id, endpoint_text(e), strlen(endpoint_text(e)));
}

int
endpoint_pass(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, struct endpoint_passed *ret)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);
	int r = -ESTALE;

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id && !e->leaving) {
		fill(ret, e);
		e->worker = ENDPOINT_PASSING;
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void
endpoint_gone(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id)
		e->worker = ENDPOINT_ELSEWHERE;
	pthread_mutex_unlock(&s->lock);
}

static bool
sane(const struct endpoint_passed *f)
{
	return memchr(f->id, '\0', sizeof(f->id)) != NULL &&
	    id_valid(f->id) && f->channel_id != 0 &&
	    f->number != 0 && (f->state == PRESENCE_ONLINE ||
	    f->state == PRESENCE_SUSPECT) && f->reason < REASON_COUNT &&
	    f->intent <= INTENT_SLEEP &&
	    f->security <= SECURITY_WSS_SAFE;
}

/* Under the lock. */
static void
take_over(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e, const struct endpoint_passed *f)
{
	e->channel_id = f->channel_id;
	e->number = f->number;
	e->revision = f->revision;
	e->credential = f->credential;
	e->seen = endpoint_wall(f->last_seen_ms);
	e->until = endpoint_wall(f->asleep_until_ms);
	e->rtt_us = f->rtt_us;
	e->kick_code = f->kick_code;
	e->reason = f->reason;
	e->intent = f->intent;
	e->security = f->security;
	e->unstored = f->unstored;
	if (f->unstored > 0)		/* or they would count for ever */
		endpoint_mark(t, s, e);
	s->live[f->security]++;
	endpoint_set_state(t, s, e, (enum presence_state)f->state,
	    f->since_ms);
}

int
endpoint_receive(struct endpoint_table *t, const struct endpoint_passed *f)
{
	struct endpoint_shard *s;
	struct endpoint *e;
	uint32_t hash;
	int r = 0;

	if (!sane(f))
		return -EINVAL;
	hash = strtab_hash(f->id);
	s = endpoint_shard_of(t, hash);
	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, f->id);
	if (e == NULL)
		r = endpoint_add(t, s, hash, f->id, &e);
	else if (e->forgotten)		/* received before, in vain */
		endpoint_recall(t, s, e);
	else
		r = -EEXIST;
	if (r == 0)
		take_over(t, s, e, f);
	endpoint_leave(t, s);
	return r;
}

void
endpoint_unreceive(struct endpoint_table *t, const char *id,
    uint64_t channel_id)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && e->channel_id == channel_id)
		endpoint_blot_out(t, s, e);
	pthread_mutex_unlock(&s->lock);
}

/* ---- when it went wrong ------------------------------------------------ */

/* Under the lock. */
static bool
lose(struct endpoint_table *t, struct endpoint_shard *s, struct endpoint *e)
{
	if (e->channel_id == 0 || e->worker != ENDPOINT_ELSEWHERE)
		return false;
	e->worker = 0;
	(void)endpoint_apply(t, s, e, PRESENCE_IN_END, REASON_RESET);
	endpoint_let_go(s, e);
	endpoint_publish_state(t, e);
	return true;
}

size_t
endpoint_table_lose_passed(struct endpoint_table *t)
{
	struct endpoint_shard *s;
	size_t n = 0;

	for (int i = 0; i < ENDPOINT_SHARDS; i++) {
		s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		for (size_t b = 0; b < s->buckets; b++)
			for (struct endpoint *e = s->bucket[b]; e != NULL;
			    e = e->next)
				n += lose(t, s, e);
		endpoint_leave(t, s);
	}
	event_kick(t->bus);
	return n;
}

void
endpoint_table_mark_live(struct endpoint_table *t)
{
	struct endpoint_shard *s;

	for (int i = 0; i < ENDPOINT_SHARDS; i++) {
		s = &t->shard[i];
		pthread_mutex_lock(&s->lock);
		for (size_t b = 0; b < s->buckets; b++)
			for (struct endpoint *e = s->bucket[b]; e != NULL;
			    e = e->next)
				if (e->channel_id != 0)
					endpoint_mark(t, s, e);
		endpoint_leave(t, s);
	}
}
