/* SPDX-License-Identifier: Apache-2.0 */
/* Live channels from worker to worker of one process (decision 0003). */
#include "channel/channel_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"

struct moving {
	struct mail mail;
	struct channel_worker *to;
	struct endpoint *endpoint;
	struct addr admitted;
	uint64_t id;
	uint16_t began;
	int fd;
	size_t n;
	uint8_t data[];
};

static void
arrive(struct mail *m)
{
	struct moving *mv = CT_CONTAINER(m, struct moving, mail);
	const struct channel_shared *s = &mv->to->shared;
	struct channel *c;
	int r = channel_import(mv->to, mv->fd, mv->data, mv->n, &c);

	if (r != 0) {
		log_warning("a channel was lost while it moved id=%llu "
		    "error=%s", (unsigned long long)mv->id, strerror(-r));
		(void)close(mv->fd);
		if (mv->endpoint != NULL)
			endpoint_input(s->endpoints, mv->endpoint, mv->id,
			    PRESENCE_IN_END, REASON_LIMIT);
		loop_defer(mv->to->loop, &mv->to->defer);
		net_release(s->net, &mv->admitted);
		channel_count_closed(mv->to, mv->began);
	}
	mem_free_wiped(mv, sizeof(*mv) + mv->n);
}

int
channel_migrate(struct channel_worker *from, uint64_t id, unsigned to_worker)
{
	struct channel *c = channel_find(from, id);
	struct outbuf out;
	struct moving *mv;
	int r;

	if (c == NULL || to_worker >= from->shared.workers_n)
		return -ENOENT;
	if (!channel_exportable(c))
		return -EBUSY;
	out = (struct outbuf){ .cap = channel_export_size(c) };
	mv = mem_alloc(sizeof(*mv) + out.cap);
	if (mv == NULL)
		return -ENOMEM;
	out.p = mv->data;
	channel_part(c);
	r = channel_export(c, &out);
	if (r != 0) {
		mem_free_wiped(mv, sizeof(*mv) + out.cap);
		channel_stay(c);
		return r;
	}
	mv->mail.fn = arrive;
	mv->to = from->shared.workers[to_worker];
	mv->endpoint = c->endpoint;
	mv->admitted = c->admitted;
	mv->id = c->id;
	mv->began = c->began;
	mv->fd = c->stream.watch.fd;
	mv->n = out.n;
	channel_disown(c);
	COUNT(from, moved, 1);
	mailbox_post(&mv->to->worker->mailbox, &mv->mail);
	return 0;
}

unsigned
channel_worker_shed(struct channel_worker *from, unsigned to_worker,
    unsigned count)
{
	const struct channel_table *t = &from->table;
	uint64_t id[CHANNEL_SHED_MAX];
	unsigned n = 0, moved = 0;

	if (count > CHANNEL_SHED_MAX)
		count = CHANNEL_SHED_MAX;
	/* Moving changes the table: first the names, then the moves. */
	for (size_t i = 0; i < t->cap && n < count; i++)
		if (t->place[i] != NULL)
			id[n++] = t->place[i]->id;
	for (unsigned i = 0; i < n; i++)
		moved += channel_migrate(from, id[i], to_worker) == 0;
	return moved;
}
