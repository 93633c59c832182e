/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: a protocol without closed. */
#include "bad.h"

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.open = bad_chan,
	.message = bad_message,
	.flags = CLEAT_PROTOCOL_ANONYMOUS
};

BAD_PLUGIN("bad_closed", .kind = CLEAT_PROTOCOL, .ops = &ops);
