/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: its ops table is too small. */
#include "bad.h"

static const struct cleat_status_ops ops = {
	.size = 4, .event = bad_event
};

BAD_PLUGIN("bad_ops_size", .ops = &ops);
