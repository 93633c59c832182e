/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: a default is not of its type. */
#include "bad.h"

static const struct cleat_opt opts[] = {
	{ "x", CLEAT_OPT_UINT, 0, "many", 0, 0, "help" },
	{ .name = NULL }
};

BAD_PLUGIN("bad_opt_default", .opts = opts);
