/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: an option has no possible value. */
#include "bad.h"

static const struct cleat_opt opts[] = {
	{ "x", CLEAT_OPT_UINT, 0, "1", 9, 1, "help" },
	{ .name = NULL }
};

BAD_PLUGIN("bad_opt_range", .opts = opts);
