/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it knows devices, but not authenticated. */
#include "bad.h"

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.open = bad_chan,
	.message = bad_message,
	.closed = bad_closed,
	.flags = 0
};

BAD_PLUGIN("bad_auth", .kind = CLEAT_PROTOCOL, .ops = &ops);
