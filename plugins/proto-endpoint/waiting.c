/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the device that are answered later, when what they led to is
 * durable: each host call with a request number is remembered here until its
 * completion comes.  A session with one of them stays on its worker.
 */
#include <errno.h>
#include <stdlib.h>

#include "call.h"

struct waiting {
	struct waiting *next;
	uint64_t number;
	enum answer what;
	json_t *id;			/* NULL: nobody waits for the answer */
};

uint64_t
waiting_add(struct call *c, json_t *id, enum answer what)
{
	struct session *s;
	struct waiting *w;

	if (c->session->waiting_n >= WAITING_MAX)
		return 0;
	s = session_own(c);
	if (s == NULL)
		return 0;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return 0;
	if (++s->last_request == 0)	/* 0 is no number */
		s->last_request = 1;
	w->number = s->last_request;
	w->what = what;
	w->id = id == NULL ? NULL : json_incref(id);
	w->next = s->waiting;
	s->waiting = w;
	s->waiting_n++;
	return w->number;
}

static struct waiting *
take(struct session *s, uint64_t number)
{
	for (struct waiting **at = &s->waiting; *at != NULL;
	    at = &(*at)->next) {
		struct waiting *w = *at;

		if (w->number != number)
			continue;
		*at = w->next;
		s->waiting_n--;
		return w;
	}
	return NULL;
}

static void
drop(struct waiting *w)
{
	if (w == NULL)
		return;
	json_decref(w->id);
	free(w);
}

void
waiting_asked(struct call *c, uint64_t number, int err)
{
	if (number == 0)
		err = -EAGAIN;
	if (err >= 0) {
		session_good(c->session);
		return;
	}
	waiting_forget(c->session, number);
	call_code(c, err);
}

void
waiting_forget(struct session *s, uint64_t number)
{
	drop(take(s, number));
}

void
waiting_fini(struct session *s)
{
	struct waiting *w;

	while ((w = s->waiting) != NULL) {
		s->waiting = w->next;
		drop(w);
	}
	s->waiting_n = 0;
}

static char *
answer_text(const struct waiting *w, const struct cleat_completion *r)
{
	json_int_t value = (json_int_t)r->value;

	switch (r->error) {
	case 0:
		break;
	case -EINVAL:
		return rpc_error(w->id, RPC_PARAMS, "a value is not allowed");
	case -EMSGSIZE:
		return rpc_error(w->id, RPC_PARAMS, "too long");
	case -ENOENT:
		return rpc_error(w->id, E_NO_COMMAND, "no such command");
	case -EAGAIN:
	case -ENOSPC:
	case -EIO:
		return rpc_error(w->id, E_TRY_LATER, "not just now");
	default:
		return rpc_error(w->id, RPC_INTERNAL, "internal error");
	}
	switch (w->what) {
	case ANSWER_STORED:
		return rpc_result(w->id, json_pack("{s:I}", "stored", value));
	case ANSWER_REVISION:
		return rpc_result(w->id, json_pack("{s:I}", "revision", value));
	case ANSWER_FINAL:
		return rpc_result(w->id, json_pack("{s:s}", "final",
		    outcome_name(r->value)));
	case ANSWER_DONE:
	case ANSWER_BYE:
		return rpc_result(w->id, json_object());
	}
	return NULL;
}

void
waiting_completed(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_completion *r)
{
	struct session *s = session;
	struct waiting *w = s == NULL ? NULL : take(s, r->request);

	if (w != NULL && w->id != NULL)
		call_send(inst, chan, answer_text(w, r));
	/* Whatever the disk says: a device that goes is let go. */
	if (w != NULL && w->what == ANSWER_BYE)
		call_bye(inst, chan);
	drop(w);
	if (w != NULL)
		session_settle(inst, chan, s);
}
