/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a channel needs between two messages.  Most need nothing most of the
 * time, which is said by one session that they share; whoever has to remember
 * something gets one of its own until there is nothing left to remember.
 */
#include <errno.h>
#include <stdlib.h>

#include "call.h"

#define SESSION_VERSION 1
#define SESSION_BYTES 3

/* Of many channels on several workers: never written to. */
static struct session shared = { .stage = UP };

static struct session *
make(struct inst *in, struct cleat_chan *chan, enum stage stage)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->stage = (uint8_t)stage;
	in->host->chan_set_session(chan, s);
	return s;
}

int
session_new(struct inst *in, struct cleat_chan *chan)
{
	return make(in, chan, WAITS_FOR_HELLO) == NULL ? -ENOMEM : 0;
}

void
session_good(struct session *s)
{
	if (s != &shared)
		s->errors = 0;
}

struct session *
session_own(struct call *c)
{
	struct session *s = c->session;

	if (s == &shared)
		s = make(c->inst, c->chan, UP);
	if (s != NULL)
		c->session = s;
	return s;
}

void
session_settle(struct inst *in, struct cleat_chan *chan, struct session *s)
{
	if (s == &shared || s->stage != UP || s->errors > 0 ||
	    s->waiting_n > 0)
		return;
	in->host->chan_set_session(chan, &shared);
	free(s);
}

/* What is being answered stays on its worker until it is. */
int
session_export(void *inst, struct cleat_chan *chan, void *session, void *to,
    size_t cap)
{
	const struct session *s = session;
	unsigned char *at = to;

	(void)inst;
	(void)chan;
	if (s == NULL || s->stage == ASKED || s->waiting_n > 0)
		return -EBUSY;
	if (cap < SESSION_BYTES)
		return -ENOBUFS;
	at[0] = SESSION_VERSION;
	at[1] = s->stage == UP;
	at[2] = s->errors;
	return SESSION_BYTES;
}

int
session_import(void *inst, struct cleat_chan *chan, const void *p, size_t n)
{
	const unsigned char *at = p;
	struct session *s;

	if (n != SESSION_BYTES || at[0] != SESSION_VERSION || at[1] > 1 ||
	    at[2] >= ERRORS_MAX)
		return -EINVAL;
	s = make(inst, chan, at[1] != 0 ? UP : WAITS_FOR_HELLO);
	if (s == NULL)
		return -ENOMEM;
	s->errors = at[2];
	session_settle(inst, chan, s);
	return 0;
}

void
session_forget(void *inst, void *session)
{
	struct session *s = session;

	(void)inst;
	if (s == NULL || s == &shared)
		return;
	json_decref(s->hello_id);
	waiting_fini(s);
	free(s);
}
