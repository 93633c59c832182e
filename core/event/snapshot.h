/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to requests for the view, as JSON: what the REP socket speaks
 * (doc/cleat-events.7.scd).  Pure; publisher thread.
 */
#ifndef CT_EVENT_SNAPSHOT_H
#define CT_EVENT_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "event/view.h"

#define SNAPSHOT_REPLY_MAX (256 * 1024)
/* Endpoints looked at for one page: a state that few have costs a requester
 * more pages, and not the publisher its time. */
#define SNAPSHOT_SCAN_MAX 20000

struct snapshot_facts {
	uint64_t epoch;
	const char *version;
	uint64_t published, dropped, relistened;
};

/*
 * Always writes one JSON object to `out` (an area of SNAPSHOT_REPLY_MAX):
 * the answer, or an object with the member "error" for a request that is not
 * understood or not served.
 */
void snapshot_answer(const struct view *, const struct snapshot_facts *,
    const void *request, size_t n, struct outbuf *out);

#endif
