/* SPDX-License-Identifier: Apache-2.0 */
/* What people are told, and how members of answers look. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl.h"
#include "when.h"

void
say(const char *fmt, ...)
{
	char line[2048];
	struct text t = { 0 };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	text_escaped(&t, line, strlen(line));
	(void)fflush(stdout);
	(void)fprintf(stderr, "cleatctl: %s\n", t.failed ? "out of memory" :
	    text_str(&t));
	text_free(&t);
}

int
say_memory(void)
{
	say("out of memory");
	return EXIT_BROKEN;
}

int
put_text(struct ctl *x, struct text *t)
{
	if (t->failed)
		x->broken = ENOMEM;
	else if (fwrite(text_str(t), 1, t->n, stdout) != t->n ||
	    fflush(stdout) != 0)
		x->broken = errno;
	text_free(t);
	return x->broken == 0 ? EXIT_OK : EXIT_BROKEN;
}

int
put_json(struct ctl *x, const json_t *v)
{
	struct text t = { 0 };

	text_json(&t, v);
	text_puts(&t, "\n");
	return put_text(x, &t);
}

const char *
member(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s == NULL ? "" : s;
}

uint64_t
member_number(const json_t *o, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(o, name));

	return v < 0 ? 0 : (uint64_t)v;
}

char *
member_text(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	struct text t = { 0 };

	if (json_is_string(v))
		text_puts(&t, json_string_value(v));
	else if (v != NULL)
		text_json(&t, v);
	return text_take(&t);
}

void
member_age(const json_t *o, const char *name, char *to)
{
	int64_t ms;

	to[0] = '\0';
	if (when_parse(member(o, name), &ms) == 0)
		when_age(ms, clock_wall_ms(), to);
}

void
member_time(const json_t *o, const char *name, char to[TIME_TEXT_SIZE])
{
	char date[WHEN_SIZE], age[WHEN_SIZE];
	int64_t ms;

	to[0] = '\0';
	if (when_parse(member(o, name), &ms) != 0)
		return;
	when_local(ms, date);
	when_age(ms, clock_wall_ms(), age);
	(void)snprintf(to, TIME_TEXT_SIZE, "%s (%s)", date, age);
}

void
put_field(const struct ctl *x, struct text *t, const char *title,
    const char *text, const char *colour)
{
	text_printf(t, "%s:%*s", title,
	    strlen(title) < 14 ? (int)(15 - strlen(title)) : 1, "");
	if (x->colour && colour != NULL)
		text_printf(t, "\033[%sm", colour);
	text_escaped(t, text, strlen(text));
	text_puts(t, x->colour && colour != NULL ? "\033[0m\n" : "\n");
}

const char *
state_colour(const char *state)
{
	static const struct {
		const char *state, *colour;
	} colours[] = {
		{ "online", "32" }, { "suspect", "33" },
		{ "disconnected", "38;5;208" }, { "offline", "31" },
		{ "asleep", "34" }, { "unknown", "90" }, { "unlinked", "90" },
		{ "active", NULL }, { "pending", "33" }, { "denied", "31" },
		{ "ok", "32" }, { "error", "31" }, { "expired", "31" },
		{ "interrupted", "38;5;208" }, { "cancelled", "90" },
		{ "accepted", "34" }
	};

	for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(state, colours[i].state) == 0)
			return colours[i].colour;
	return NULL;
}

/* What the terminal says, else the environment, else `otherwise`. */
static size_t
terminal_size(unsigned short said, const char *name, size_t otherwise)
{
	const char *s = getenv(name);
	unsigned long v = s == NULL ? 0 : strtoul(s, NULL, 10);

	if (said > 0)
		return said;
	return v > 0 && v < 10000 ? v : otherwise;
}

size_t
terminal_width(const struct ctl *x)
{
	struct winsize w = { 0 };

	if (!x->terminal)
		return 0;
	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
	return terminal_size(w.ws_col, "COLUMNS", 80);
}

size_t
terminal_height(const struct ctl *x)
{
	struct winsize w = { 0 };

	if (!x->terminal)
		return 0;
	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
	return terminal_size(w.ws_row, "LINES", 24);
}
