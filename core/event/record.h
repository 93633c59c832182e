/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event on its way through the ring: one allocation, the strings behind the
 * struct.  Made by whoever emits, freed (mem_free) by the publisher.
 */
#ifndef CT_EVENT_RECORD_H
#define CT_EVENT_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "event/event.h"

/* A longer one is not an endpoint id of ours: the event is dropped. */
#define EVENT_ID_MAX 255

struct event_record {
	struct event ev;		/* its pointers lead into text */
	size_t size;			/* of the whole allocation */
	char text[];
};

/* Copies `ev`; wall_ms 0 becomes now.  Empty strings become NULL.  Any thread.
 * -ENOMEM, -EINVAL (no such type or value, id too long). */
int event_pack(const struct event *ev, struct event_record **ret);

/* One of the first eight types: it changes what the view says of an
 * endpoint. */
bool event_is_presence(enum event_type);

#endif
