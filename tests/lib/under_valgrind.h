/* SPDX-License-Identifier: Apache-2.0 */
/* Valgrind has descriptors, limits and a memory of its own, and is slow. */
#ifndef TEST_UNDER_VALGRIND_H
#define TEST_UNDER_VALGRIND_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool
under_valgrind(void)
{
	const char *s = getenv("CT_VALGRIND");	/* of run-test */

	return s != NULL && strcmp(s, "yes") == 0;
}

#endif
