/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads sections [plugin.NAME] and, of sections [slot.NAME], source and names.
 */
#include "plug/settings.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "plug/load.h"
#include "plug/opts.h"
#include "plug/plug_priv.h"

struct plug_settings {
	_Atomic unsigned refs;
	struct conf *conf;		/* owns every string in here */
	const char *section;
	struct conf_set *set;
	const char **paths;		/* NULL: not configured */
};

static int
tell(char *why, struct conf_errors *errors, int err)
{
	if (errors->n == 0)
		(void)plug_why(why, 0, "%s", strerror(-err));
	else if (errors->n + errors->more == 1)
		(void)plug_why(why, 0, "%s", errors->line[0]);
	else
		(void)plug_why(why, 0, "%s (and %u more)", errors->line[0],
		    errors->n + errors->more - 1);
	conf_errors_fini(errors);
	return err;
}

static int
read_paths(struct plug_settings *s)
{
	unsigned n = 0;

	while (conf_item(s->conf, s->section, "paths", n) != NULL)
		n++;
	if (n == 0)
		return 0;
	s->paths = mem_calloc(n + 1, sizeof(*s->paths));
	if (s->paths == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++)
		s->paths[i] = conf_item(s->conf, s->section, "paths", i);
	return 0;
}

int
settings_new(struct conf *conf, const char *section,
    const struct plug_module *m, char *why, struct plug_settings **ret)
{
	static const struct cleat_opt none = { .name = NULL };
	struct conf_errors errors = { .n = 0 };
	struct plug_settings *s;
	int err;

	s = mem_calloc(1, sizeof(*s));
	if (s == NULL)
		return plug_why(why, -ENOMEM, "out of memory");
	atomic_init(&s->refs, 1);
	s->conf = conf_ref(conf);
	s->section = section;
	err = conf_set_new(conf, section, m->opts != NULL ? m->opts : &none,
	    &errors, &s->set);
	if (err >= 0)
		err = read_paths(s);
	if (err >= 0 && s->paths != NULL && m->kind != CLEAT_PROTOCOL) {
		conf_error(&errors, "%s: [%s] paths: only a protocol has paths",
		    conf_where(conf, section, "paths"), section);
		err = -EINVAL;
	}
	if (err < 0) {
		settings_unref(&s);
		return tell(why, &errors, err);
	}
	conf_errors_fini(&errors);
	*ret = s;
	return 0;
}

struct plug_settings *
settings_ref(struct plug_settings *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void
settings_unref(struct plug_settings **p)
{
	struct plug_settings *s = *p;

	*p = NULL;
	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1,
	    memory_order_acq_rel) != 1)
		return;
	conf_set_free(&s->set);
	mem_free(s->paths);
	conf_unref(&s->conf);
	mem_free(s);
}

const struct cleat_opts *
settings_opts(const struct plug_settings *s)
{
	return plug_opts_of(s->set);
}

bool
settings_same_opts(const struct plug_settings *a,
    const struct plug_settings *b)
{
	return !conf_set_differs(a->set, b->set);
}

const char *
settings_restart_key(const struct plug_settings *was,
    const struct plug_settings *is)
{
	if (settings_required(was) != settings_required(is))
		return "required";
	return conf_set_restart_key(was->set, is->set);
}

bool
settings_required(const struct plug_settings *s)
{
	return conf_bool(s->conf, s->section, "required");
}

const char *const *
settings_paths(const struct plug_settings *s)
{
	return s->paths;
}

size_t
settings_max_message(const struct plug_settings *s)
{
	return conf_size(s->conf, s->section, "max_message");
}

bool
settings_compression(const struct plug_settings *s)
{
	return conf_bool(s->conf, s->section, "compression");
}

/* The full name of the i-th slot section that names this instance. */
static const char *
slot_section(const struct plug_settings *s, unsigned i)
{
	const char *name = conf_instance(s->section), *section;

	for (unsigned k = 0; ; k++) {
		section = conf_section(s->conf, "slot", k);
		if (section == NULL)
			return NULL;
		if (conf_has_item(s->conf, section, "source", name) &&
		    i-- == 0)
			return section;
	}
}

const char *
settings_slot(const struct plug_settings *s, unsigned i)
{
	const char *section = slot_section(s, i);

	return section == NULL ? NULL : conf_instance(section);
}

bool
settings_has_slot(const struct plug_settings *s, const char *slot)
{
	const char *name;

	for (unsigned i = 0; (name = settings_slot(s, i)) != NULL; i++) {
		if (strcmp(name, slot) == 0)
			return true;
	}
	return false;
}

const char *
settings_slot_name(const struct plug_settings *s, const char *slot,
    unsigned i)
{
	const char *section;

	for (unsigned k = 0; (section = slot_section(s, k)) != NULL; k++) {
		if (strcmp(conf_instance(section), slot) == 0)
			return conf_item(s->conf, section, "names", i);
	}
	return NULL;
}

bool
settings_slot_changed(const struct plug_settings *was,
    const struct plug_settings *is, const char *slot)
{
	const char *a, *b;

	if (!settings_has_slot(was, slot))
		return true;
	for (unsigned i = 0; ; i++) {
		a = settings_slot_name(was, slot, i);
		b = settings_slot_name(is, slot, i);
		if (a == NULL || b == NULL)
			return a != b;
		if (strcmp(a, b) != 0)
			return true;
	}
}
