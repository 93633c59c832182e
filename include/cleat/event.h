/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as a status plugin gets them.  The JSON text is the one that goes to
 * the bus; cleat-events(7) describes its members.
 */
#ifndef CLEAT_EVENT_H
#define CLEAT_EVENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cleat_event {
	uint32_t size;			/* sizeof(struct cleat_event) */
	uint32_t reserved;
	uint64_t seq;			/* a gap means: events were lost */
	uint64_t epoch;
	const char *type;		/* "endpoint.online" */
	const char *endpoint;		/* "" when not about an endpoint */
	const char *state;		/* "online"; "" when not about one */
	const char *text;		/* one line for people, or "" */
	const char *json;		/* the whole event,
					 * json_n bytes + NUL */
	size_t json_n;
};

#ifdef __cplusplus
}
#endif

#endif
