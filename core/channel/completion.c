/* SPDX-License-Identifier: Apache-2.0 */
/* Completions on their way to a channel. */
#include "channel/completion.h"

#include <errno.h>

#include "base/worker.h"
#include "channel/channel_priv.h"

/* What the protocol may be told, see <cleat/protocol.h>: whatever ails the
 * store, the device may try later. */
static int
told(int error)
{
	switch (error) {
	case 0:
	case -EINVAL:
	case -EMSGSIZE:
	case -ENOENT:
	case -EIO:
	case -ENOSPC:
		return error;
	default:
		return -EAGAIN;
	}
}

static void
arrive(struct mail *m)
{
	struct completion *d = CT_CONTAINER(m, struct completion, mail);
	struct channel_completion what = {
		.error = told(d->error),
		.request = d->request,
		.value = d->value
	};
	/* Also one that has ended: it counts what is under way. */
	struct channel *c = channel_table_find(&d->worker->table, d->channel);

	if (c != NULL) {
		c->completions--;
		if (!c->ended && c->protocol->completed != NULL)
			c->protocol->completed(c, &what);
	}
	d->release(d);
}

int
completion_begin(struct channel *c, uint64_t request, struct completion *d)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	if (c->completions >= COMPLETIONS_MAX)
		return -EAGAIN;
	c->completions++;
	d->mail.fn = arrive;
	d->worker = c->owner;
	d->channel = c->id;
	d->request = request;
	return 0;
}

void
completion_abandon(struct channel *c, struct completion *d)
{
	CT_ASSERT(c->id == d->channel && c->completions > 0);
	c->completions--;
}

void
completion_post(struct completion *d)
{
	mailbox_post(&d->worker->worker->mailbox, &d->mail);
}
