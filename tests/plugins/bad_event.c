/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: a status without event. */
#include "bad.h"

static const struct cleat_status_ops ops = {
	.size = sizeof(ops)
};

BAD_PLUGIN("bad_event", .ops = &ops);
