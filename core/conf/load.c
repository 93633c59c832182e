/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From files to a tree.  Each file is scanned (conf/scan.c) and, if that found
 * nothing wrong, loaded by iniparser; the two must agree on every value.  Only
 * strings are taken from iniparser: its typed getters read octal, wrap around
 * and, in 4.1, crash on the name of a section.
 */
#include "config.h"

#include "conf/conf.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_INIPARSER_INIPARSER_H
#include <iniparser/iniparser.h>
#else
#include <iniparser.h>
#endif

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "conf/conf_priv.h"

static int
quiet(const char *fmt, ...)
{
	(void)fmt;
	return 0;
}

static int
confirm(const char *path, const struct conf_entries *all, size_t from,
    struct conf_errors *errs)
{
	dictionary *d;
	char name[256];
	const char *text;
	int err = 0;

	iniparser_set_error_callback(quiet);
	d = iniparser_load(path);
	if (d == NULL) {
		conf_error(errs, "%s: iniparser cannot read it", path);
		return -EINVAL;
	}
	for (size_t i = from; i < all->n; i++) {
		const struct conf_entry *e = &all->e[i];

		if (e->key == NULL)
			continue;
		(void)snprintf(name, sizeof(name), "%s:%s", e->section,
		    e->key);
		text = iniparser_getstring(d, name, NULL);
		if (text == NULL || strcmp(text, e->text) != 0) {
			conf_error(errs, "%s: [%s] %s: cannot be read reliably;"
			    " was the file changed meanwhile?", e->where,
			    e->section, e->key);
			err = -EINVAL;
		}
	}
	iniparser_freedict(d);
	return err;
}

static int
read_one(const char *path, struct conf_errors *errs, struct conf_entries *all)
{
	size_t n = 0, from = all->n;
	uint8_t *p = NULL;
	int err;

	err = file_read(path, CONF_FILE_MAX, &p, &n);
	if (err < 0) {
		conf_error(errs, "%s: cannot be read: %s", path,
		    err == -ENOTSUP ? "not a regular file" : strerror(-err));
		return err == -ENOMEM ? err : -EINVAL;
	}
	err = conf_scan(path, (const char *)p, n, errs, all);
	mem_free_wiped(p, n);
	return err < 0 ? err : confirm(path, all, from, errs);
}

static int
is_part(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 &&
	    strcmp(e->d_name + n - 5, ".conf") == 0;
}

/* As in the C locale, whatever the daemon's is. */
static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
read_all(const char *path, struct conf_errors *errs, struct conf_entries *all)
{
	const char *slash = strrchr(path, '/');
	int dir_n = slash == NULL ? 0 : (int)(slash - path) + 1;
	struct dirent **parts = NULL;
	char name[4096];
	int n, err, worst;

	worst = read_one(path, errs, all);
	(void)snprintf(name, sizeof(name), "%.*sconf.d", dir_n, path);
	n = scandir(name, &parts, is_part, by_bytes);
	if (n < 0 && errno != ENOENT && errno != ENOTDIR) {
		conf_error(errs, "%s: cannot be read: %s", name,
		    strerror(errno));
		worst = -EINVAL;
	}
	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%.*sconf.d/%s", dir_n,
		    path, parts[i]->d_name);
		free(parts[i]);
		err = worst == -ENOMEM ? 0 : read_one(name, errs, all);
		if (err < 0)
			worst = err;
	}
	free(parts);
	return worst;
}

static int
unknown_section(const struct conf_entry *e, struct conf_errors *errs)
{
	const char *dot = strchr(e->section, '.');
	struct nearest near = { .word = e->section };
	char kind[160];
	size_t n;

	/* "listner.a" is compared, up to the dot, with "listener.*". */
	if (dot != NULL) {
		n = (size_t)(dot - e->section);
		(void)snprintf(kind, sizeof(kind), "%.*s.*", (int)n,
		    e->section);
		near.word = kind;
	}
	for (const struct conf_key *k = conf_schema; k->section != NULL; k++)
		nearest_try(&near, k->section);
	if (near.best != NULL)
		conf_error(errs, "%s: [%s]: unknown section (did you mean"
		    " \"%s\"?)", e->where, e->section, near.best);
	else
		conf_error(errs, "%s: [%s]: unknown section", e->where,
		    e->section);
	return -EINVAL;
}

/* Adds a section with its defaults. */
static int
add_section(struct conf *c, const char *name, const char *where,
    struct conf_values **ret)
{
	struct conf_values *bigger;
	const struct conf_key *keys;
	unsigned n;
	int err;

	keys = conf_schema_of(name, &n);
	CT_ASSERT(keys != NULL);
	bigger = mem_realloc(c->s, (c->n + 1) * sizeof(*c->s));
	if (bigger == NULL)
		return -ENOMEM;
	c->s = bigger;
	err = conf_values_init(&c->s[c->n], name, where, keys, n);
	/* A test parses every default. */
	CT_ASSERT(err != -EINVAL);
	if (err < 0)
		return err;
	*ret = &c->s[c->n++];
	return 0;
}

static int
add_fixed_sections(struct conf *c)
{
	struct conf_values *s;
	int err;

	for (const struct conf_key *k = conf_schema; k->section != NULL; k++) {
		if (strchr(k->section, '*') != NULL ||
		    conf_find(c, k->section) != NULL)
			continue;
		err = add_section(c, k->section, NULL, &s);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Options of the plugin's own wait for conf_set_new(); the last one counts. */
static int
put_aside(struct conf_values *s, const struct conf_entry *e)
{
	for (size_t i = 0; i < s->rest.n; i++) {
		struct conf_entry *old = &s->rest.e[i];
		char *text, *where;

		if (strcmp(old->key, e->key) != 0)
			continue;
		text = mem_strdup(e->text);
		where = mem_strdup(e->where);
		if (text == NULL || where == NULL) {
			mem_free(text);
			mem_free(where);
			return -ENOMEM;
		}
		mem_free_wiped(old->text, strlen(old->text));
		mem_free(old->where);
		old->text = text;
		old->where = where;
		return 0;
	}
	return conf_entries_add(&s->rest, e);
}

static int
apply(struct conf *c, const struct conf_entry *e, struct conf_errors *errs)
{
	struct conf_values *s = conf_find(c, e->section);
	unsigned n;
	int err;

	if (conf_schema_of(e->section, &n) == NULL)
		return e->key == NULL ? unknown_section(e, errs) : 0;
	if (s == NULL) {
		err = add_section(c, e->section, e->where, &s);
		if (err < 0)
			return err;
	}
	if (e->key == NULL)
		return 0;
	if (conf_schema_is("plugin.*", e->section) &&
	    conf_values_find(s, e->key) == NULL)
		return put_aside(s, e);
	return conf_values_put(s, e, errs);
}

static int
apply_all(struct conf *c, const struct conf_entries *all,
    struct conf_errors *errs)
{
	int err, worst = 0;

	for (size_t i = 0; i < all->n; i++) {
		err = apply(c, &all->e[i], errs);
		if (err == -ENOMEM)
			return err;
		if (err < 0)
			worst = err;
	}
	for (unsigned i = 0; i < c->n; i++) {
		if (conf_values_complete(&c->s[i], errs) < 0)
			worst = -EINVAL;
	}
	return worst;
}

#ifndef CT_PLUGINDIR
#define CT_PLUGINDIR "/usr/lib/cleat/plugins-1"
#endif

/* Defaults that are made of other values. */
static int
derive(struct conf *c, const char *section, const char *key, const char *text,
    struct conf_errors *errs)
{
	struct conf_value *v = conf_values_find(conf_find(c, section), key);
	const struct conf_key *k = v->key;
	char expected[CONF_EXPECTED_SIZE];
	int err;

	if (v->text != NULL)
		return 0;
	conf_value_fini(v);
	err = conf_value_set(v, k, text, NULL);
	v->key = k;
	if (err == -EINVAL)
		conf_error(errs, "[%s] %s = %s (by default): expected %s",
		    section, key, text, conf_value_expected(k, expected));
	return err;
}

static int
derive_all(struct conf *c, struct conf_errors *errs)
{
	const char *run = conf_str(c, "daemon", "runtime_dir");
	const char *state = conf_str(c, "daemon", "state_dir");
	char text[CONF_LINE_MAX + 32];
	int err;

	err = derive(c, "daemon", "plugin_dir", CT_PLUGINDIR, errs);
	if (err < 0)
		return err;
	(void)snprintf(text, sizeof(text), "%s/secret.key", state);
	err = derive(c, "daemon", "secret_key", text, errs);
	if (err < 0)
		return err;
	(void)snprintf(text, sizeof(text), "ipc://%s/events.ipc", run);
	err = derive(c, "bus", "events", text, errs);
	if (err < 0)
		return err;
	(void)snprintf(text, sizeof(text), "ipc://%s/snapshot.ipc", run);
	return derive(c, "bus", "snapshot", text, errs);
}

int
conf_load(const char *path, struct conf_errors *errs, struct conf **ret)
{
	struct conf_entries all = { NULL, 0, 0 };
	struct conf *c;
	int err, later;

	c = mem_calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	atomic_init(&c->refs, 1);
	err = read_all(path, errs, &all);
	if (err == -ENOMEM)
		goto out;
	later = add_fixed_sections(c);
	if (later == 0)
		later = apply_all(c, &all, errs);
	if (later < 0)
		err = later;
	if (err == 0)
		err = derive_all(c, errs);
	if (err == 0)
		err = conf_cross(c, errs);
	if (err == 0) {
		*ret = c;
		c = NULL;
	}
out:
	conf_entries_fini(&all);
	conf_unref(&c);
	return err;
}
