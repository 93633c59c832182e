/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: a protocol without message. */
#include "bad.h"

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.open = bad_chan,
	.closed = bad_closed,
	.flags = CLEAT_PROTOCOL_ANONYMOUS
};

BAD_PLUGIN("bad_message", .kind = CLEAT_PROTOCOL, .ops = &ops);
