/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: life.close is missing. */
#include "bad.h"

static const struct cleat_life life = {
	.size = sizeof(life), .open = bad_open
};

BAD_PLUGIN("bad_life_close", .life = &life);
