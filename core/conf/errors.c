/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of everything that is wrong.  Bounded: a wrong file given by mistake
 * makes an error of every line.
 */
#include "conf/conf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void
conf_error(struct conf_errors *errs, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (errs->n < CONF_ERRORS_MAX &&
	    (errs->line[errs->n] = mem_strdup(line)) != NULL)
		errs->n++;
	else
		errs->more++;
}

void
conf_errors_fini(struct conf_errors *errs)
{
	for (unsigned i = 0; i < errs->n; i++)
		mem_free(errs->line[i]);
	*errs = (struct conf_errors){ .n = 0 };
}
