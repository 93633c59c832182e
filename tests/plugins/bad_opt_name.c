/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: the name of an option is bad. */
#include "bad.h"

static const struct cleat_opt opts[] = {
	{ "Bad Name", CLEAT_OPT_STRING, 0, NULL, 0, 0, "help" },
	{ .name = NULL }
};

BAD_PLUGIN("bad_opt_name", .opts = opts);
