/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: an option is of no type. */
#include "bad.h"

static const struct cleat_opt opts[] = {
	{ "x", 77, 0, NULL, 0, 0, "help" },
	{ .name = NULL }
};

BAD_PLUGIN("bad_opt_type", .opts = opts);
