/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: its life table is too small. */
#include "bad.h"

static const struct cleat_life life = {
	.size = 8, .open = bad_open, .close = bad_close
};

BAD_PLUGIN("bad_life_size", .life = &life);
