/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a known device announces, and publishes.  When it is durable (decision
 * 0012), its protocol is told.
 */
#include "channel/channel_priv.h"

#include <errno.h>

#include "base/loop.h"
#include "base/mem.h"
#include "channel/completion.h"

static int
intend(struct channel *c, enum presence_intent intent)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	endpoint_input(c->owner->shared.endpoints, c->endpoint, c->id,
	    PRESENCE_IN_INTENT, intent);
	return 0;
}

int
channel_announce(struct channel *c, enum channel_power power)
{
	switch (power) {
	case POWER_ON:
		return intend(c, INTENT_NONE);
	case POWER_SHUTTING_DOWN:
		return intend(c, INTENT_SHUTTING_DOWN);
	case POWER_REBOOTING:
		return intend(c, INTENT_REBOOTING);
	case POWER_SUSPENDING:
		return intend(c, INTENT_SUSPENDING);
	}
	return -EINVAL;
}

int
channel_announce_sleep(struct channel *c, int64_t until_wall_ms)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	endpoint_sleep(c->owner->shared.endpoints, c->endpoint, c->id,
	    until_wall_ms);
	return 0;
}

int
channel_announce_bye(struct channel *c)
{
	return intend(c, INTENT_BYE);
}

int
channel_publish(struct channel *c, const char *detail, size_t n)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	loop_defer(c->owner->loop, &c->owner->defer);
	return endpoint_publish(c->owner->shared.endpoints, c->endpoint, c->id,
	    detail, n);
}

/* ---- durable ------------------------------------------------------------- */

struct announced {
	struct completion done;
	struct endpoint_waiter wait;
};

static void
release(struct completion *d)
{
	mem_free(CT_CONTAINER(d, struct announced, done));
}

/* On the store's thread, or at once. */
static void
stored(struct endpoint_waiter *w, int error)
{
	struct announced *a = CT_CONTAINER(w, struct announced, wait);

	a->done.error = error == -ESHUTDOWN ? -EAGAIN : error;
	completion_post(&a->done);
}

int
channel_announce_settle(struct channel *c, uint64_t request)
{
	struct announced *a = mem_calloc(1, sizeof(*a));
	int r;

	if (a == NULL)
		return -ENOMEM;
	a->done.release = release;
	a->wait.fn = stored;
	r = completion_begin(c, request, &a->done);
	if (r != 0) {
		mem_free(a);
		return r;
	}
	endpoint_wait(c->owner->shared.endpoints, c->endpoint, &a->wait);
	return 0;
}
