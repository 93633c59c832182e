/* SPDX-License-Identifier: Apache-2.0 */
/* See store_rig.h; apart from it, for programs without cmocka. */
#include "store_rig.h"

int
store_rig_try(const struct store_opts *o, char *why, struct store **ret)
{
	struct store *s = NULL;
	int r = store_new(o, &s);

	if (r == 0)
		r = store_open(s, why);
	if (r == 0)
		*ret = s;
	else
		store_free(&s);
	return r;
}
