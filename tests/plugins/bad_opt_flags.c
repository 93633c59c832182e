/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: an option has unknown flags. */
#include "bad.h"

static const struct cleat_opt opts[] = {
	{ "x", CLEAT_OPT_BOOL, 1024, "no", 0, 0, "help" },
	{ .name = NULL }
};

BAD_PLUGIN("bad_opt_flags", .opts = opts);
