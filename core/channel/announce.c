/* SPDX-License-Identifier: Apache-2.0 */
/* When what a device announced is durable (decision 0012), its protocol
 * is told. */
#include "channel_priv.h"

#include <errno.h>

#include "base/mem.h"
#include "channel/completion.h"

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
