/* SPDX-License-Identifier: Apache-2.0 */
/* A bad plugin: it calls what nobody has. */
#include "bad.h"

void nobody_has_this(void);

static int
open_it(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	nobody_has_this();
	return bad_open(self, host, ret);
}

static const struct cleat_life life = {
	.size = sizeof(life), .open = open_it, .close = bad_close
};

BAD_PLUGIN("bad_unresolved", .life = &life);
