/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of an event as it goes over the bus: topic, one space, one JSON
 * object (doc/cleat-events.7.scd).  Pure; any thread.
 */
#ifndef CT_EVENT_ENCODE_H
#define CT_EVENT_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "event/event.h"

/* Room that event_encode() never exceeds for this event. */
size_t event_encoded_max(const struct event *);
/* Appends to `out`; *ret_json is where the object starts in out->p.  -ENOBUFS
 * (the area then holds rubbish behind its former end). */
int event_encode(const struct event *, uint64_t epoch, uint64_t seq,
    struct outbuf *out, size_t *ret_json);

#endif
