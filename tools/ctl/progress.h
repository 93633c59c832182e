/* SPDX-License-Identifier: Apache-2.0 */
/* A line on a terminal that says how far something is.  Thread: main only. */
#ifndef CT_CTL_PROGRESS_H
#define CT_CTL_PROGRESS_H

#include <stddef.h>

struct text;

/* "[#####.....]  40% text", at most `width` columns; percent below 0: not
 * known, then without a bar.  The text is escaped. */
void progress_line(struct text *, size_t width, double percent,
    const char *text);

#endif
