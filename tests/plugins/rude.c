/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A protocol plugin that does in message() what the message says, most of it
 * wrong.  Path /rude.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cleat/host.h>

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
};

static int
life_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
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

static int
say(struct inst *in, struct cleat_chan *c, const char *text, size_t n)
{
	struct cleat_msg m = { .size = sizeof(m), .p = text, .n = n,
		.is_text = 1 };

	return in->host->chan_send(c, &m);
}

static void
on_open(void *inst, struct cleat_chan *c, const struct cleat_request *r)
{
	struct inst *in = inst;

	if (strstr(r->target, "?close") != NULL)
		in->host->chan_close(c, 4999, "no");
	if (strstr(r->target, "?say") != NULL)
		(void)say(in, c, "early", 5);
}

/* A full queue: one second of it would be seen as blocking. */
static void
flood(struct inst *in, struct cleat_chan *c)
{
	static char much[4096];

	memset(much, 'x', sizeof(much));
	for (int i = 0; i < 100000; i++)
		if (say(in, c, much, sizeof(much)) != 0)
			return;
}

static void
on_message(void *inst, struct cleat_chan *c, void *session,
    const struct cleat_msg *m)
{
	const struct timespec t = { .tv_nsec = 150000000 };
	struct inst *in = inst;
	char word[16] = "";

	(void)session;
	memcpy(word, m->p, m->n < sizeof(word) - 1 ? m->n : sizeof(word) - 1);
	if (strcmp(word, "block") == 0) {
		(void)nanosleep(&t, NULL);
		(void)say(in, c, "awake", 5);
	} else if (strcmp(word, "flood") == 0) {
		flood(in, c);
	} else if (strcmp(word, "code") == 0) {
		in->host->chan_close(c, 1005, "not for the wire");
	} else if (strcmp(word, "twice") == 0) {
		in->host->chan_close(c, 4100, "first");
		in->host->chan_close(c, 4200, "second");
		(void)say(in, c, "after", 5);
	} else if (strcmp(word, "who") == 0) {
		(void)say(in, c, in->host->presence_bye(c) == -EPERM ?
		    "refused" : "allowed", 7);
	} else {
		(void)say(in, c, m->p, m->n);
	}
}

static void
on_closed(void *inst, struct cleat_chan *c, void *session, uint16_t code)
{
	struct inst *in = inst;

	(void)session;
	(void)code;
	(void)say(in, c, "too late", 8);
	in->host->chan_close(c, 4300, "too late");
}

static const char *const paths[] = { "/rude", NULL };

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.flags = CLEAT_PROTOCOL_ANONYMOUS,
	.paths = paths,
	.open = on_open,
	.message = on_message,
	.closed = on_closed,
};

CLEAT_PLUGIN(CLEAT_PROTOCOL, "rude", "1", NULL, &life, &ops);
