/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked of a device: pure functions over a request. */
#ifndef CT_CHANNEL_COMMAND_CHECK_H
#define CT_CHANNEL_COMMAND_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/command.h"

/* Verb, args (of doc/protocol.md), deadline, id, endpoint.  -EINVAL and one
 * line in why[256]. */
int command_check(const struct command_request *, const struct command_rules *,
    int64_t now_ms, char *why);
/* How many of at most `max` bytes of UTF-8 text end with a whole character. */
size_t command_cut(const char *text, size_t max);

#endif
