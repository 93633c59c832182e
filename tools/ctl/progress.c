/* SPDX-License-Identifier: Apache-2.0 */
/* A line on a terminal that says how far something is. */
#include "progress.h"

#include <string.h>

#include "text.h"

#define BAR 30
#define BAR_LEAST 5
#define BESIDE 9			/* brackets, "100%", spaces */

void
progress_line(struct text *t, size_t width, double percent, const char *text)
{
	struct text safe = { 0 };
	size_t bar = width / 3 < BAR ? width / 3 : BAR, used = 0, full;

	if (percent > 100)
		percent = 100;
	if (percent >= 0 && bar >= BAR_LEAST) {
		full = (size_t)(percent * (double)bar / 100.0 + 0.5);
		text_puts(t, "[");
		for (size_t i = 0; i < bar; i++)
			text_puts(t, i < full ? "#" : ".");
		text_printf(t, "] %3.0f%%  ", percent);
		used = bar + BESIDE;
	}
	text_escaped(&safe, text, strlen(text));
	if (safe.failed)
		t->failed = true;
	else if (used < width)
		text_add(t, text_str(&safe), text_fit(text_str(&safe),
		    width - used));
	text_free(&safe);
}
