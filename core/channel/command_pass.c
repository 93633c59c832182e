/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open commands of an endpoint whose channel is handed to the next process
 * (handover.h).  Those of everybody else are read from the store there.
 */
#include "channel/command_priv.h"

#include <errno.h>

#include "base/pack.h"

#define PASSED_MAX 100000		/* of one endpoint */

/* Whether somebody is at a wake is no part of it: there, nobody is. */
enum {
	ACCEPTED = 1, SENT = 2, CANCELLING = 4, SENT_HERE = 8, CANCEL_HERE = 16
};

static void
pack_one(struct pack *w, const struct command *c, uint64_t channel_id)
{
	uint32_t flags = 0;

	flags |= c->accepted ? ACCEPTED : 0;
	flags |= c->sent ? SENT : 0;
	flags |= c->cancelling ? CANCELLING : 0;
	flags |= c->sent_on == channel_id ? SENT_HERE : 0;
	flags |= c->cancel_on == channel_id ? CANCEL_HERE : 0;
	pack_u32(w, (uint32_t)c->kind);
	pack_u32(w, flags);
	pack_u64(w, c->order);
	pack_u64(w, (uint64_t)c->deadline_ms);
	pack_text(w, c->text);
	pack_text(w, c->verb);
	pack_text(w, c->args);
	pack_text(w, c->by);
}

/* Under the lock: nothing about one of them is on its way to the store. */
static bool
at_rest(const struct command_queue *q)
{
	struct list *it;
	uint32_t n = 0;

	LIST_FOREACH(it, &q->commands) {
		const struct command *c = CT_CONTAINER(it, struct command,
		    link);

		if (c->storing || c->ending || c->accepting)
			return false;
		n++;
	}
	return n == q->n;
}

int
command_pass(struct command_table *t, const char *endpoint,
    uint64_t channel_id, struct pack *w)
{
	struct command_queue *q;
	struct list *it;
	int r = 0;

	if (t == NULL) {
		pack_u32(w, 0);
		return w->error;
	}
	pthread_mutex_lock(&t->lock);
	q = command_queue_find(t, endpoint);
	if (q == NULL) {
		pack_u32(w, 0);
	} else if (!at_rest(q)) {
		r = -EBUSY;
	} else {
		pack_u32(w, q->n);
		LIST_FOREACH(it, &q->commands)
			pack_one(w, CT_CONTAINER(it, struct command, link),
			    channel_id);
	}
	pthread_mutex_unlock(&t->lock);
	return r != 0 ? r : w->error;
}

static int
receive_one(struct command_table *t, const char *endpoint,
    uint64_t channel_id, struct unpack *r)
{
	uint32_t kind = unpack_u32(r), flags = unpack_u32(r);
	struct store_command row = { .endpoint = endpoint };
	struct command *c;
	int err;

	row.order = unpack_u64(r);
	row.deadline_ms = (int64_t)unpack_u64(r);
	row.id = unpack_text(r, COMMAND_ID_MAX);
	row.verb = unpack_text(r, COMMAND_VERB_MAX);
	row.args = unpack_text(r, UINT32_MAX - 1);
	row.by = unpack_text(r, UINT32_MAX - 1);
	if (r->error != 0 || kind > COMMAND_RELAYED)
		return -EINVAL;
	if (command_find(t, row.id) != NULL)
		return -EEXIST;
	err = command_insert(t, &row, (enum command_kind)kind, &c);
	if (err != 0)
		return err;
	command_enqueue(c, row.order);
	c->accepted = (flags & ACCEPTED) != 0;
	c->sent = (flags & SENT) != 0;
	c->cancelling = (flags & CANCELLING) != 0;
	c->received = true;
	c->sent_on = (flags & SENT_HERE) != 0 ? channel_id : 0;
	c->cancel_on = (flags & CANCEL_HERE) != 0 ? channel_id : 0;
	return 0;
}

int
command_receive(struct command_table *t, const char *endpoint,
    uint64_t channel_id, struct unpack *r)
{
	uint32_t n = unpack_u32(r);
	int err = r->error;

	if (n > PASSED_MAX || (n > 0 && t == NULL))
		return -EINVAL;
	if (n == 0 || err != 0)
		return err;
	pthread_mutex_lock(&t->lock);
	while (err == 0 && n-- > 0)
		err = receive_one(t, endpoint, channel_id, r);
	pthread_mutex_unlock(&t->lock);
	return err;
}
