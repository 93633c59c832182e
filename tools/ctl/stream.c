/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of events, and what a span or a number on the command line is. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ctl.h"
#include "sse.h"
#include "when.h"

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
	int r = api_problem(e->ctl, a->status, problem);

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

/* ---- options ------------------------------------------------------------ */

int
option_span(const struct ctl *x, enum opt o, uint64_t *ret_ms)
{
	if (when_span_parse(x->option[o], ret_ms) == 0)
		return EXIT_OK;
	say("--%s %s: a span is expected, such as 1500ms, 30s, 5m, 2h or 1d",
	    ctl_options[o].name, x->option[o]);
	return EXIT_USAGE;
}

int
option_number(const struct ctl *x, enum opt o, uint64_t *ret)
{
	const char *s = x->option[o];
	uint64_t v = 0;
	size_t n = strspn(s, "0123456789");

	if (n == 0 || n > 18 || s[n] != '\0') {
		say("--%s %s: a number is expected", ctl_options[o].name, s);
		return EXIT_USAGE;
	}
	for (; *s != '\0'; s++)
		v = 10 * v + (uint64_t)(*s - '0');
	*ret = v;
	return EXIT_OK;
}

int
option_time(const struct ctl *x, enum opt o, char *to)
{
	const char *s = x->option[o];
	int64_t at;
	uint64_t span;

	if (when_parse(s, &at) != 0) {
		if (when_span_parse(s, &span) != 0) {
			say("--%s %s: a time such as 2030-01-31T12:00:00Z, or "
			    "a span such as 30d, is expected",
			    ctl_options[o].name, s);
			return EXIT_USAGE;
		}
		at = clock_wall_ms() + (int64_t)span;
	}
	clock_text(at, to);
	return EXIT_OK;
}
