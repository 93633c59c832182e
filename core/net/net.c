/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the parts of net/ together: what all workers share, and each worker's
 * half.  Owns the listeners and the copies of their options.
 */
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/worker.h"
#include "net/admission.h"
#include "net/conn.h"
#include "net/net_priv.h"
#include "tls/aead.h"
#include "tls/snapshot.h"

/* What libmicrohttpd keeps beside the header itself: its table of headers and
 * the head of the answer. */
#define POOL_EXTRA 4096
#define POOL_MIN (8 * 1024)

static void
opts_free(struct net_listener_opts *o)
{
	for (size_t i = 0; o->origins != NULL && o->origins[i] != NULL; i++)
		mem_free((void *)(uintptr_t)o->origins[i]);
	mem_free((void *)(uintptr_t)o->origins);
	mem_free((void *)(uintptr_t)o->trusted);
	mem_free((void *)(uintptr_t)o->name);
	mem_free((void *)(uintptr_t)o->address);
	mem_free((void *)(uintptr_t)o->default_protocol);
	*o = (struct net_listener_opts){ .name = NULL };
}

static int
copy_origins(const char *const *from, const char *const **ret)
{
	const char **copy;
	size_t n = 0;

	while (from[n] != NULL)
		n++;
	copy = mem_calloc(n + 1, sizeof(copy[0]));
	if (copy == NULL)
		return -ENOMEM;
	*ret = copy;
	for (size_t i = 0; i < n; i++) {
		copy[i] = mem_strdup(from[i]);
		if (copy[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* On failure *to is for opts_free(). */
static int
opts_copy(const struct net_listener_opts *from, struct net_listener_opts *to)
{
	*to = (struct net_listener_opts){
		.name = mem_strdup(from->name),
		.address = mem_strdup(from->address),
		.tls = from->tls, .proxy = from->proxy,
		.backlog = from->backlog, .passed_fd = -1
	};
	if (to->name == NULL || to->address == NULL)
		return -ENOMEM;
	if (from->default_protocol != NULL) {
		to->default_protocol = mem_strdup(from->default_protocol);
		if (to->default_protocol == NULL)
			return -ENOMEM;
	}
	if (from->trusted_n > 0) {
		to->trusted = mem_dup(from->trusted,
		    from->trusted_n * sizeof(from->trusted[0]));
		if (to->trusted == NULL)
			return -ENOMEM;
		to->trusted_n = from->trusted_n;
	}
	return from->origins == NULL ? 0 :
	    copy_origins(from->origins, &to->origins);
}

void
net_set_limits(struct net *net, const struct net_limits *l)
{
	atomic_store(&net->limits.handshakes, l->handshakes);
	atomic_store(&net->limits.handshake_ms, l->handshake_ms);
	atomic_store(&net->limits.http_ms, l->http_ms);
	atomic_store(&net->limits.http_header, l->http_header);
	atomic_store(&net->limits.accept_quota, l->accept_quota);
	atomic_store(&net->limits.backlog_bytes, l->backlog_bytes);
	atomic_store(&net->limits.waiting, l->waiting);
	atomic_store(&net->limits.listener_rate, l->listener_rate);
	atomic_store(&net->limits.listener_burst, l->listener_burst);
	admission_set_limits(net->admission, l->connections,
	    l->connections_per_address);
	admission_set_rate(net->admission, l->address_rate, l->address_burst);
}

static int
open_sites(struct net *net, const struct net_listener_opts *opts, size_t n,
    char *why)
{
	struct listener_inherited inherited = { 0 };
	int error;

	for (size_t i = 0; i < n; i++) {
		struct net_site *site = &net->sites[i];

		site->listener.fd = -1;
		net->sites_n = i + 1;
		error = opts_copy(&opts[i], &site->opts);
		if (error != 0) {
			(void)snprintf(why, LISTENER_WHY_SIZE,
			    "out of memory");
			return error;
		}
		error = opts[i].passed ? listener_adopt(site->opts.address,
		    opts[i].backlog, opts[i].passed_fd, why,
		    &site->listener) : listener_open(site->opts.address,
		    opts[i].backlog, &inherited, why, &site->listener);
		if (error != 0)
			return error;
	}
	return 0;
}

int
net_new(const struct net_limits *limits, const struct net_listener_opts *opts,
    size_t n, const struct net_hooks *hooks, char *why, struct net **ret)
{
	struct net *net = mem_calloc(1, sizeof(*net));
	int error = -ENOMEM;

	(void)snprintf(why, LISTENER_WHY_SIZE, "out of memory");
	if (net == NULL)
		return -ENOMEM;
	net->hooks = *hooks;
	net->pool = (size_t)limits->http_header * 3 / 2 + POOL_EXTRA;
	if (net->pool < POOL_MIN)
		net->pool = POOL_MIN;
	net->sites = mem_calloc(n + 1, sizeof(net->sites[0]));
	if (net->sites != NULL)
		error = admission_new(limits->connections,
		    limits->connections_per_address, &net->admission);
	if (error == 0) {
		net_set_limits(net, limits);
		error = open_sites(net, opts, n, why);
	}
	if (error != 0) {
		net_free(&net);
		return error;
	}
	*why = '\0';
	*ret = net;
	return 0;
}

void
net_free(struct net **pnet)
{
	struct net *net = *pnet;

	*pnet = NULL;
	if (net == NULL)
		return;
	for (size_t i = 0; i < net->sites_n; i++) {
		listener_close(&net->sites[i].listener);
		opts_free(&net->sites[i].opts);
	}
	mem_free(net->sites);
	admission_free(&net->admission);
	mem_free(net);
}

struct net_counters *
net_counters(struct net *net)
{
	return &net->counters;
}

const char *
net_listener_address(const struct net *net, unsigned index, char *to)
{
	CT_ASSERT(index < net->sites_n);
	memcpy(to, net->sites[index].listener.address, ADDR_TEXT_SIZE);
	return to;
}

size_t
net_listeners(const struct net *net)
{
	return net->sites_n;
}

const struct net_listener_opts *
net_listener_opts(const struct net *net, unsigned index)
{
	CT_ASSERT(index < net->sites_n);
	return &net->sites[index].opts;
}

int
net_listener_fd(const struct net *net, unsigned index)
{
	CT_ASSERT(index < net->sites_n);
	return net->sites[index].listener.fd;
}

void
net_lend(struct net *net, bool lent)
{
	for (size_t i = 0; i < net->sites_n; i++)
		net->sites[i].listener.lent = lent;
}

const char *
net_listener_name(const struct net *net, const char *name, size_t n)
{
	const char *own;

	for (size_t i = 0; i < net->sites_n; i++) {
		own = net->sites[i].opts.name;
		if (strlen(own) == n && memcmp(own, name, n) == 0)
			return own;
	}
	return NULL;
}

void
net_leave(struct net *net, const struct addr *claimed)
{
	admission_leave(net->admission, claimed);
	atomic_fetch_sub(&net->counters.connections, 1);
}

void
net_release(struct net *net, const struct addr *admitted)
{
	net_leave(net, admitted);
}

int
net_receive(struct net *net, const struct addr *admitted)
{
	int r = admission_receive(net->admission, admitted);

	if (r == 0)
		atomic_fetch_add(&net->counters.connections, 1);
	return r;
}

static int
init_worker(struct net_worker *w)
{
	int error = stage_init(&w->stage);

	if (error == 0)
		error = stage_init(&w->side);
	if (error == 0)
		error = aead_cache_new(AEAD_CACHE_DEFAULT, &w->stage.aead);
	if (error != 0)
		return error;
	w->side.aead = w->stage.aead;
	error = tls_worker_new(&w->worker->mailbox, &w->tls);
	if (error == 0)
		error = acceptor_init(w);
	if (error == 0)
		error = http_init(&w->http, w, w->net->pool);
	return error;
}

int
net_worker_new(struct net *net, struct worker *worker, void *user,
    struct net_worker **ret)
{
	struct net_worker *w = mem_calloc(1, sizeof(*w));
	int error;

	if (w == NULL)
		return -ENOMEM;
	w->net = net;
	w->worker = worker;
	w->loop = worker->loop;
	w->user = user;
	list_init(&w->conns);
	atomic_fetch_add(&net->workers_n, 1);
	error = init_worker(w);
	if (error != 0) {
		net_worker_free(&w);
		return error;
	}
	*ret = w;
	return 0;
}

void
net_worker_end(struct net_worker *w)
{
	waiting_end(w);
	while (!list_empty(&w->conns))
		conn_free(CT_CONTAINER(list_first(&w->conns), struct conn,
		    link));
}

size_t
net_worker_suspended(const struct net_worker *w)
{
	return w->tls == NULL ? 0 : tls_worker_suspended(w->tls);
}

void
net_worker_free(struct net_worker **pw)
{
	struct net_worker *w = *pw;

	*pw = NULL;
	if (w == NULL)
		return;
	acceptor_fini(w);
	net_worker_end(w);
	http_fini(&w->http);
	tls_worker_free(&w->tls);
	tls_snapshot_unref(&w->snapshot);
	net_answers_unref(&w->answers);
	w->side.aead = NULL;
	aead_cache_free(&w->stage.aead);
	stage_fini(&w->stage);
	stage_fini(&w->side);
	atomic_fetch_sub(&w->net->workers_n, 1);
	mem_free(w);
}

void *
net_worker_user(struct net_worker *w)
{
	return w->user;
}

struct stage *
net_worker_stage(struct net_worker *w)
{
	return &w->stage;
}

struct stage *
net_worker_side_stage(struct net_worker *w)
{
	return &w->side;
}

void
net_worker_set_snapshot(struct net_worker *w, struct tls_snapshot *s)
{
	struct tls_snapshot *old = w->snapshot;

	w->snapshot = s == NULL ? NULL : tls_snapshot_ref(s);
	tls_snapshot_unref(&old);
}

void
net_worker_set_answers(struct net_worker *w, struct net_answers *a)
{
	struct net_answers *old = w->answers;

	w->answers = net_answers_ref(a);
	net_answers_unref(&old);
}
