/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks option schemas and gives values under the ABI's name.
 */
#include "plug/opts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cleat/abi.h>

#include "base/mem.h"
#include "conf/conf.h"

#define OPT_NAME_MAX 40
#define OPT_FLAGS (CLEAT_OPT_RESTART | CLEAT_OPT_REQUIRED | CLEAT_OPT_SECRET)
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* Keys of a plugin's section that are the daemon's. */
static const char *const reserved[] = {
	"module", "required", "isolate", "paths", "max_message",
	"compression", "queue", NULL
};

static bool
name_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= OPT_NAME_MAX && s[0] >= 'a' && s[0] <= 'z' &&
	    strspn(s, LOWER DIGITS "_") == n;
}

static bool
is_reserved(const char *s)
{
	for (const char *const *r = reserved; *r != NULL; r++) {
		if (strcmp(s, *r) == 0)
			return true;
	}
	return false;
}

/* Roughly; conf looks at it more closely when it takes it. */
static bool
default_ok(const struct cleat_opt *o)
{
	const char *v = o->value;

	if (v == NULL)
		return true;
	switch (o->type) {
	case CLEAT_OPT_BOOL:
		return strcmp(v, "yes") == 0 || strcmp(v, "no") == 0;
	case CLEAT_OPT_UINT:
		return v[0] != '\0' && strspn(v, DIGITS) == strlen(v);
	case CLEAT_OPT_DURATION:
	case CLEAT_OPT_SIZE:
		return strspn(v, DIGITS) > 0;
	case CLEAT_OPT_PATH:
		return v[0] == '/';
	default:
		return true;
	}
}

static const char *
what_is_wrong(const struct cleat_opt *schema, const struct cleat_opt *o)
{
	if (is_reserved(o->name))
		return "is a key of the daemon's own";
	for (const struct cleat_opt *e = schema; e != o; e++) {
		if (strcmp(e->name, o->name) == 0)
			return "is there twice";
	}
	if (o->type < CLEAT_OPT_STRING || o->type > CLEAT_OPT_LIST)
		return "has an unknown type";
	if ((o->flags & ~OPT_FLAGS) != 0)
		return "has unknown flags";
	if (o->min > o->max)
		return "has a least value above its greatest";
	if (o->help == NULL || o->help[0] == '\0')
		return "has no help text";
	if ((o->flags & CLEAT_OPT_REQUIRED) != 0 && o->value != NULL)
		return "is required but has a default";
	if (!default_ok(o))
		return "has a default that is not of its type";
	return NULL;
}

int
plug_schema_check(const struct cleat_opt *schema, char *why, size_t n)
{
	const struct cleat_opt *o;
	const char *wrong;

	if (schema == NULL)
		return 0;
	for (o = schema; o->name != NULL; o++) {
		if (o - schema >= PLUG_SCHEMA_MAX) {
			(void)snprintf(why, n, "has more than %d options",
			    PLUG_SCHEMA_MAX);
			return -EINVAL;
		}
		if (!name_ok(o->name)) {
			(void)snprintf(why, n, "option %zu has a bad name",
			    (size_t)(o - schema) + 1);
			return -EINVAL;
		}
		wrong = what_is_wrong(schema, o);
		if (wrong != NULL) {
			(void)snprintf(why, n, "option \"%s\" %s", o->name,
			    wrong);
			return -EINVAL;
		}
	}
	return 0;
}

const struct cleat_opts *
plug_opts_of(const struct conf_set *set)
{
	return (const struct cleat_opts *)(const void *)set;
}

static const struct conf_set *
set_of(const struct cleat_opts *o)
{
	return (const struct conf_set *)(const void *)o;
}

const char *
plug_opt_text(const struct cleat_opts *o, const char *name)
{
	return conf_set_text(set_of(o), name);
}

uint64_t
plug_opt_number(const struct cleat_opts *o, const char *name)
{
	return conf_set_number(set_of(o), name);
}

const char *
plug_opt_item(const struct cleat_opts *o, const char *name, unsigned i)
{
	return conf_set_item(set_of(o), name, i);
}

int
plug_opt_secret(const struct cleat_opts *o, const char *name,
    void (*fn)(void *, const char *, const char *), void *ctx)
{
	char why[CONF_WHY_SIZE] = "out of memory", *text = NULL;
	int r = conf_set_secret(set_of(o), name, why, &text);

	fn(ctx, text, r < 0 ? why : NULL);
	if (text != NULL)
		mem_free_wiped(text, strlen(text));
	return r;
}
