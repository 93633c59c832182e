/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that fails where the option `fail` says, and writes what happens to
 * it into the file `notes` of its state directory.  -DKIND=2 or 3,
 * -DNAME="...".
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cleat/host.h>

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct cleat_timer *timer, *left;
	pthread_t thread;
	int has_thread;
};

static const struct cleat_opt opts[] = {
	{ "fail", CLEAT_OPT_STRING, 0, "nowhere", 0, 0, "the op that fails" },
	{ "value", CLEAT_OPT_UINT, 0, "1", 1, 9, "a number" },
	{ "fixed", CLEAT_OPT_UINT, CLEAT_OPT_RESTART, "1", 0, 0, "a number" },
	{ .name = NULL }
};

/* One write() each: instances of several workers share the file. */
static void __attribute__((format(printf, 2, 3)))
note(struct inst *in, const char *fmt, ...)
{
	char path[512], text[256];
	va_list ap;
	int fd, n;

	(void)snprintf(path, sizeof(path), "%s/notes",
	    in->host->state_dir(in->self));
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	text[n++] = '\n';
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		abort();
	(void)close(fd);
}

static int
fails(struct inst *in, const struct cleat_opts *o, const char *op)
{
	return strcmp(in->host->opt_text(in->self, o, "fail"), op) == 0;
}

static void
on_timer(void *arg)
{
	struct inst *in = arg;

	note(in, "timer");
	in->host->timer_free(in->timer);
	in->timer = NULL;
}

static void
on_post(void *arg)
{
	note(arg, "posted");
}

static void *
run(void *arg)
{
	struct inst *in = arg;

	if (in->host->post(in->self, on_post, in) < 0)
		abort();
	return NULL;
}

static int
open_it(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	note(in, "open");
	if (fails(in, NULL, "open")) {
		if (host->timer_new(self, on_timer, in, &in->left) < 0 ||
		    host->post(self, on_post, in) < 0)
			abort();
		host->log(self, CLEAT_LOG_ERROR, "no\nluck\x7f");
		free(in);
		return -EIO;
	}
	*ret = in;
	return 0;
}

static int
start_it(void *inst)
{
	struct inst *in = inst;

	note(in, "start");
	if (in->host->timer_new(in->self, on_timer, in, &in->timer) < 0)
		return -ENOMEM;
	in->host->timer_set(in->timer, 1);
	if (fails(in, NULL, "start"))
		return -EIO;
	if (pthread_create(&in->thread, NULL, run, in) != 0)
		return -EAGAIN;
	in->has_thread = 1;
	if (fails(in, NULL, "leave") && in->host->timer_new(in->self,
	    on_timer, in, &in->left) < 0)
		return -ENOMEM;
	return 0;
}

static int
prepare_it(void *inst, const struct cleat_opts *o, void **ret)
{
	struct inst *in = inst;

	note(in, "prepare %lu", (unsigned long)in->host->opt_number(in->self,
	    o, "value"));
	if (fails(in, o, "prepare"))
		return -EIO;
	*ret = malloc(1);
	return *ret == NULL ? -ENOMEM : 0;
}

static void
commit_it(void *inst, void *staged)
{
	struct inst *in = inst;

	note(in, "commit %lu", (unsigned long)in->host->opt_number(in->self,
	    NULL, "value"));
	free(staged);
}

static void
discard_it(void *inst, void *staged)
{
	struct inst *in = inst;

	note(in, "discard %lu", (unsigned long)in->host->opt_number(in->self,
	    NULL, "value"));
	free(staged);
}

static void
stop_it(void *inst)
{
	struct inst *in = inst;

	if (in->has_thread)
		(void)pthread_join(in->thread, NULL);
	in->host->timer_free(in->timer);
	note(in, "stop");
}

static void
close_it(void *inst)
{
	note(inst, "close");
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = open_it,
	.start = start_it,
	.prepare = prepare_it,
	.commit = commit_it,
	.discard = discard_it,
	.stop = stop_it,
	.close = close_it,
};

#if KIND == 2
static void
chan_open(void *inst, struct cleat_chan *c, const struct cleat_request *r)
{
	(void)inst;
	(void)c;
	(void)r;
}

static void
message(void *inst, struct cleat_chan *c, void *session,
    const struct cleat_msg *m)
{
	(void)inst;
	(void)c;
	(void)session;
	(void)m;
}

static void
closed(void *inst, struct cleat_chan *c, void *session, uint16_t code)
{
	(void)inst;
	(void)c;
	(void)session;
	(void)code;
}

static const char *const subprotocols[] = { "one", "two", NULL };
static const char *const paths[] = { "/default", NULL };

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.flags = CLEAT_PROTOCOL_ANONYMOUS,
	.subprotocols = subprotocols,
	.paths = paths,
	.open = chan_open,
	.message = message,
	.closed = closed,
};
#else
static void
event(void *inst, const struct cleat_event *ev)
{
	note(inst, "event %lu %s %s %s", (unsigned long)ev->seq, ev->type,
	    ev->endpoint, ev->state);
}

static const struct cleat_status_ops ops = {
	.size = sizeof(ops),
	.event = event,
};
#endif

CLEAT_PLUGIN(KIND, NAME, "1", opts, &life, &ops);
