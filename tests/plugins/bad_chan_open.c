/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: a protocol without open. */
#include "bad.h"

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.message = bad_message,
	.closed = bad_closed,
	.flags = CLEAT_PROTOCOL_ANONYMOUS
};

BAD_PLUGIN("bad_chan_open", .kind = CLEAT_PROTOCOL, .ops = &ops);
