/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends every message back as it came, to anybody: for tests of the wire and
 * for measuring.  A peer that sends without reading has one message kept for
 * it; the next one ends the channel, so that nothing grows.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <cleat/host.h>

#define NAME "proto-echo"
#define CLOSE_TRY_LATER 1013
#define CLOSE_RATE 4008
#define SESSION_VERSION 1		/* of a session as bytes */
#define SESSION_HEAD 2			/* version, text or binary */

struct inst {
	const struct cleat_host *host;
};

/* A message that found the send queue full; the channel's session. */
struct kept {
	struct cleat_msg msg;
	unsigned char data[];
};

static void
on_open(void *inst, struct cleat_chan *chan, const struct cleat_request *r)
{
	(void)inst;
	(void)chan;
	(void)r;
}

static struct kept *
kept_new(const struct cleat_msg *m)
{
	struct kept *k = malloc(sizeof(*k) + m->n);

	if (k == NULL)
		return NULL;
	k->msg = *m;
	k->msg.size = sizeof(k->msg);
	k->msg.p = k->data;
	if (m->n > 0)
		memcpy(k->data, m->p, m->n);
	return k;
}

static void
keep(struct inst *in, struct cleat_chan *chan, const struct cleat_msg *m)
{
	struct kept *k = kept_new(m);

	if (k == NULL)
		in->host->chan_close(chan, CLOSE_TRY_LATER, "out of memory");
	else
		in->host->chan_set_session(chan, k);
}

static void
on_message(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_msg *m)
{
	struct inst *in = inst;
	int err;

	if (session != NULL) {
		in->host->chan_close(chan, CLOSE_RATE,
		    "echoes are not being read");
		return;
	}
	err = in->host->chan_send(chan, m);
	if (err == -EAGAIN)
		keep(in, chan, m);
	else if (err < 0 && err != -EPIPE)
		in->host->chan_close(chan, CLOSE_TRY_LATER, "cannot echo");
}

static void
on_drained(void *inst, struct cleat_chan *chan, void *session)
{
	struct inst *in = inst;
	struct kept *k = session;
	int err;

	if (k == NULL)
		return;
	err = in->host->chan_send(chan, &k->msg);
	if (err == -EAGAIN)
		return;
	in->host->chan_set_session(chan, NULL);
	free(k);
	if (err < 0 && err != -EPIPE)
		in->host->chan_close(chan, CLOSE_TRY_LATER, "cannot echo");
}

static void
on_closed(void *inst, struct cleat_chan *chan, void *session, uint16_t code)
{
	(void)inst;
	(void)chan;
	(void)code;
	free(session);
}

/* The session is a message that waits, or nothing.  A large one stays here
 * until it is sent. */
static int
session_export(void *inst, struct cleat_chan *chan, void *session, void *to,
    size_t cap)
{
	const struct kept *k = session;
	unsigned char *at = to;

	(void)inst;
	(void)chan;
	if (k == NULL)
		return 0;
	if (cap > INT_MAX)
		cap = INT_MAX;
	if (cap < SESSION_HEAD || k->msg.n > cap - SESSION_HEAD)
		return -EBUSY;
	at[0] = SESSION_VERSION;
	at[1] = k->msg.is_text != 0;
	if (k->msg.n > 0)
		memcpy(at + SESSION_HEAD, k->data, k->msg.n);
	return (int)(SESSION_HEAD + k->msg.n);
}

static int
session_import(void *inst, struct cleat_chan *chan, const void *p, size_t n)
{
	const unsigned char *at = p;
	struct inst *in = inst;
	struct cleat_msg m = { .size = sizeof(m) };
	struct kept *k = NULL;

	if (n > 0) {
		if (n < SESSION_HEAD || at[0] != SESSION_VERSION || at[1] > 1)
			return -EINVAL;
		m.is_text = at[1];
		m.p = at + SESSION_HEAD;
		m.n = n - SESSION_HEAD;
		k = kept_new(&m);
		if (k == NULL)
			return -ENOMEM;
	}
	in->host->chan_set_session(chan, k);
	return 0;
}

static void
session_forget(void *inst, void *session)
{
	(void)inst;
	free(session);
}

static int
life_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = malloc(sizeof(*in));

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
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = life_open,
	.close = life_close,
};

static const char *const paths[] = { "/echo", NULL };

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.flags = CLEAT_PROTOCOL_ANONYMOUS,
	.paths = paths,
	.open = on_open,
	.message = on_message,
	.drained = on_drained,
	.closed = on_closed,
	.session_export = session_export,
	.session_import = session_import,
	.session_forget = session_forget,
};

CLEAT_PLUGIN(CLEAT_PROTOCOL, NAME, "1.0", NULL, &life, &ops);
