/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device protocol in a page: the first text message is "ID TOKEN", answered
 * with "welcome"; each one after it is published on the bus as {"bytes":N}.
 * See cleat-plugin(7).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cleat/host.h>

#define LINE_MAX_N 256

struct inst {
	const struct cleat_host *host;
};

static void
say(struct inst *in, struct cleat_chan *chan, const char *text)
{
	struct cleat_msg m = { sizeof(m), 1, text, strlen(text) };

	/* A device that does not read its answers is not worth keeping. */
	if (in->host->chan_send(chan, &m) == -EAGAIN)
		in->host->chan_close(chan, 4008, "answers are not being read");
}

static void
on_open(void *inst, struct cleat_chan *chan, const struct cleat_request *r)
{
	struct inst *in = inst;

	(void)r;
	say(in, chan, "who are you?");
}

static void
on_hello(struct inst *in, struct cleat_chan *chan, const struct cleat_msg *m)
{
	struct cleat_hello h = {
		.size = sizeof(h), .boot_id = "", .agent = ""
	};
	char line[LINE_MAX_N], *space;

	(void)snprintf(line, sizeof(line), "%.*s", (int)(m->n < LINE_MAX_N ?
	    m->n : LINE_MAX_N - 1), (const char *)m->p);
	space = strchr(line, ' ');
	if (space == NULL) {
		in->host->chan_close(chan, 4006, "ID TOKEN is expected");
		return;
	}
	*space = '\0';
	h.method = CLEAT_AUTH_TOKEN;
	h.endpoint = line;
	h.token = space + 1;
	if (in->host->auth_hello(chan, &h) == -EINVAL)
		in->host->chan_close(chan, 4004, "not a valid id");
	memset(line, 0, sizeof(line));
}

static void
on_message(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_msg *m)
{
	struct inst *in = inst;
	char json[64];
	int n;

	(void)session;
	if (!m->is_text) {
		in->host->chan_close(chan, 1003, "text is expected");
	} else if (in->host->chan_endpoint(chan)[0] == '\0') {
		on_hello(in, chan, m);
	} else {
		n = snprintf(json, sizeof(json), "{\"bytes\":%zu}", m->n);
		say(in, chan, in->host->message_publish(chan, json,
		    (size_t)n) == 0 ? "ok" : "not now");
	}
}

static void
on_authenticated(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_auth_result *r)
{
	struct inst *in = inst;

	(void)session;
	if (r->error == 0)
		say(in, chan, "welcome");
	else
		in->host->chan_close(chan, r->error == -EAGAIN ? 1013 : 4001,
		    "no");
}

static void
on_closed(void *inst, struct cleat_chan *chan, void *session, uint16_t code)
{
	(void)inst;
	(void)chan;
	(void)session;
	(void)code;
}

static int
open_inst(struct cleat_self *self, const struct cleat_host *host, void **ret)
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
close_inst(void *inst)
{
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = open_inst,
	.close = close_inst,
};

static const char *const paths[] = { "/example", NULL };

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.paths = paths,
	.open = on_open,
	.message = on_message,
	.authenticated = on_authenticated,
	.closed = on_closed,
};

CLEAT_PLUGIN(CLEAT_PROTOCOL, "example-proto", "1.0", NULL, &life, &ops);
