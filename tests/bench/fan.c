/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the fan-out cell of `make bench`: sends every message to all channels of
 * its worker.  A protocol plugin like anybody's: the daemon itself has nothing
 * that sends one message to many.  Path /fan, anonymous.
 */
#include <errno.h>
#include <stdlib.h>

#include <cleat/host.h>

#define CLOSE_TRY_LATER 1013

/* A channel's session: its place among the others. */
struct member {
	struct cleat_chan *chan;
	size_t at;
};

struct inst {
	const struct cleat_host *host;
	struct member **all;
	size_t n, cap;
};

static int
room(struct inst *in)
{
	size_t cap = in->cap == 0 ? 64 : in->cap * 2;
	struct member **more;

	if (in->n < in->cap)
		return 0;
	more = realloc(in->all, cap * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	in->all = more;
	in->cap = cap;
	return 0;
}

static void
on_open(void *inst, struct cleat_chan *chan, const struct cleat_request *r)
{
	struct inst *in = inst;
	struct member *m = malloc(sizeof(*m));

	(void)r;
	if (m == NULL || room(in) != 0) {
		free(m);
		in->host->chan_close(chan, CLOSE_TRY_LATER, "out of memory");
		return;
	}
	m->chan = chan;
	m->at = in->n;
	in->all[in->n++] = m;
	in->host->chan_set_session(chan, m);
}

static void
on_message(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_msg *m)
{
	struct inst *in = inst;
	int err;

	(void)chan;
	(void)session;
	for (size_t i = 0; i < in->n; i++) {
		err = in->host->chan_send(in->all[i]->chan, m);
		if (err < 0 && err != -EPIPE)
			in->host->chan_close(in->all[i]->chan, CLOSE_TRY_LATER,
			    "too slow");
	}
}

static void
on_closed(void *inst, struct cleat_chan *chan, void *session, uint16_t code)
{
	struct inst *in = inst;
	struct member *m = session;

	(void)chan;
	(void)code;
	if (m == NULL)
		return;
	in->all[m->at] = in->all[--in->n];
	in->all[m->at]->at = m->at;
	free(m);
}

static int
life_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));

	(void)self;
	if (in == NULL)
		return -ENOMEM;
	in->host = host;
	*ret = in;
	return 0;
}

static void
life_close(void *inst)
{
	struct inst *in = inst;

	free(in->all);
	free(in);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = life_open,
	.close = life_close,
};

static const char *const paths[] = { "/fan", NULL };

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.flags = CLEAT_PROTOCOL_ANONYMOUS,
	.paths = paths,
	.open = on_open,
	.message = on_message,
	.closed = on_closed,
};

CLEAT_PLUGIN(CLEAT_PROTOCOL, "fan", "1", NULL, &life, &ops);
