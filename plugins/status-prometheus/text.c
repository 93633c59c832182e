/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text format.  See prometheus.io, "Exposition formats": in a HELP line
 * backslash and line feed are escaped; label values have been already.
 */
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
room_for(struct text *t, size_t n)
{
	size_t cap = t->cap > 0 ? t->cap : 16 * 1024;
	char *p;

	if (t->n + n <= t->cap)
		return true;
	while (cap < t->n + n)
		cap *= 2;
	if (cap > TEXT_MAX) {
		t->error = -EMSGSIZE;
		return false;
	}
	p = realloc(t->p, cap);
	if (p == NULL) {
		t->error = -ENOMEM;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

static void
put(struct text *t, const char *s, size_t n)
{
	if (t->error != 0 || !room_for(t, n))
		return;
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

static void
puts_all(struct text *t, const char *const *part)
{
	for (; *part != NULL; part++)
		put(t, *part, strlen(*part));
}

static bool
name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");

	return n > 0 && name[n] == '\0' && (name[0] < '0' || name[0] > '9') &&
	    n < sizeof(((struct text *)0)->last);
}

static void
put_help(struct text *t, const char *help)
{
	size_t n;

	while (help[0] != '\0') {
		n = strcspn(help, "\\\n");
		put(t, help, n);
		help += n;
		if (help[0] != '\0')
			put(t, *help++ == '\\' ? "\\\\" : "\\n", 2);
	}
}

static void
put_head(struct text *t, const struct cleat_metric *m)
{
	puts_all(t, (const char *[]){ "# HELP ", m->name, " ", NULL });
	put_help(t, m->help);
	puts_all(t, (const char *[]){ "\n# TYPE ", m->name,
	    m->is_counter ? " counter\n" : " gauge\n", NULL });
}

/* A count stays whole; printf's own words for the rest are not the format's. */
static void
value_text(double v, char *to, size_t size)
{
	if (isnan(v))
		(void)snprintf(to, size, "NaN");
	else if (isinf(v))
		(void)snprintf(to, size, v > 0 ? "+Inf" : "-Inf");
	else
		(void)snprintf(to, size, "%.17g", v);
}

void
text_add(struct text *t, const struct cleat_metric *m)
{
	char value[40];

	if (!name_valid(m->name))
		return;
	if (strcmp(m->name, t->last) != 0) {
		put_head(t, m);
		(void)snprintf(t->last, sizeof(t->last), "%s", m->name);
	}
	put(t, m->name, strlen(m->name));
	if (m->labels[0] != '\0')
		puts_all(t, (const char *[]){ "{", m->labels, "}", NULL });
	value_text(m->value, value, sizeof(value));
	puts_all(t, (const char *[]){ " ", value, "\n", NULL });
}
