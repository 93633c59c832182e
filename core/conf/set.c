/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of one plugin section, by the schema that the plugin's file
 * exports.  That schema is foreign data: nothing in it is asserted.
 */
#include "conf/conf.h"

#include <errno.h>
#include <string.h>

#include <cleat/abi.h>

#include "base/mem.h"
#include "conf/conf_priv.h"

#define OPTIONS_MAX 256

_Static_assert(CONF_RESTART == CLEAT_OPT_RESTART &&
    CONF_REQUIRED == CLEAT_OPT_REQUIRED && CONF_SECRET == CLEAT_OPT_SECRET,
    "flags of options are flags of keys");

struct conf_set {
	struct conf_key *keys;
	struct conf_values values;
	char *secret_key;		/* path; it may outlive the tree */
};

void
conf_set_free(struct conf_set **set)
{
	if (*set == NULL)
		return;
	conf_values_fini(&(*set)->values);
	mem_free((*set)->keys);
	mem_free((*set)->secret_key);
	mem_free(*set);
	*set = NULL;
}

static int
key_of(const struct cleat_opt *o, struct conf_key *k)
{
	static const enum conf_type types[] = {
		[CLEAT_OPT_STRING] = CONF_STRING,
		[CLEAT_OPT_BOOL] = CONF_BOOL,
		[CLEAT_OPT_UINT] = CONF_UINT,
		[CLEAT_OPT_DURATION] = CONF_DURATION,
		[CLEAT_OPT_SIZE] = CONF_SIZE,
		[CLEAT_OPT_PATH] = CONF_PATH,
		[CLEAT_OPT_LIST] = CONF_STRING,
	};
	unsigned n;
	const struct conf_key *core = conf_schema_of("plugin.x", &n);

	if (o->type < CLEAT_OPT_STRING || o->type > CLEAT_OPT_LIST ||
	    !conf_is_name(o->name) || strchr(o->name, '-') != NULL)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(core[i].name, o->name) == 0)
			return -EINVAL;
	}
	memset(k, 0, sizeof(*k));
	k->section = "plugin.*";
	k->name = o->name;
	k->type = types[o->type];
	k->value = o->value;
	k->min = o->min;
	k->max = o->max;
	k->help = o->help;
	k->flags = o->flags & (CONF_RESTART | CONF_REQUIRED | CONF_SECRET);
	if (o->type == CLEAT_OPT_LIST)
		k->flags |= CONF_LIST;
	return 0;
}

/* The schema as ours, and the defaults. */
static int
prepare(struct conf_set *set, const struct conf_values *s,
    const struct cleat_opt *opts, struct conf_errors *errs)
{
	unsigned n = 0;
	int err = 0;

	while (opts != NULL && opts[n].name != NULL && n < OPTIONS_MAX)
		n++;
	set->keys = mem_calloc(n, sizeof(*set->keys));
	if (set->keys == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n && err == 0; i++)
		err = key_of(&opts[i], &set->keys[i]);
	if (err == 0)
		err = conf_values_init(&set->values, s->name, s->where,
		    set->keys, n);
	if (err == -EINVAL)
		conf_error(errs, "%s: [%s]: the module declares an option that"
		    " is not right in itself", s->where, s->name);
	return err;
}

int
conf_set_new(const struct conf *c, const char *section,
    const struct cleat_opt *opts, struct conf_errors *errs,
    struct conf_set **ret)
{
	const struct conf_values *s = conf_find(c, section);
	struct conf_set *set;
	int err, one;

	set = mem_calloc(1, sizeof(*set));
	if (set == NULL)
		return -ENOMEM;
	if (s == NULL) {
		conf_error(errs, "[%s] is missing", section);
		err = -EINVAL;
		goto out;
	}
	err = prepare(set, s, opts, errs);
	if (err < 0)
		goto out;
	set->secret_key = mem_strdup(conf_str(c, "daemon", "secret_key"));
	if (set->secret_key == NULL) {
		err = -ENOMEM;
		goto out;
	}
	set->values.secret_key = set->secret_key;
	for (size_t i = 0; i < s->rest.n; i++) {
		one = conf_values_put(&set->values, &s->rest.e[i], errs);
		if (one < 0)
			err = one;
		if (one == -ENOMEM)
			goto out;
	}
	one = conf_values_complete(&set->values, errs);
	if (one < 0)
		err = one;
out:
	if (err == 0)
		*ret = set;
	else
		conf_set_free(&set);
	return err;
}

const char *
conf_set_text(const struct conf_set *set, const char *name)
{
	const struct conf_value *v = conf_values_find(&set->values, name);

	return v == NULL ? NULL : v->text;
}

uint64_t
conf_set_number(const struct conf_set *set, const char *name)
{
	const struct conf_value *v = conf_values_find(&set->values, name);

	return v == NULL ? 0 : v->number;
}

const char *
conf_set_item(const struct conf_set *set, const char *name, unsigned i)
{
	const struct conf_value *v = conf_values_find(&set->values, name);

	return v == NULL || i >= v->items_n ? NULL : v->items[i];
}

int
conf_set_secret(const struct conf_set *set, const char *name, char *why,
    char **ret)
{
	const struct conf_value *v = conf_values_find(&set->values, name);

	return v == NULL ? -ENOENT : conf_value_secret(v, set->secret_key,
	    why, ret);
}

/* The first option with one of `flags` that differs; 0 = any option. */
static const char *
first_change(const struct conf_set *a, const struct conf_set *b,
    unsigned flags)
{
	const struct conf_values *x = &a->values;

	for (unsigned i = 0; i < x->n; i++) {
		const struct conf_value *v = conf_values_find(&b->values,
		    x->keys[i].name);

		if (flags != 0 && (x->keys[i].flags & flags) == 0)
			continue;
		if (v == NULL || !conf_value_same(&x->v[i], v))
			return x->keys[i].name;
	}
	return NULL;
}

bool
conf_set_differs(const struct conf_set *a, const struct conf_set *b)
{
	return first_change(a, b, 0) != NULL || first_change(b, a, 0) != NULL;
}

const char *
conf_set_restart_key(const struct conf_set *a, const struct conf_set *b)
{
	return first_change(a, b, CONF_RESTART);
}
