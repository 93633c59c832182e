/* SPDX-License-Identifier: Apache-2.0 */
/* See handover.h.  A batch is, for each channel: its length, then the
 * endpoint's half (empty before hello), then the channel's. */
#include "channel/handover.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/pack.h"
#include "endpoint/identity.h"
#include "channel/channel_priv.h"
#include "channel/command.h"
#include "channel/telemetry.h"

#define CLOSE_RESTART 1012
#define LAYOUT 2			/* of a batch, and of START */

/* ---- nobody becomes known ---------------------------------------------- */

/* What let it in may have been taken back since: of a channel that was under
 * way nobody could be told (endpoint_kick()). */
static void
check_credential(struct channel *c)
{
	const struct channel_shared *s = &c->owner->shared;
	struct endpoint_facts f;

	if (endpoint_get(s->endpoints, channel_endpoint(c), &f) == 0 &&
	    f.place.channel_id == c->id && !identity_holds(s->identity, f.id,
	    f.credential))
		channel_close(c, CLOSE_REVOKED, "revoked");
}

static void
listen_again(struct channel *c)
{
	if (c->ended)
		return;
	if (c->endpoint != NULL && !c->owner->holding)
		check_credential(c);
	if (c->ended || (c->pre == NULL && !c->leaving))
		return;
	c->leaving = false;
	if (c->held != NULL)
		channel_todo_add(c, TODO_DRAINED);
	channel_settle(c);
}

void
handover_hold(struct channel_worker *cw, bool on)
{
	cw->holding = on;
	/* Settling may end one, which leaves the table at the end of
	 * the turn. */
	for (size_t i = 0; i < cw->table.cap; i++)
		if (cw->table.place[i] != NULL)
			listen_again(cw->table.place[i]);
}

/* ---- the endpoint's half ----------------------------------------------- */

static int
write_endpoint(struct channel *c, struct pack *w)
{
	const struct channel_shared *s = &c->owner->shared;
	struct telemetry_passed report;
	struct endpoint_passed e;
	bool reported;

	if (c->endpoint == NULL) {
		pack_u32(w, 0);
		return w->error;
	}
	if (endpoint_pass(s->endpoints, c->endpoint, c->id, &e) != 0)
		return -EBUSY;		/* it is about to be closed */
	e.last_seen_ms = channel_seen(c);
	reported = s->telemetry != NULL && telemetry_pass(s->telemetry, e.id,
	    c->id, &report);
	pack_u32(w, 1);
	pack_bytes(w, &e, sizeof(e));
	pack_u32(w, reported);
	if (reported)
		pack_bytes(w, &report, sizeof(report));
	return command_pass(s->commands, e.id, c->id, w);
}

/* The endpoint's channel is here after all. */
static void
reclaim(struct channel *c)
{
	const struct endpoint_place here = {
		.channel_id = c->id, .worker = c->owner->index
	};
	struct endpoint *e;

	/* Replaced on the way: channel_stay() closes it. */
	if (c->endpoint != NULL)
		(void)endpoint_moved(c->owner->shared.endpoints,
		    endpoint_id(c->endpoint), here, &e);
}

static int
read_report(struct channel_worker *cw, const struct endpoint_passed *e,
    struct unpack *r)
{
	struct telemetry_passed report;

	if (unpack_u32(r) == 0)
		return r->error;
	unpack_copy(r, &report, sizeof(report));
	if (r->error != 0 || report.facts.networks > TELEMETRY_NETWORKS)
		return -EINVAL;
	if (cw->shared.telemetry == NULL)
		return 0;
	return telemetry_receive(cw->shared.telemetry, e->id, e->channel_id,
	    &report);
}

/* What came of it is taken back: all is read from the store. */
static void
leave_out(struct channel_worker *cw, const char *id, uint64_t channel_id)
{
	const struct channel_shared *s = &cw->shared;

	if (s->commands != NULL)
		command_table_forget(s->commands, id);
	if (s->telemetry != NULL)
		telemetry_forget(s->telemetry, id);
	endpoint_unreceive(s->endpoints, id, channel_id);
}

/* channel_id 0: nobody. */
static int
read_endpoint(struct channel_worker *cw, struct unpack *r,
    struct endpoint_passed *ret)
{
	struct endpoint_passed e;
	int err;

	ret->channel_id = 0;
	if (unpack_u32(r) == 0)
		return r->error;
	unpack_copy(r, &e, sizeof(e));
	err = r->error != 0 ? r->error :
	    endpoint_receive(cw->shared.endpoints, &e);
	if (err != 0)
		return err;
	err = read_report(cw, &e, r);
	if (err == 0)
		err = command_receive(cw->shared.commands, e.id, e.channel_id,
		    r);
	if (err != 0)
		leave_out(cw, e.id, e.channel_id);
	else
		*ret = e;
	return err;
}

/* ---- from here --------------------------------------------------------- */

struct handover_batch {
	struct channel_worker *worker;
	struct pack bytes;
	unsigned n;
	int fd[HANDOVER_MAX];
	struct channel *channel[HANDOVER_MAX];
};

static int
write_channel(struct channel *c, struct pack *w)
{
	struct outbuf part = { .cap = channel_export_size(c) };
	int r;

	part.p = pack_room(w, part.cap);
	if (part.p == NULL)
		return w->error;
	r = channel_export(c, &part);
	w->out.n += part.n;
	return r;
}

/* 0, or nothing of it is in the batch. */
static int
add(struct handover_batch *b, struct channel *c)
{
	struct pack *w = &b->bytes;
	size_t start = w->out.n;
	uint32_t n;
	int r;

	pack_u32(w, 0);
	channel_part(c);
	r = w->error != 0 ? w->error : write_endpoint(c, w);
	if (r == 0)
		r = write_channel(c, w);
	if (r != 0) {
		w->out.n = start;
		reclaim(c);
		channel_stay(c);
		return r;
	}
	n = (uint32_t)(w->out.n - start - sizeof(n));
	memcpy(w->out.p + start, &n, sizeof(n));
	b->fd[b->n] = c->stream.watch.fd;
	b->channel[b->n++] = c;
	return 0;
}

/* Sooner or later. */
static bool
may_go(const struct channel *c)
{
	return c->phase == PHASE_OPEN && !c->ended &&
	    c->protocol->export != NULL;
}

/* A device that sends without a pause would never be at rest. */
static void
keep_quiet(struct channel *c)
{
	if (c->owner->holding && may_go(c) && !c->leaving) {
		c->leaving = true;
		channel_settle(c);
	}
}

/* One that parts closes the gap with others that come behind it, so its place
 * is looked at again.  One that cannot go now is asked the next time. */
static int
fill(struct handover_batch *b, unsigned max)
{
	const struct channel_table *t = &b->worker->table;
	struct channel *c;
	size_t i = 0;
	int r = 0;

	while (i < t->cap && b->n < max && b->bytes.out.n < HANDOVER_BYTES &&
	    r != -ENOMEM) {
		c = t->place[i];
		r = c != NULL && channel_exportable(c) ? add(b, c) : -EBUSY;
		if (c != NULL && r == -EBUSY)
			keep_quiet(c);
		i += r != 0;
	}
	return b->n == 0 && r == -ENOMEM ? r : 0;
}

int
handover_take(struct channel_worker *cw, unsigned max,
    struct handover_batch **ret)
{
	struct handover_batch *b = mem_calloc(1, sizeof(*b));
	int r;

	*ret = NULL;
	if (b == NULL)
		return -ENOMEM;
	b->worker = cw;
	r = fill(b, max < HANDOVER_MAX ? max : HANDOVER_MAX);
	if (b->n > 0)
		*ret = b;
	else
		handover_back(&b);
	return r;
}

size_t
handover_left(const struct channel_worker *cw)
{
	size_t n = 0;

	for (size_t i = 0; i < cw->table.cap; i++)
		n += cw->table.place[i] != NULL && may_go(cw->table.place[i]);
	return n;
}

unsigned
handover_count(const struct handover_batch *b)
{
	return b->n;
}

const uint8_t *
handover_bytes(const struct handover_batch *b, size_t *ret_n)
{
	*ret_n = b->bytes.out.n;
	return b->bytes.out.p;
}

const int *
handover_fds(const struct handover_batch *b)
{
	return b->fd;
}

static void
forget(struct channel *c)
{
	struct channel_worker *cw = c->owner;
	int fd = c->stream.watch.fd;

	if (c->endpoint != NULL)
		endpoint_gone(cw->shared.endpoints, c->endpoint, c->id);
	net_release(cw->shared.net, &c->admitted);
	COUNT(cw, handed_over, 1);
	atomic_fetch_sub(&cw->shared.counters->began[c->began], 1);
	channel_disown(c);
	(void)close(fd);
}

static void
batch_free(struct handover_batch **pb)
{
	pack_fini(&(*pb)->bytes);
	mem_free(*pb);
	*pb = NULL;
}

unsigned
handover_go(struct handover_batch **pb, const uint8_t *refused)
{
	struct handover_batch *b = *pb;
	unsigned back = 0;

	for (unsigned i = 0; i < b->n; i++) {
		if (refused == NULL || refused[i] == 0) {
			forget(b->channel[i]);
			continue;
		}
		reclaim(b->channel[i]);
		channel_stay(b->channel[i]);
		channel_close(b->channel[i], CLOSE_RESTART,
		    "the server is being upgraded");
		back++;
	}
	batch_free(pb);
	return back;
}

void
handover_back(struct handover_batch **pb)
{
	for (unsigned i = 0; i < (*pb)->n; i++) {
		reclaim((*pb)->channel[i]);
		channel_stay((*pb)->channel[i]);
	}
	batch_free(pb);
}

/* ---- there ------------------------------------------------------------- */

struct handover_arrivals {
	struct channel_worker *worker;
	unsigned n;
	struct channel *channel[HANDOVER_MAX];
};

/* It is the one that came with this endpoint, or still to say hello. */
static bool
fits(const struct channel *c, const struct endpoint_passed *e)
{
	if (e->channel_id == 0)
		return c->pre != NULL;
	return c->endpoint != NULL && c->id == e->channel_id &&
	    strcmp(endpoint_id(c->endpoint), e->id) == 0;
}

static bool
is_there(const struct handover_arrivals *a, uint64_t id)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->channel[i]->id == id)
			return true;
	return channel_table_find(&a->worker->table, id) != NULL;
}

static int
arrive(struct handover_arrivals *a, int fd, struct unpack r)
{
	struct channel_worker *cw = a->worker;
	struct endpoint_passed e;
	struct channel *c;
	int err = read_endpoint(cw, &r, &e);

	if (err != 0)
		return err;
	err = channel_rebuild(cw, fd, r.p, r.n, &c);
	if (err == 0) {
		err = !fits(c, &e) || is_there(a, c->id) ? -EINVAL :
		    net_receive(cw->shared.net, &c->admitted);
		if (err != 0)
			channel_unmake(c);
	}
	if (err == 0)
		a->channel[a->n++] = c;
	else if (e.channel_id != 0)
		leave_out(cw, e.id, e.channel_id);
	return err;
}

/* Cuts a batch into its channels.  Nothing is made of one that is not whole. */
static int
cut(struct unpack r, unsigned n, struct unpack *ret)
{
	for (unsigned i = 0; i < n; i++) {
		ret[i] = (struct unpack){ .n = unpack_u32(&r) };
		ret[i].p = unpack_bytes(&r, ret[i].n);
	}
	return r.error != 0 || r.n != 0 ? -EINVAL : 0;
}

int
handover_arrive(struct channel_worker *cw, const uint8_t *p, size_t n,
    const int *fds, unsigned fds_n, uint8_t *ret_refused,
    struct handover_arrivals **ret)
{
	struct handover_arrivals *a;
	struct unpack part[HANDOVER_MAX];
	int r;

	if (fds_n == 0 || fds_n > HANDOVER_MAX)
		return -EINVAL;
	r = cut((struct unpack){ .p = p, .n = n }, fds_n, part);
	if (r != 0)
		return r;
	a = mem_calloc(1, sizeof(*a));
	if (a == NULL)
		return -ENOMEM;
	a->worker = cw;
	for (unsigned i = 0; i < fds_n; i++) {
		r = arrive(a, fds[i], part[i]);
		ret_refused[i] = r != 0;
		if (r == 0)
			continue;
		log_warning("a channel of the former process cannot be taken "
		    "over: %s", strerror(-r));
		(void)close(fds[i]);
	}
	*ret = a;
	return 0;
}

void
handover_begin(struct handover_arrivals **pa)
{
	struct handover_arrivals *a = *pa;
	struct channel_worker *cw = a->worker;

	for (unsigned i = 0; i < a->n; i++) {
		struct channel *c = a->channel[i];

		/* Which certificate it began on, the former process knew; a
		 * drain was the former's, too. */
		c->began = 0;
		c->draining = false;
		COUNT(cw, received, 1);
		COUNT(cw, began[0], 1);
		if (channel_join(c) == 0)
			continue;
		/* No memory: as if its peer had been cut off. */
		if (c->endpoint != NULL)
			endpoint_input(cw->shared.endpoints, c->endpoint,
			    c->id, PRESENCE_IN_END, REASON_LIMIT);
		(void)close(c->stream.watch.fd);
		net_release(cw->shared.net, &c->admitted);
		channel_count_closed(cw, c->began);
		channel_unmake(c);
		loop_defer(cw->loop, &cw->defer);	/* kicks the bus */
	}
	mem_free(a);
	*pa = NULL;
}

void
handover_abandon(struct handover_arrivals **pa)
{
	struct handover_arrivals *a = *pa;
	struct channel_worker *cw = a->worker;

	for (unsigned i = 0; i < a->n; i++) {
		struct channel *c = a->channel[i];
		int fd = c->stream.watch.fd;

		if (c->endpoint != NULL)
			leave_out(cw, endpoint_id(c->endpoint), c->id);
		net_release(cw->shared.net, &c->admitted);
		channel_unmake(c);
		(void)close(fd);
	}
	mem_free(a);
	*pa = NULL;
}

/* ---- both -------------------------------------------------------------- */

uint64_t
handover_last_id(const struct channel_worker *cw)
{
	return cw->last_id;
}

void
handover_first_id(struct channel_worker *cw, uint64_t above)
{
	above |= UINT32_MAX;
	if (cw->last_id < above)
		cw->last_id = above;
}

_Static_assert(sizeof(struct endpoint_passed) < 1 << 12 &&
    sizeof(struct telemetry_passed) < 1 << 12, "each has its bits below");

uint64_t
handover_layout(void)
{
	return (uint64_t)channel_export_layout() << 32 | LAYOUT << 24 |
	    (uint64_t)sizeof(struct endpoint_passed) << 12 |
	    (uint64_t)sizeof(struct telemetry_passed);
}
