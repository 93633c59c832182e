/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of events. */
#include <errno.h>

#include "base/mem.h"
#include "ctl.h"
#include "sse.h"

struct events {
	struct ctl *ctl;
	struct http_stream *stream;
	struct sse sse;
	events_fn *each;
	void *arg;
	int said;			/* by each */
};

static void
on_event(void *arg, const char *event, const char *data)
{
	struct events *e = arg;

	if (e->said == 0)
		e->said = e->each(e->arg, event, data);
}

static int
on_data(void *arg, const char *p, size_t n)
{
	struct events *e = arg;
	int r = sse_feed(&e->sse, p, n, on_event, e);

	return r != 0 ? r : e->said != 0 ? -ECANCELED : 0;
}

int
events_open(struct ctl *x, const char *prefix, events_fn *each, void *arg,
    struct events **ret)
{
	struct events *e = mem_calloc(1, sizeof(*e));
	struct text path = { 0 };
	int r = -ENOMEM;

	if (e == NULL)
		return say_memory();
	e->ctl = x;
	e->each = each;
	e->arg = arg;
	text_puts(&path, "/v1/events");
	path_query(&path, "prefix", prefix);
	if (!path.failed)
		r = http_stream_open(x->http, text_str(&path), on_data, e,
		    &e->stream);
	text_free(&path);
	if (r != 0) {
		events_free(&e);
		return say_memory();
	}
	*ret = e;
	return EXIT_OK;
}

static int
refused(struct events *e)
{
	const struct http_answer *a = http_stream_answer(e->stream);
	json_t *problem = a->body == NULL ? NULL :
	    json_loadb(a->body, a->n, 0, NULL);
	int r = api_problem(a->status, problem);

	json_decref(problem);
	return r;
}

int
events_turn(struct events *e, int timeout_ms)
{
	int r = http_stream_turn(e->stream, timeout_ms);

	if (r > 0)
		return -1;
	if (r == -ECANCELED && e->said != 0)
		return e->said > 0 ? e->said : EXIT_OK;
	if (r == 0 && http_stream_answer(e->stream)->status != 200)
		return refused(e);
	if (r == 0 || r == -EPIPE) {
		say("%s: the daemon ended the stream", e->ctl->socket);
		return EXIT_UNREACHABLE;
	}
	return api_failed(e->ctl, r);
}

void
events_free(struct events **e)
{
	if (*e == NULL)
		return;
	http_stream_free(&(*e)->stream);
	sse_free(&(*e)->sse);
	mem_free(*e);
	*e = NULL;
}
