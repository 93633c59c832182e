/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the peer is there: a ping when it was silent for ping_ms, suspect
 * when that is unanswered for suspect_ms, dead dead_ms after its last byte.
 * Any byte counts; of a peer that is not read, because it is slow to read us,
 * the bytes that it takes count.  The timer is not moved by traffic: when it
 * fires it looks at the time of the last byte and goes on from there.
 */
#include "channel/channel_priv.h"

#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/clock.h"

static uint64_t
now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

int64_t
channel_seen(const struct channel *c)
{
	return clock_wall_ms() - (int64_t)(uint32_t)(channel_now(c->owner) -
	    c->last_rx);
}

void
channel_heard(struct channel *c)
{
	c->last_rx = channel_now(c->owner);
	c->ping_out = false;
	if (c->probed)
		takeover_decided(c, true);
	if (!c->suspect)
		return;
	c->suspect = false;
	endpoint_seen(c->owner->shared.endpoints, c->endpoint, c->id,
	    channel_seen(c));
	endpoint_input(c->owner->shared.endpoints, c->endpoint, c->id,
	    PRESENCE_IN_HEARD, 0);
	loop_defer(c->owner->loop, &c->owner->defer);
}

/* The payload of our pings is when they left, in us; unasked pongs (RFC 6455
 * 5.5.3) carry something else. */
void
channel_pong(struct channel *c, const uint8_t *p, size_t n)
{
	uint64_t sent, now = now_us();

	if (n != sizeof(sent) || c->endpoint == NULL)
		return;
	memcpy(&sent, p, sizeof(sent));
	if (sent < now && now - sent < (uint64_t)c->owner->limits.dead_ms *
	    1000)
		endpoint_set_rtt(c->owner->shared.endpoints, c->endpoint, c->id,
		    (uint32_t)(now - sent));
}

uint32_t
channel_unsent(const struct channel *c)
{
	size_t n = stream_backlog(&c->stream);
	int queued = 0;

	if (ioctl(c->stream.watch.fd, SIOCOUTQ, &queued) == 0 && queued > 0)
		n += (size_t)queued;
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

void
channel_probe(struct channel *c)
{
	uint64_t sent = now_us();

	if (!c->ping_out) {
		c->ping_out = true;
		c->ping_at = channel_now(c->owner);
		c->unsent = channel_unsent(c);
	}
	if (!channel_blocked(c))
		(void)channel_frame(c, WS_OP_PING | WS_FIN, &sent,
		    sizeof(sent));
}

static void
suspect(struct channel *c)
{
	c->suspect = true;
	endpoint_input(c->owner->shared.endpoints, c->endpoint, c->id,
	    PRESENCE_IN_UNANSWERED, 0);
	loop_defer(c->owner->loop, &c->owner->defer);
}

static uint32_t
sooner(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Milliseconds from now until something is due again. */
static uint32_t
check_alive(struct channel *c)
{
	const struct channel_limits *l = &c->owner->limits;
	uint32_t now = channel_now(c->owner), idle, waited, until_dead;

	if (c->leaving) {		/* its silence is ours */
		c->last_rx = now;
		c->ping_out = false;
		return l->ping_ms;
	}
	if (!c->stream.reading && c->ping_out &&
	    channel_unsent(c) < c->unsent)
		channel_heard(c);
	idle = now - c->last_rx;
	waited = now - c->ping_at;
	until_dead = idle < l->dead_ms ? l->dead_ms - idle : 0;
	if (until_dead == 0) {
		COUNT(c->owner, timeouts, 1);
		channel_kill(c, WS_CLOSE_ABNORMAL, REASON_TIMEOUT);
		return 0;
	}
	if (!c->ping_out) {
		if (idle < l->ping_ms) {
			/* Nobody who talks is pinged: no pong says this. */
			if (c->endpoint != NULL)
				endpoint_seen(c->owner->shared.endpoints,
				    c->endpoint, c->id, channel_seen(c));
			return l->ping_ms - idle;
		}
		channel_probe(c);
		waited = 0;
	}
	if (c->endpoint != NULL && !c->suspect) {
		if (waited >= l->suspect_ms)
			suspect(c);
		else
			until_dead = sooner(until_dead,
			    l->suspect_ms - waited);
	}
	/* The answer moves no timer, and makes the next ping due. */
	return sooner(until_dead, l->ping_ms);
}

#define HELD_MS 2000			/* to be heard, after a hold */

/* True while the hello may still come. */
static bool
check_hello(struct channel *c, uint32_t *next)
{
	int32_t left;

	if (c->pre == NULL || c->protocol->anonymous)
		return true;
	/* It has come: how long we take is not the device's doing. */
	if (c->pre->wait != NULL || c->pre->contested)
		return true;
	left = (int32_t)(c->pre->deadline - channel_now(c->owner));
	/* Nor is it that no hello is heard while channels move. */
	if (c->owner->holding && left < HELD_MS) {
		c->pre->deadline = channel_now(c->owner) + HELD_MS;
		left = HELD_MS;
	}
	if (left > 0) {
		if ((uint32_t)left < *next)
			*next = (uint32_t)left;
		return true;
	}
	COUNT(c->owner, auth_timeouts, 1);
	channel_close(c, 4002, "hello came too late");
	return false;
}

void
channel_timer(struct timer *t)
{
	struct channel *c = CT_CONTAINER(t, struct channel, timer);
	uint32_t next;

	if (c->phase != PHASE_OPEN) {	/* waited long enough for the peer */
		channel_kill(c, c->close_code, REASON_TIMEOUT);
		return;
	}
	next = check_alive(c);
	if (c->phase == PHASE_OPEN && check_hello(c, &next))
		loop_timer_set(c->owner->loop, &c->timer, next);
}
