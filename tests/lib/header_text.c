/* SPDX-License-Identifier: Apache-2.0 */
/* Looks headers up as an HTTP library would: names in any case, in order. */
#include "header_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *
get(const struct ws_headers *h, const char *name, unsigned nth)
{
	const struct header_text *t = (const struct header_text *)h;
	size_t i;

	for (i = 0; i < t->n; i++) {
		if (strcasecmp(t->name[i], name) == 0 && nth-- == 0)
			return t->value[i];
	}
	return NULL;
}

void
header_text_set(struct header_text *t, const char *text)
{
	char *line, *next, *colon;

	t->headers.get = get;
	t->n = 0;
	(void)snprintf(t->text, sizeof t->text, "%s", text);
	for (line = t->text; line != NULL && t->n < HEADER_TEXT_MAX;
	    line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		colon = strchr(line, ':');
		if (colon == NULL)
			continue;
		*colon++ = '\0';
		t->name[t->n] = line;
		t->value[t->n++] = colon + (*colon == ' ');
	}
}
