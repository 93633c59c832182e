/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which web pages may open a channel: the Origin header of browsers (RFC 6454
 * section 7, RFC 6455 10.2) against a list.  No patterns: every origin is
 * named.
 * Thread: any.
 */
#ifndef CT_WS_ORIGIN_H
#define CT_WS_ORIGIN_H

#include <stdbool.h>

#include "wire/ws_token.h"

/*
 * 0: the request has no Origin header, or its origin is in `allowed` (NULL
 * ends; a NULL list is an empty one); -EACCES otherwise.  Scheme and host are
 * compared in any case, a missing port is that of http and ws (80) or https
 * and wss (443), "null" must be listed as "null".  Several headers or several
 * origins are refused.
 */
int ws_origin_check(const struct ws_headers *, const char *const *allowed);

/* Whether a configured origin can ever match: "null" or scheme://host[:port],
 * without a path. */
bool ws_origin_valid(const char *);

#endif
