/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events (WHATWG HTML 9.2), as far as the daemon sends them: bytes
 * in any pieces, events out.  Thread: main only.
 */
#ifndef CT_CTL_SSE_H
#define CT_CTL_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define SSE_MAX (1024 * 1024)		/* of a line, and of an event's data */

/* All zero is the start of a stream.  sse_free() at its end. */
struct sse {
	struct text line, event, data;
	bool any;			/* the event has data */
	bool cr;			/* the last byte was CR */
};

typedef void sse_fn(void *arg, const char *event, const char *data);

/* -ENOMEM; -EMSGSIZE beyond SSE_MAX. */
int sse_feed(struct sse *, const char *p, size_t n, sse_fn *fn, void *arg);
void sse_free(struct sse *);

#endif
