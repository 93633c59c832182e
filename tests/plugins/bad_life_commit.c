/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it prepares but does not commit. */
#include "bad.h"

static const struct cleat_life life = {
	.size = sizeof(life), .open = bad_open, .close = bad_close,
	.prepare = bad_prepare
};

BAD_PLUGIN("bad_life_commit", .life = &life);
