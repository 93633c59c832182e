/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a process that found a bug of its own: one line on standard error
 * and abort(), so that the supervisor keeps a core and starts it again.  Uses
 * neither the log nor the heap, either of which may be what is broken.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void
ct_assert_failed(const char *file, int line, const char *what)
{
	char text[512];
	ssize_t ignored;
	int n;

	n = snprintf(text, sizeof(text), "assertion failed: %s:%d: %s\n",
	    file, line, what);
	if (n > (int)sizeof(text) - 1)
		n = (int)sizeof(text) - 1;
	if (n > 0) {
		ignored = write(STDERR_FILENO, text, (size_t)n);
		(void)ignored;	/* nobody is left to tell */
	}
	abort();
}
