/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the tree.  It never changes once it is loaded, so that any thread may
 * ask while it holds a reference.
 */
#include "conf/conf.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "conf/conf_priv.h"

struct conf *
conf_ref(struct conf *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
conf_unref(struct conf **c)
{
	struct conf *mine = *c;

	*c = NULL;
	if (mine == NULL || atomic_fetch_sub(&mine->refs, 1) != 1)
		return;
	for (unsigned i = 0; i < mine->n; i++)
		conf_values_fini(&mine->s[i]);
	mem_free(mine->s);
	mem_free(mine);
}

struct conf_values *
conf_find(const struct conf *c, const char *section)
{
	for (unsigned i = 0; i < c->n; i++) {
		if (strcmp(c->s[i].name, section) == 0)
			return &c->s[i];
	}
	return NULL;
}

static const struct conf_value *
get(const struct conf *c, const char *section, const char *key)
{
	const struct conf_values *s = conf_find(c, section);
	const struct conf_value *v;

	CT_ASSERT(s != NULL);
	v = conf_values_find(s, key);
	CT_ASSERT(v != NULL);
	return v;
}

bool
conf_bool(const struct conf *c, const char *section, const char *key)
{
	const struct conf_value *v = get(c, section, key);

	CT_ASSERT(v->key->type == CONF_BOOL);
	return v->number != 0;
}

uint64_t
conf_uint(const struct conf *c, const char *section, const char *key)
{
	const struct conf_value *v = get(c, section, key);

	CT_ASSERT(v->key->type == CONF_UINT);
	return v->number;
}

uint64_t
conf_ms(const struct conf *c, const char *section, const char *key)
{
	const struct conf_value *v = get(c, section, key);

	CT_ASSERT(v->key->type == CONF_DURATION);
	return v->number;
}

size_t
conf_size(const struct conf *c, const char *section, const char *key)
{
	const struct conf_value *v = get(c, section, key);

	CT_ASSERT(v->key->type == CONF_SIZE);
	return (size_t)v->number;
}

const char *
conf_str(const struct conf *c, const char *section, const char *key)
{
	const struct conf_value *v = get(c, section, key);

	CT_ASSERT((v->key->flags & CONF_LIST) == 0);
	return v->text;
}

const char *
conf_item(const struct conf *c, const char *section, const char *key,
    unsigned i)
{
	const struct conf_value *v = get(c, section, key);

	CT_ASSERT((v->key->flags & CONF_LIST) != 0);
	return i < v->items_n ? v->items[i] : NULL;
}

bool
conf_has_item(const struct conf *c, const char *section, const char *key,
    const char *value)
{
	const char *item;

	for (unsigned i = 0; (item = conf_item(c, section, key, i)) != NULL;
	    i++) {
		if (strcmp(item, value) == 0)
			return true;
	}
	return false;
}

const struct addr_range *
conf_ranges(const struct conf *c, const char *section, const char *key,
    unsigned *ret_n)
{
	const struct conf_value *v = get(c, section, key);

	CT_ASSERT(v->key->type == CONF_RANGE);
	*ret_n = v->ranges_n;
	return v->ranges;
}

const char *
conf_where(const struct conf *c, const char *section, const char *key)
{
	const struct conf_value *v = get(c, section, key);

	return v->where != NULL ? v->where : "default";
}

const char *
conf_section(const struct conf *c, const char *kind, unsigned i)
{
	size_t n = strlen(kind);

	for (unsigned at = 0; at < c->n; at++) {
		const char *name = c->s[at].name;

		if (strncmp(name, kind, n) == 0 && name[n] == '.' && i-- == 0)
			return name;
	}
	return NULL;
}

bool
conf_has_section(const struct conf *c, const char *section)
{
	return conf_find(c, section) != NULL;
}

const char *
conf_instance(const char *section)
{
	const char *dot = strchr(section, '.');

	CT_ASSERT(dot != NULL);
	return dot + 1;
}

void
conf_restart_keys(const struct conf *was, const struct conf *is,
    void (*fn)(void *ctx, const char *section, const char *key), void *ctx)
{
	for (unsigned i = 0; i < was->n; i++) {
		const struct conf_values *a = &was->s[i];
		const struct conf_values *b = conf_find(is, a->name);

		for (unsigned k = 0; b != NULL && k < a->n; k++) {
			if ((a->keys[k].flags & CONF_RESTART) != 0 &&
			    !conf_value_same(&a->v[k], &b->v[k]))
				fn(ctx, a->name, a->keys[k].name);
		}
	}
}
