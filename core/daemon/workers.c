/* SPDX-License-Identifier: Apache-2.0 */
/* The network workers: one thread each with its half of net/ and channel/. */
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "channel/command.h"

static void
drop_arrays(struct daemon *d)
{
	mem_free(d->workers);
	mem_free(d->worker_of);
	mem_free(d->net_of);
	mem_free(d->channels_of);
	d->workers = NULL;
	d->worker_of = NULL;
	d->net_of = NULL;
	d->channels_of = NULL;
}

int
daemon_workers_new(struct daemon *d, char *why)
{
	unsigned n = d->workers_n;
	char name[16];
	int r = 0;

	d->workers = mem_calloc(n, sizeof(*d->workers));
	d->worker_of = mem_calloc(n, sizeof(struct worker *));
	d->net_of = mem_calloc(n, sizeof(struct net_worker *));
	d->channels_of = mem_calloc(n, sizeof(struct channel_worker *));
	if (d->workers == NULL || d->worker_of == NULL || d->net_of == NULL ||
	    d->channels_of == NULL) {
		drop_arrays(d);		/* no workers: all there or none */
		r = -ENOMEM;
	}
	for (unsigned i = 0; r == 0 && i < n; i++) {
		d->workers[i].index = i;
		d->workers[i].daemon = d;
		(void)snprintf(name, sizeof(name), "worker %u", i % 100);
		r = worker_init(&d->workers[i].worker, name);
		if (r == 0)
			d->worker_of[i] = &d->workers[i].worker;
	}
	if (r != 0)
		(void)snprintf(why, DAEMON_WHY_SIZE, "workers: %s",
		    strerror(-r));
	return r;
}

static struct channel_protocol *
find_protocol(void *ctx, unsigned worker, const char *name)
{
	struct daemon *d = ctx;

	return plugs_protocol(d->plugs, worker, name);
}

int
daemon_workers_open(struct daemon *d, const struct channel_limits *limits,
    char *why)
{
	struct channel_shared shared = {
		.commands = d->commands, .telemetry = d->telemetry,
		.net = d->net, .endpoints = d->endpoints,
		.identity = d->identity, .bus = d->bus,
		.counters = &d->channel_counters, .workers = d->channels_of,
		.workers_n = d->workers_n, .epoch = d->epoch,
		.find_protocol = find_protocol, .find_ctx = d
	};
	struct daemon_worker *w;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->workers_n; i++) {
		w = &d->workers[i];
		r = net_worker_new(d->net, &w->worker, w, &w->net);
		if (r == 0)
			r = channel_worker_new(&shared, i, &w->worker, w->net,
			    limits, &w->channels);
		d->net_of[i] = w->net;
		d->channels_of[i] = w->channels;
	}
	endpoint_table_set_closer(d->endpoints, channel_pass_closing,
	    d->channels_of);
	if (r != 0)
		(void)snprintf(why, DAEMON_WHY_SIZE, "workers: %s",
		    strerror(-r));
	else
		command_table_set_workers(d->commands, d->channels_of);
	return r;
}

int
daemon_workers_start(struct daemon *d, char *why)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->workers_n; i++)
		r = worker_start(&d->workers[i].worker);
	if (r != 0)
		(void)snprintf(why, DAEMON_WHY_SIZE, "threads: %s",
		    strerror(-r));
	return r;
}

/* ---- calls on every worker's thread ------------------------------------ */

static void
accept_on(void *arg)
{
	struct daemon_worker *w = arg;

	(void)net_worker_accept(w->net, true);
}

static void
accept_off(void *arg)
{
	struct daemon_worker *w = arg;

	(void)net_worker_accept(w->net, false);
}

void
daemon_workers_accept(struct daemon *d, bool on)
{
	for (unsigned i = 0; i < d->workers_n; i++)
		worker_call(&d->workers[i].worker, on ? accept_on :
		    accept_off, &d->workers[i]);
}

static void
close_channels(void *arg)
{
	struct daemon_worker *w = arg;

	channel_worker_close_all(w->channels, 1001, "the server is stopping");
}

void
daemon_workers_close_channels(struct daemon *d)
{
	for (unsigned i = 0; i < d->workers_n; i++)
		worker_call(&d->workers[i].worker, close_channels,
		    &d->workers[i]);
}

static void
kill_channels(void *arg)
{
	struct daemon_worker *w = arg;

	if (w->channels != NULL)
		channel_worker_kill_all(w->channels);
}

void
daemon_workers_kill_channels(struct daemon *d)
{
	for (unsigned i = 0; d->workers != NULL && i < d->workers_n; i++)
		if (d->worker_of[i] != NULL)
			worker_call(&d->workers[i].worker, kill_channels,
			    &d->workers[i]);
}

static void
end_connections(void *arg)
{
	struct daemon_worker *w = arg;

	if (w->net != NULL)
		net_worker_end(w->net);
}

void
daemon_workers_end_connections(struct daemon *d)
{
	for (unsigned i = 0; d->workers != NULL && i < d->workers_n; i++)
		if (d->worker_of[i] != NULL)
			worker_call(&d->workers[i].worker, end_connections,
			    &d->workers[i]);
}

struct counting {
	struct daemon_worker *w;
	size_t n;
};

static void
count(void *arg)
{
	struct counting *c = arg;

	c->n = channel_worker_count(c->w->channels);
}

size_t
daemon_worker_channels(struct daemon_worker *w)
{
	struct counting c = { .w = w };

	worker_call(&w->worker, count, &c);
	return c.n;
}

size_t
daemon_workers_channels(struct daemon *d)
{
	size_t n = 0;

	for (unsigned i = 0; i < d->workers_n; i++)
		n += daemon_worker_channels(&d->workers[i]);
	return n;
}

static void
count_suspended(void *arg)
{
	struct counting *c = arg;

	c->n = c->w->net == NULL ? 0 : net_worker_suspended(c->w->net);
}

size_t
daemon_workers_suspended(struct daemon *d)
{
	struct counting c;
	size_t n = 0;

	for (unsigned i = 0; d->workers != NULL && i < d->workers_n; i++) {
		if (d->worker_of[i] == NULL)
			continue;
		c.w = &d->workers[i];
		worker_call(&c.w->worker, count_suspended, &c);
		n += c.n;
	}
	return n;
}

struct draining {
	struct daemon_worker *w;
	uint32_t window_ms;
	const char *servers, *why;
	int error;
};

static void
drain(void *arg)
{
	struct draining *g = arg;

	g->error = channel_worker_drain(g->w->channels, g->window_ms,
	    g->servers, g->why);
}

int
daemon_drain(struct daemon *d, uint32_t window_ms, const char *servers,
    const char *why)
{
	struct draining g = {
		.window_ms = window_ms, .servers = servers, .why = why
	};
	int r = 0;

	for (unsigned i = 0; i < d->workers_n; i++) {
		g.w = &d->workers[i];
		worker_call(&g.w->worker, drain, &g);
		if (g.error != 0)
			r = g.error;
	}
	return r;
}

struct setting {
	struct daemon_worker *w;
	const struct channel_limits *limits;
};

static void
set(void *arg)
{
	struct setting *s = arg;

	channel_worker_set_limits(s->w->channels, s->limits);
}

void
daemon_workers_set(struct daemon *d, const struct channel_limits *limits)
{
	struct setting s = { .limits = limits };

	for (unsigned i = 0; i < d->workers_n; i++) {
		s.w = &d->workers[i];
		worker_call(&s.w->worker, set, &s);
	}
}

void
daemon_workers_stop(struct daemon *d)
{
	for (unsigned i = 0; d->workers != NULL && i < d->workers_n; i++)
		if (d->worker_of[i] != NULL)
			worker_stop(&d->workers[i].worker);
}

void
daemon_workers_free(struct daemon *d)
{
	struct daemon_worker *w;

	for (unsigned i = 0; d->workers != NULL && i < d->workers_n; i++) {
		if (d->worker_of == NULL || d->worker_of[i] == NULL)
			continue;
		w = &d->workers[i];
		/* Mail that is left refers to what is freed next. */
		mailbox_drain(&w->worker.mailbox);
		channel_worker_free(&w->channels);
		net_worker_free(&w->net);
		worker_fini(&w->worker);
	}
	drop_arrays(d);
}
