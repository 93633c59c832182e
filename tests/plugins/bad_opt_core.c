/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: an option is the daemon's own. */
#include "bad.h"

static const struct cleat_opt opts[] = {
	{ "required", CLEAT_OPT_BOOL, 0, "no", 0, 0, "help" },
	{ .name = NULL }
};

BAD_PLUGIN("bad_opt_core", .opts = opts);
