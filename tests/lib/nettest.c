/* SPDX-License-Identifier: Apache-2.0 */
/* See nettest.h. */
#include "nettest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

struct net_limits
nettest_limits(void)
{
	return (struct net_limits){
		.handshakes = 1000, .connections = 10000,
		.connections_per_address = 10000, .handshake_ms = 5000,
		.http_ms = 5000, .http_header = 8192, .accept_quota = 16,
		.backlog_bytes = 1024 * 1024
	};
}

static int
on_route(void *ctx, struct net_worker *w, const struct net_request *r,
    struct net_route *ret, const char **ret_why)
{
	struct nettest *t = ctx;

	(void)w;
	(void)r;
	t->routed++;
	if (t->route_status != 0) {
		*ret_why = t->route_why;
		return t->route_status;
	}
	*ret = (struct net_route){
		.subprotocol = t->route_subprotocol,
		.compression = t->route_compression
	};
	return 0;
}

static void
channel_end(struct nettest_channel *ch)
{
	stream_close(&ch->stream, ch->test->worker.loop);
	net_release(ch->test->net, &ch->admitted);
	ch->open = false;
}

/* Keeps and echoes. */
static void
on_stream(struct watch *watch, uint32_t events)
{
	struct nettest_channel *ch = CT_CONTAINER(watch,
	    struct nettest_channel, stream.watch);
	struct stage *st = net_worker_stage(ch->test->w);
	int error = 0;

	if ((events & EPOLLOUT) != 0)
		error = stream_drain(&ch->stream);
	if (error == 0 && (events & ~(uint32_t)EPOLLOUT) != 0) {
		error = stream_read(&ch->stream, st);
		if (ch->got_n + st->rx.n <= sizeof(ch->got)) {
			memcpy(ch->got + ch->got_n, st->rx.p, st->rx.n);
			ch->got_n += st->rx.n;
		}
		if (error == 0)
			error = stream_write(&ch->stream, st, st->rx.p,
			    st->rx.n, SIZE_MAX);
		if (error == 0)
			error = stream_flush(&ch->stream, st, SIZE_MAX);
	}
	if (error == 0)
		error = stream_update(&ch->stream, ch->test->worker.loop,
		    true);
	if (error != 0)
		channel_end(ch);
}

static int
on_upgraded(void *ctx, struct net_worker *w, struct net_upgrade *u)
{
	struct nettest *t = ctx;
	struct nettest_channel *ch;
	int error;

	(void)w;
	if (t->refuse_upgraded || t->channels_n == NETTEST_CHANNELS)
		return -ENOMEM;
	ch = &t->channels[t->channels_n];
	error = stream_move(&ch->stream, u->stream, t->worker.loop, on_stream);
	if (error != 0)
		return error;
	t->channels_n++;
	ch->test = t;
	ch->open = true;
	ch->admitted = u->admitted;
	ch->compression = u->deflate.enabled;
	if (u->early_n > 0)
		memcpy(ch->got, u->early, u->early_n);
	ch->got_n = ch->early_n = u->early_n;
	(void)snprintf(ch->path, sizeof(ch->path), "%s", u->request->path);
	(void)snprintf(ch->target, sizeof(ch->target), "%s",
	    u->request->target);
	(void)addr_host_text(&u->request->peer_addr, ch->peer);
	(void)snprintf(ch->subprotocol, sizeof(ch->subprotocol), "%s",
	    u->route.subprotocol == NULL ? "" : u->route.subprotocol);
	return 0;
}

static bool
on_ready(void *ctx)
{
	const struct nettest *t = ctx;

	return t->ready;
}

int
nettest_start(struct nettest *t, const struct net_listener_opts *opts,
    size_t n, char *why)
{
	const struct net_hooks hooks = {
		.ctx = t, .route = on_route, .upgraded = on_upgraded,
		.ready = on_ready
	};
	int error = net_new(&t->limits, opts, n, &hooks, why, &t->net);

	if (error != 0)
		return error;
	t->channels = mem_calloc(NETTEST_CHANNELS, sizeof(t->channels[0]));
	if (t->channels == NULL)
		error = -ENOMEM;
	if (error == 0)
		error = worker_init(&t->worker, "net");
	if (error != 0) {
		mem_free(t->channels);
		t->channels = NULL;
		net_free(&t->net);
		return error;
	}
	error = net_worker_new(t->net, &t->worker, t, &t->w);
	if (error == 0)
		error = net_worker_accept(t->w, true);
	if (error != 0) {
		nettest_stop(t);
		return error;
	}
	(void)net_listener_address(t->net, 0, t->address);
	return 0;
}

void
nettest_stop(struct nettest *t)
{
	for (unsigned i = 0; i < t->channels_n; i++) {
		if (t->channels[i].open)
			channel_end(&t->channels[i]);
	}
	net_worker_free(&t->w);
	worker_fini(&t->worker);
	net_free(&t->net);
	mem_free(t->channels);
	t->channels = NULL;
	t->channels_n = 0;
}

void
nettest_turn(struct nettest *t, unsigned ms)
{
	(void)loop_turn(t->worker.loop, (int)ms);
}

bool
nettest_until(struct nettest *t, bool (*done)(void *), void *arg, unsigned ms)
{
	uint64_t end = clock_mono_ms() + ms;

	while (!done(arg)) {
		if (clock_mono_ms() >= end)
			return false;
		nettest_turn(t, 5);
	}
	return true;
}

int
nettest_connect(const char *address)
{
	struct sockaddr_storage ss;
	unsigned len;
	int error = addr_parse(address, &ss, &len), fd;

	if (error != 0)
		return error;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&ss, len) != 0) {
		error = -errno;
		(void)close(fd);
		return error;
	}
	return fd;
}

bool
nettest_send(struct nettest *t, int fd, const void *p, size_t n)
{
	const uint8_t *from = p;
	ssize_t sent;

	while (n > 0) {
		sent = send(fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return false;
		if (sent > 0) {
			from += sent;
			n -= (size_t)sent;
		}
		nettest_turn(t, sent < 0 ? 5 : 0);
	}
	return true;
}

size_t
nettest_read(struct nettest *t, int fd, char *to, size_t cap, size_t want,
    bool *ret_eof)
{
	uint64_t end = clock_mono_ms() + 3000;
	size_t n = 0;
	ssize_t got;

	*ret_eof = false;
	while (n < want && n < cap - 1 && clock_mono_ms() < end) {
		got = recv(fd, to + n, cap - 1 - n, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN)) {
			*ret_eof = true;
			break;
		}
		if (got > 0)
			n += (size_t)got;
		else
			nettest_turn(t, 5);
	}
	to[n] = '\0';
	return n;
}
