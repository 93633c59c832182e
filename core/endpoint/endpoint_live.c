/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What channels say to the endpoint table.  Only the live one is listened to,
 * except by endpoint_claim(), which makes another one live.
 */
#include "endpoint/endpoint_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

/* Under the lock: the channel of `c` becomes the live one. */
static void
make_live(struct endpoint_table *t, struct endpoint_shard *s,
    struct endpoint *e, const struct endpoint_claim *c)
{
	bool unknown = e->state == PRESENCE_UNKNOWN;

	endpoint_let_go(s, e);
	s->live[c->security]++;
	e->channel_id = c->place.channel_id;
	e->worker = c->place.worker;
	e->security = c->security;
	e->credential = c->credential;
	e->rtt_us = 0;
	e->number++;
	e->revision++;
	e->seen = endpoint_wall(clock_wall_ms());
	if (t->keeper.nudge != NULL) {
		e->unstored++;
		e->uncollected++;
	}
	(void)endpoint_apply(t, s, e, PRESENCE_IN_HELLO, 0);
	endpoint_mark(t, s, e);
	if (unknown)
		atomic_fetch_add(&t->heard, 1);
}

static void
publish_claim(struct endpoint_table *t, const struct endpoint *e,
    const struct endpoint_claim *c, uint64_t old_number)
{
	struct event ev;

	endpoint_fill_event(&ev, e, EVENT_ENDPOINT_ONLINE);
	if (old_number != 0) {
		ev.type = EVENT_ENDPOINT_REPLACED;
		ev.old_channel = old_number;
	}
	ev.peer = c->peer;
	ev.text = c->agent;
	event_emit(t->bus, &ev);
}

int
endpoint_claim(struct endpoint_table *t, const struct endpoint_claim *c,
    struct endpoint **ret, uint64_t *ret_number, struct endpoint_place *ret_old)
{
	uint32_t hash = strtab_hash(c->id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	uint64_t old_number;
	struct endpoint *e;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, c->id);
	if (e == NULL)
		r = endpoint_add(t, s, hash, c->id, &e);
	if (r == 0 && (e->leaving || e->unstored >= ENDPOINT_LEAP_NUMBERS ||
	    (e->channel_id != 0 && endpoint_place(e).channel_id == 0)))
		r = -EAGAIN;
	if (r == 0 || r == -EAGAIN)
		*ret_old = endpoint_place(e);
	if (r == 0 && c->polite && e->channel_id != 0)
		r = -EBUSY;
	if (r == 0) {
		old_number = e->channel_id == 0 ? 0 : e->number;
		endpoint_recall(t, s, e);
		make_live(t, s, e, c);
		publish_claim(t, e, c, old_number);
		*ret = e;
		*ret_number = e->number;
	}
	endpoint_leave(t, s);
	return r;
}

void
endpoint_let_go(struct endpoint_shard *s, struct endpoint *e)
{
	if (e->channel_id != 0)
		s->live[e->security]--;
	e->channel_id = 0;
	e->credential = 0;
	e->kick_code = 0;
	e->security = SECURITY_NONE;
}

void
endpoint_input(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, enum presence_input input, unsigned arg)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id) {
		bool changed = endpoint_apply(t, s, e, input, arg);

		if (input == PRESENCE_IN_END)
			endpoint_let_go(s, e);
		if (changed)
			endpoint_publish_state(t, e);
	}
	endpoint_leave(t, s);
}

void
endpoint_seen(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, int64_t wall_ms)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id)
		e->seen = endpoint_wall(wall_ms);
	pthread_mutex_unlock(&s->lock);
}

void
endpoint_sleep(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, int64_t until_wall_ms)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id) {
		e->until = endpoint_wall(until_wall_ms);
		endpoint_mark(t, s, e);
		(void)endpoint_apply(t, s, e, PRESENCE_IN_INTENT,
		    INTENT_SLEEP);
	}
	endpoint_leave(t, s);
}

int
endpoint_moved(struct endpoint_table *t, const char *id,
    struct endpoint_place place, struct endpoint **ret)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e == NULL) {
		r = -ENOENT;
	} else if (e->channel_id != place.channel_id) {
		r = -ESTALE;
	} else {
		e->worker = place.worker;
		*ret = e;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void
endpoint_set_rtt(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, uint32_t rtt_us)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id) {
		e->rtt_us = rtt_us;
		e->seen = endpoint_wall(clock_wall_ms());
	}
	pthread_mutex_unlock(&s->lock);
}

int
endpoint_publish(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id, const char *detail, size_t n)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);
	struct event ev;
	int r = -EPERM;

	pthread_mutex_lock(&s->lock);
	if (e->channel_id == channel_id) {
		endpoint_fill_event(&ev, e, EVENT_ENDPOINT_MESSAGE);
		ev.detail = detail;
		ev.detail_n = n;
		event_emit(t->bus, &ev);
		r = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Notes the code.  credential NULL: any. */
static int
mark_kick(struct endpoint_table *t, const char *id,
    const uint64_t *credential, uint16_t code, struct endpoint_place *ret)
{
	uint32_t hash = strtab_hash(id);
	struct endpoint_shard *s = endpoint_shard_of(t, hash);
	struct endpoint *e;
	int r = -ENOENT;

	pthread_mutex_lock(&s->lock);
	e = endpoint_find(s, hash, id);
	if (e != NULL && e->channel_id != 0 &&
	    (credential == NULL || e->credential == *credential)) {
		e->kick_code = code;
		*ret = endpoint_place(e);
		r = ret->channel_id == 0 ? -ENOENT : 0;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static int
kick(struct endpoint_table *t, const char *id, const uint64_t *credential,
    uint16_t code, const char *why)
{
	struct endpoint_closing *c;
	int r;

	if (t->close == NULL)		/* there are no channels */
		return -ENOENT;
	c = mem_alloc(sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	r = mark_kick(t, id, credential, code, &c->place);
	if (r != 0) {
		mem_free(c);
		return r;
	}
	c->code = code;
	(void)snprintf(c->why, sizeof(c->why), "%s", why);
	t->close(t->close_ctx, c);
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
	return kick(t, id, &number, ENDPOINT_KICK_REVOKED,
	    "the credential was revoked");
}

uint16_t
endpoint_kick_code(struct endpoint_table *t, struct endpoint *e,
    uint64_t channel_id)
{
	struct endpoint_shard *s = endpoint_shard_of(t, e->hash);
	uint16_t code;

	pthread_mutex_lock(&s->lock);
	code = e->channel_id == channel_id ? (uint16_t)e->kick_code :
	    ENDPOINT_KICK_SUPERSEDED;
	pthread_mutex_unlock(&s->lock);
	return code;
}
