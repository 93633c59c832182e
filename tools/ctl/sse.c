/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events, as far as the daemon sends them. */
#include "sse.h"

#include <errno.h>
#include <string.h>

static void
dispatch(struct sse *s, sse_fn *fn, void *arg)
{
	if (s->any)
		fn(arg, s->event.n == 0 ? "message" : text_str(&s->event),
		    text_str(&s->data));
	text_clear(&s->event);
	text_clear(&s->data);
	s->any = false;
}

static void
field(struct sse *s)
{
	const char *line = text_str(&s->line);
	size_t n = strcspn(line, ":");
	const char *value = line[n] == ':' ? line + n + 1 : line + n;

	if (*value == ' ')
		value++;
	if (n == 5 && memcmp(line, "event", n) == 0) {
		text_clear(&s->event);
		text_puts(&s->event, value);
	} else if (n == 4 && memcmp(line, "data", n) == 0) {
		if (s->any)
			text_puts(&s->data, "\n");
		text_puts(&s->data, value);
		s->any = true;
	}
}

static void
end_of_line(struct sse *s, sse_fn *fn, void *arg)
{
	if (s->line.n == 0)
		dispatch(s, fn, arg);
	else if (s->line.p[0] != ':')
		field(s);
	text_clear(&s->line);
}

int
sse_feed(struct sse *s, const char *p, size_t n, sse_fn *fn, void *arg)
{
	size_t run;

	for (size_t i = 0; i < n; i += run) {
		run = 0;
		while (i + run < n && p[i + run] != '\n' && p[i + run] != '\r')
			run++;
		if (run > 0) {
			text_add(&s->line, p + i, run);
			s->cr = false;
		} else {
			/* CR LF is one end */
			if (p[i] == '\r' || !s->cr)
				end_of_line(s, fn, arg);
			s->cr = p[i] == '\r';
			run = 1;
		}
		if (s->line.failed || s->event.failed || s->data.failed)
			return -ENOMEM;
		if (s->line.n > SSE_MAX || s->data.n > SSE_MAX)
			return -EMSGSIZE;
	}
	return 0;
}

void
sse_free(struct sse *s)
{
	text_free(&s->line);
	text_free(&s->event);
	text_free(&s->data);
}
