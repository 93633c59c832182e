/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of one section: complete from the start (defaults), then changed
 * by one entry after the other.
 */
#include "conf/conf_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "conf/conf.h"

int
conf_values_init(struct conf_values *s, const char *name, const char *where,
    const struct conf_key *keys, unsigned n)
{
	int err = -ENOMEM;

	memset(s, 0, sizeof(*s));
	s->keys = keys;
	s->name = mem_strdup(name);
	s->v = mem_calloc(n, sizeof(*s->v));
	if (s->name == NULL || s->v == NULL)
		goto out;
	if (where != NULL && (s->where = mem_strdup(where)) == NULL)
		goto out;
	for (s->n = 0; s->n < n; s->n++) {
		err = conf_value_set(&s->v[s->n], &keys[s->n],
		    keys[s->n].value, NULL);
		if (err < 0)
			goto out;
	}
	return 0;
out:
	conf_values_fini(s);
	return err;
}

void
conf_values_fini(struct conf_values *s)
{
	for (unsigned i = 0; i < s->n; i++)
		conf_value_fini(&s->v[i]);
	mem_free(s->v);
	mem_free(s->name);
	mem_free(s->where);
	conf_entries_fini(&s->rest);
	memset(s, 0, sizeof(*s));
}

struct conf_value *
conf_values_find(const struct conf_values *s, const char *key)
{
	for (unsigned i = 0; i < s->n; i++) {
		if (strcmp(s->keys[i].name, key) == 0)
			return &s->v[i];
	}
	return NULL;
}

static int
unknown(const struct conf_values *s, const struct conf_entry *e,
    struct conf_errors *errs)
{
	struct nearest near = { .word = e->key };
	const struct conf_key *k;
	unsigned n;

	for (unsigned i = 0; i < s->n; i++)
		nearest_try(&near, s->keys[i].name);
	/* The options of a plugin stand beside keys of the core. */
	k = conf_schema_of(s->name, &n);
	for (; k != s->keys && n > 0; n--, k++)
		nearest_try(&near, k->name);
	for (k = conf_schema; near.best == NULL && k->section != NULL; k++) {
		if (strcmp(k->name, e->key) != 0)
			continue;
		conf_error(errs, "%s: [%s] %s: unknown key (it belongs into"
		    " [%s])", e->where, e->section, e->key, k->section);
		return -EINVAL;
	}
	if (near.best != NULL)
		conf_error(errs, "%s: [%s] %s: unknown key (did you mean"
		    " \"%s\"?)", e->where, e->section, e->key, near.best);
	else
		conf_error(errs, "%s: [%s] %s: unknown key", e->where,
		    e->section, e->key);
	return -EINVAL;
}

static conf_secret_fn *secret_fn;

void
conf_set_secret_fn(conf_secret_fn *fn)
{
	secret_fn = fn;
}

static int
set_secret(struct conf_value *v, const struct conf_values *s,
    const struct conf_key *k, const struct conf_entry *e,
    struct conf_errors *errs)
{
	char why[CONF_WHY_SIZE] = "", *text = NULL;
	int err;

	if (secret_fn == NULL || e->text[0] == '\0')
		return conf_value_set(v, k, e->text, e->where);
	err = secret_fn(e->text, s->secret_key, why, &text);
	if (err == -ENOMEM)
		return err;
	if (err < 0) {
		conf_error(errs, "%s: [%s] %s: %s", e->where, e->section,
		    e->key, why);
		return -ENODATA;
	}
	err = conf_value_set(v, k, text, e->where);
	mem_free_wiped(text, strlen(text));
	if (err == 0 && (v->source = mem_strdup(e->text)) == NULL) {
		conf_value_fini(v);
		return -ENOMEM;
	}
	return err;
}

int
conf_value_secret(const struct conf_value *v, const char *secret_key,
    char *why, char **ret)
{
	if (v->source != NULL)
		return secret_fn(v->source, secret_key, why, ret);
	*ret = mem_strdup(v->text == NULL ? "" : v->text);
	return *ret == NULL ? -ENOMEM : 0;
}

int
conf_values_put(struct conf_values *s, const struct conf_entry *e,
    struct conf_errors *errs)
{
	struct conf_value *old = conf_values_find(s, e->key), v;
	char expected[CONF_EXPECTED_SIZE];
	bool secret;
	int err;

	if (old == NULL)
		return unknown(s, e, errs);
	memset(&v, 0, sizeof(v));
	secret = (old->key->flags & CONF_SECRET) != 0;
	err = secret ? set_secret(&v, s, old->key, e, errs) :
	    conf_value_set(&v, old->key, e->text, e->where);
	if (err == -ENODATA)		/* said */
		return -EINVAL;
	if (err == -EINVAL)
		conf_error(errs, "%s: [%s] %s = %.80s%s: expected %s",
		    e->where, e->section, e->key,
		    secret ? "(hidden)" : e->text,
		    !secret && strlen(e->text) > 80 ? "..." : "",
		    conf_value_expected(old->key, expected));
	if (err < 0)
		return err;
	conf_value_fini(old);
	*old = v;
	return 0;
}

int
conf_values_complete(const struct conf_values *s, struct conf_errors *errs)
{
	char expected[CONF_EXPECTED_SIZE];
	int err = 0;

	for (unsigned i = 0; i < s->n; i++) {
		const struct conf_key *k = &s->keys[i];

		if ((k->flags & CONF_REQUIRED) == 0 || s->v[i].text != NULL)
			continue;
		conf_error(errs, "%s: [%s] %s is missing: expected %s",
		    s->where != NULL ? s->where : "configuration", s->name,
		    k->name, conf_value_expected(k, expected));
		err = -EINVAL;
	}
	return err;
}
