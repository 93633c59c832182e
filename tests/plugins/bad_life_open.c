/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: life.open is missing. */
#include "bad.h"

static const struct cleat_life life = {
	.size = sizeof(life), .close = bad_close
};

BAD_PLUGIN("bad_life_open", .life = &life);
