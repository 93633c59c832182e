/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a channel: adopted from net, moved from phase to phase, ended
 * once, freed at the end of a turn.  A protocol is never called from inside a
 * host call: what must be told to it goes on the worker's todo list.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/mem.h"
#include "base/worker.h"
#include "tls/snapshot.h"

uint32_t
channel_now(const struct channel_worker *cw)
{
	return (uint32_t)loop_now_ms(cw->loop);
}

uint64_t
channel_count_open(const struct channel_counters *n)
{
	/* Read first: what ends in between must not make it negative. */
	uint64_t gone = atomic_load(&n->closed) + atomic_load(&n->handed_over);
	uint64_t come = atomic_load(&n->opened) + atomic_load(&n->received);

	return come > gone ? come - gone : 0;
}

void
channel_count_closed(struct channel_worker *cw, uint16_t began)
{
	COUNT(cw, closed, 1);
	atomic_fetch_sub_explicit(&cw->shared.counters->began[began], 1,
	    memory_order_relaxed);
}

/* At the end of a turn only. */
static void
destroy(struct channel *c)
{
	struct channel_worker *cw = c->owner;

	CT_CHECK_MAGIC(c, CHANNEL_MAGIC);
	loop_timer_stop(cw->loop, &c->timer);
	stream_retire(&c->stream, net_worker_stage(cw->net));
	stream_close(&c->stream, cw->loop);
	channel_table_remove(&cw->table, c);
	channel_pre_free(c);
	mem_free(c->cert);
	mem_free(c->message);
	mem_free(c->control);
	buf_free(&c->held);
	net_release(cw->shared.net, &c->admitted);
	channel_count_closed(cw, c->began);
	slab_put(&cw->slab, c);
}

/* ---- the worker's half -------------------------------------------------- */

/* What is added meanwhile waits for the next turn: nobody holds up
 * the others. */
static void
run_todo(struct defer *d)
{
	struct channel_worker *cw =
	    CT_CONTAINER(d, struct channel_worker, defer);
	struct channel *c = cw->todo, *next;
	unsigned todo;

	cw->todo = NULL;
	cw->todo_end = &cw->todo;
	for (; c != NULL; c = next) {
		next = c->next_todo;
		todo = c->todo;
		c->todo = 0;
		if ((todo & TODO_AUTHENTICATED) != 0 && !c->ended)
			channel_answer_hello(c);
		if ((todo & TODO_DRAINED) != 0) {
			if (c->want_drained && c->phase == PHASE_OPEN) {
				c->want_drained = false;
				c->protocol->drained(c);
			}
			channel_feed_held(c);
			todo |= TODO_COMMANDS;
		}
		if ((todo & TODO_COMMANDS) != 0)
			command_deliver(c);
		if ((todo & TODO_CLOSED) != 0)
			c->protocol->closed(c, c->close_code, "");
		if ((todo & TODO_FREE) != 0)
			destroy(c);
	}
	event_kick(cw->shared.bus);
}

void
channel_todo_add(struct channel *c, enum channel_todo what)
{
	struct channel_worker *cw = c->owner;

	if (c->todo == 0) {
		c->next_todo = NULL;
		*cw->todo_end = c;
		cw->todo_end = &c->next_todo;
	}
	c->todo |= (uint8_t)what;
	loop_defer(cw->loop, &cw->defer);
}

int
channel_worker_new(const struct channel_shared *shared, unsigned index,
    struct worker *worker, struct net_worker *net,
    const struct channel_limits *limits, struct channel_worker **ret)
{
	struct channel_worker *cw = mem_calloc(1, sizeof(*cw));

	if (cw == NULL)
		return -ENOMEM;
	cw->shared = *shared;
	cw->index = index;
	cw->worker = worker;
	cw->net = net;
	cw->loop = worker->loop;
	cw->limits = *limits;
	cw->defer.fn = run_todo;
	cw->todo_end = &cw->todo;
	slab_init(&cw->slab, sizeof(struct channel));
	*ret = cw;
	return 0;
}

static void
for_each(struct channel_worker *cw, void (*fn)(struct channel *, void *),
    void *arg)
{
	for (size_t i = 0; i < cw->table.cap; i++)
		if (cw->table.place[i] != NULL)
			fn(cw->table.place[i], arg);
}

struct close_all {
	uint16_t code;
	const char *why;
};

static void
close_one(struct channel *c, void *arg)
{
	const struct close_all *a = arg;

	channel_close(c, a->code, a->why);
}

void
channel_worker_close_all(struct channel_worker *cw, uint16_t code,
    const char *why)
{
	struct close_all a = { .code = code, .why = why };

	for_each(cw, close_one, &a);
}

static void
kill_one(struct channel *c, void *arg)
{
	(void)arg;
	channel_kill(c, WS_CLOSE_ABNORMAL, REASON_STOPPING);
}

void
channel_worker_kill_all(struct channel_worker *cw)
{
	takeover_stop(cw);
	for_each(cw, kill_one, NULL);
	while (cw->todo != NULL)
		run_todo(&cw->defer);
	loop_defer_cancel(cw->loop, &cw->defer);
}

void
channel_worker_free(struct channel_worker **pcw)
{
	struct channel_worker *cw = *pcw;

	if (cw == NULL)
		return;
	channel_drain_stop(cw);
	channel_worker_kill_all(cw);
	channel_table_fini(&cw->table);
	if (cw->trust != NULL)
		tls_snapshot_unref(&cw->trust);
	slab_fini(&cw->slab);
	deflater_free(&cw->deflater);
	inflater_free(&cw->inflater);
	mem_free(cw);
	*pcw = NULL;
}

void
channel_worker_set_limits(struct channel_worker *cw,
    const struct channel_limits *limits)
{
	cw->limits = *limits;
}

size_t
channel_worker_count(const struct channel_worker *cw)
{
	return cw->table.count;
}

/* ---- birth --------------------------------------------------------------- */

int
channel_make(struct channel_worker *cw, struct channel **ret)
{
	struct channel *c = slab_get(&cw->slab);

	if (c == NULL)
		return -ENOMEM;
	c->magic = CHANNEL_MAGIC;
	c->owner = cw;
	c->stream.watch.fd = -1;
	c->last_rx = channel_now(cw);
	timer_init(&c->timer, channel_timer);
	*ret = c;
	return 0;
}

static int
fill(struct channel *c, const struct net_upgrade *u)
{
	const struct net_request *r = u->request;

	c->pre = mem_calloc(1, sizeof(*c->pre));
	if (c->pre == NULL ||
	    channel_cert_keep(c, r->tls_peer, r->listener_index) != 0)
		return -ENOMEM;
	c->pre->deadline = c->last_rx + c->owner->limits.auth_ms;
	c->pre->trusted = r->trusted;
	c->pre->listener = r->listener == NULL ? NULL : r->listener->name;
	(void)addr_text((const struct sockaddr *)&r->peer, c->pre->peer);
	if (r->tls_peer != NULL) {
		memcpy(c->pre->exporter, r->tls_peer->exporter, 32);
		memcpy(c->pre->cert_uri, r->tls_peer->cert_uri,
		    sizeof(c->pre->cert_uri));
		c->began = r->tls_peer->served < CHANNEL_BEGAN_MAX ?
		    r->tls_peer->served : 0;
	}
	c->security = r->tls ? SECURITY_WSS : SECURITY_WS;
	c->has_exporter = r->tls_peer != NULL && r->tls_peer->has_exporter;
	c->deflate_bits = u->deflate.enabled ? u->deflate.send_bits : 0;
	c->admitted = u->admitted;
	return channel_table_add(&c->owner->table, c);
}

/* Milliseconds until a new channel is looked at. */
static uint32_t
first_look(const struct channel *c)
{
	const struct channel_limits *l = &c->owner->limits;

	return c->protocol->anonymous || l->ping_ms < l->auth_ms ?
	    l->ping_ms : l->auth_ms;
}

/* The kernel gives up on unacknowledged data when we would. */
static void
bound_tcp(const struct channel *c)
{
	unsigned ms = c->owner->limits.dead_ms;

	/* Fails on a unix socket, which needs no such bound. */
	(void)setsockopt(c->stream.watch.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
	    sizeof(ms));
}

int
channel_adopt(struct channel_worker *cw, struct net_upgrade *u,
    struct channel_protocol *protocol)
{
	uint8_t *early = NULL;
	struct channel *c;
	int r = channel_make(cw, &c);

	if (r != 0)
		return r;
	c->protocol = protocol;
	c->id = ++cw->last_id << 8 | cw->index;
	r = fill(c, u);
	if (r != 0) {
		channel_pre_free(c);
		mem_free(c->cert);
		slab_put(&cw->slab, c);
		return r;
	}
	if (u->early_n > 0)
		early = mem_dup(u->early, u->early_n);
	r = stream_move(&c->stream, u->stream, cw->loop, channel_wake);
	if (r != 0 || (u->early_n > 0 && early == NULL)) {
		channel_table_remove(&cw->table, c);
		channel_pre_free(c);
		mem_free(c->cert);
		stream_retire(&c->stream, net_worker_stage(cw->net));
		stream_close(&c->stream, cw->loop);
		slab_put(&cw->slab, c);
		mem_free(early);
		return r != 0 ? r : -ENOMEM;
	}
	bound_tcp(c);
	COUNT(cw, opened, 1);
	COUNT(cw, began[c->began], 1);
	COUNT(cw, bytes_in, u->early_n);
	loop_timer_set(cw->loop, &c->timer, first_look(c));
	protocol->open(protocol, c, u->request);
	/* It was judged when its handshake began. */
	channel_cert_check(c);
	if (early != NULL)
		channel_feed(c, early, u->early_n);
	mem_free(early);
	channel_settle(c);
	return 0;
}

/* ---- end ----------------------------------------------------------------- */

void
channel_pre_free(struct channel *c)
{
	if (c->pre == NULL)
		return;
	mem_free(c->pre->endpoint);
	mem_free(c->pre->agent);
	mem_free(c->pre->boot_id);
	mem_free_wiped(c->pre, sizeof(*c->pre));
	c->pre = NULL;
}

void
channel_end(struct channel *c, uint16_t code, enum presence_reason reason)
{
	struct channel_worker *cw = c->owner;

	if (c->ended)
		return;
	c->ended = true;
	c->close_code = code;
	if (c->endpoint != NULL) {
		endpoint_seen(cw->shared.endpoints, c->endpoint, c->id,
		    channel_seen(c));
		endpoint_input(cw->shared.endpoints, c->endpoint, c->id,
		    PRESENCE_IN_END, reason);
	}
	if (c->probed)
		takeover_decided(c, false);
	channel_todo_add(c, TODO_CLOSED);
}

void
channel_kill(struct channel *c, uint16_t code, enum presence_reason reason)
{
	if (c->phase == PHASE_DEAD)
		return;
	channel_end(c, code, reason);
	c->phase = PHASE_DEAD;
	loop_timer_stop(c->owner->loop, &c->timer);
	channel_todo_add(c, TODO_FREE);
}

void
channel_linger(struct channel *c)
{
	struct channel_worker *cw = c->owner;

	c->phase = PHASE_LINGER;
	buf_free(&c->held);
	(void)stream_shutdown(&c->stream, channel_stage(c));
	if (c->eof) {
		channel_kill(c, c->close_code, REASON_PEER_CLOSE);
		return;
	}
	loop_timer_set(cw->loop, &c->timer, LINGER_MS);
	if (stream_update(&c->stream, cw->loop, true) != 0)
		channel_kill(c, c->close_code, REASON_RESET);
}

/* ---- what others ask --------------------------------------------------- */

bool
channel_is_live(const struct channel *c)
{
	struct endpoint_facts facts;

	return c->endpoint != NULL && endpoint_get(c->owner->shared.endpoints,
	    channel_endpoint(c), &facts) == 0 &&
	    facts.place.channel_id == c->id;
}

uint64_t
channel_id(const struct channel *c)
{
	return c->id;
}

struct channel *
channel_find(struct channel_worker *cw, uint64_t id)
{
	struct channel *c = channel_table_find(&cw->table, id);

	return c == NULL || c->ended ? NULL : c;
}

struct channel_protocol *
channel_protocol(const struct channel *c)
{
	return c->protocol;
}

void
channel_set_session(struct channel *c, void *session)
{
	c->session = session;
}

void *
channel_session(const struct channel *c)
{
	return c->session;
}

enum channel_security
channel_security(const struct channel *c)
{
	return (enum channel_security)c->security;
}

const char *
channel_endpoint(const struct channel *c)
{
	return c->endpoint == NULL ? "" : endpoint_id(c->endpoint);
}

const struct channel_limits *
channel_limits(const struct channel *c)
{
	return &c->owner->limits;
}
