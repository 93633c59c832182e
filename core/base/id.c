/* SPDX-License-Identifier: Apache-2.0 */
/* The one rule for ids, of the server and of those that are told before it. */
#include "base/id.h"

#include <string.h>

bool
id_valid(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@-");

	return n > 0 && n <= ID_MAX && id[n] == '\0';
}
