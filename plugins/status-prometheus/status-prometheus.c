/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's figures for Prometheus: an HTTP listener of its own, on loopback
 * unless the operator says otherwise.  Whoever reaches it may read all of them;
 * no device is named in any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cleat/host.h>

#include "http.h"
#include "text.h"

#define NAME "status-prometheus"
#define BOUND_SIZE 80

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct http *http;
	char bound[BOUND_SIZE];
};

static const struct cleat_opt opts[] = {
	{ "address", CLEAT_OPT_STRING, CLEAT_OPT_RESTART, "127.0.0.1:9976",
	    0, 0, "numeric address and port to listen on" },
	{ "path", CLEAT_OPT_STRING, CLEAT_OPT_RESTART, "/metrics", 0, 0,
	    "where the figures are" },
	{ "connections", CLEAT_OPT_UINT, CLEAT_OPT_RESTART, "16", 1, 1000,
	    "connections at a time" },
	{ "timeout", CLEAT_OPT_DURATION, CLEAT_OPT_RESTART, "10s", 1000,
	    600000, "ends a connection that is idle or too slow" },
	{ .name = NULL }
};

static void
on_metric(void *ctx, const struct cleat_metric *m)
{
	text_add(ctx, m);
}

static int
make(void *ctx, char **ret, size_t *ret_n)
{
	struct inst *in = ctx;
	struct text t = { .p = NULL };
	int r = in->host->metrics(in->self, on_metric, &t);

	if (r == 0)
		r = t.error;
	if (r < 0) {
		free(t.p);
		in->host->log(in->self, CLEAT_LOG_WARNING,
		    "a scrape was refused: %s", strerror(-r));
		return r;
	}
	*ret = t.p;
	*ret_n = t.n;
	return 0;
}

/* Events are not needed: figures are asked for. */
static void
on_event(void *inst, const struct cleat_event *ev)
{
	(void)inst;
	(void)ev;
}

static int
life_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in;

	if (!CLEAT_HOST_HAS(host, metrics) || host->metrics == NULL) {
		host->log(self, CLEAT_LOG_ERROR, "this daemon has no metrics");
		return -ENOTSUP;
	}
	if (host->opt_text(self, NULL, "path")[0] != '/') {
		host->log(self, CLEAT_LOG_ERROR, "path: it begins with /");
		return -EINVAL;
	}
	if (!http_address_valid(host->opt_text(self, NULL, "address"))) {
		host->log(self, CLEAT_LOG_ERROR, "address: a numeric address "
		    "and a port are expected, as in 127.0.0.1:9976");
		return -EINVAL;
	}
	in = calloc(1, sizeof(*in));
	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	*ret = in;
	return 0;
}

/* The port is taken here and not when the instance is made: in a live upgrade
 * the former process has it until then. */
static int
life_start(void *inst)
{
	struct inst *in = inst;
	const char *address = in->host->opt_text(in->self, NULL, "address");
	struct http_opts o = {
		.path = in->host->opt_text(in->self, NULL, "path"),
		.connections = (unsigned)in->host->opt_number(in->self, NULL,
		    "connections"),
		.timeout_s = (unsigned)(in->host->opt_number(in->self, NULL,
		    "timeout") / 1000),
		.make = make,
		.ctx = in,
	};
	int fd, r = http_bind(address, in->bound, &fd);

	if (r < 0) {
		in->host->log(in->self, CLEAT_LOG_ERROR, "cannot listen on "
		    "%s: %s", address, strerror(-r));
		return r;
	}
	r = http_new(in->self, in->host, fd, &o, &in->http);
	if (r < 0) {
		in->host->log(in->self, CLEAT_LOG_ERROR, "cannot serve: %s",
		    strerror(-r));
		return r;
	}
	in->host->log(in->self, CLEAT_LOG_NOTICE, "metrics at http://%s%s",
	    in->bound, o.path);
	return 0;
}

static void
life_stop(void *inst)
{
	struct inst *in = inst;

	http_free(&in->http);
}

static void
life_close(void *inst)
{
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = life_open,
	.start = life_start,
	.stop = life_stop,
	.close = life_close,
};

static const struct cleat_status_ops ops = {
	.size = sizeof(ops),
	.event = on_event,
};

CLEAT_PLUGIN(CLEAT_STATUS, NAME, "1.0", opts, &life, &ops);
