/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload in two halves (decision 0006): every instance on every worker
 * prepares, then all commit or all discard.  Nothing that is in force changes
 * before all have agreed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "plug/inst.h"
#include "plug/kinds.h"
#include "plug/plug_priv.h"
#include "plug/settings.h"

struct staged {
	struct staged *next;
	struct plug_inst *inst;
	struct plug_settings *settings, *was;
	bool prepared;
	void *value[];			/* one for each self */
};

struct plugs_staged {
	struct staged *first;
};

/* The sections are those that are running, with the modules they have. */
static int
check_sections(const struct plugs *p, const struct conf *conf, char *why)
{
	const struct plug_inst *in;
	const char *section, *module;
	char name[128];

	for (unsigned i = 0; (section = conf_section(conf, "plugin", i)) !=
	    NULL; i++) {
		in = plugs_find(p, conf_instance(section));
		if (in == NULL)
			return plug_why(why, -EINVAL, "%s: [%s] is new: that "
			    PLUG_NEEDS_RESTART,
			    conf_where(conf, section, "module"),
			    section);
		module = conf_str(conf, section, "module");
		if (strcmp(module, in->module_name) != 0)
			return plug_why(why, -EINVAL, "%s: [%s] module = %s "
			    "(was %s): that " PLUG_NEEDS_RESTART,
			    conf_where(conf, section, "module"), section,
			    module, in->module_name);
	}
	for (in = p->first; in != NULL; in = in->next) {
		(void)snprintf(name, sizeof(name), "plugin.%s", in->name);
		if (!conf_has_section(conf, name))
			return plug_why(why, -EINVAL, "[%s] is gone: that "
			    PLUG_NEEDS_RESTART, name);
	}
	return 0;
}

static int
prepare_one(struct plug_inst *in, struct conf *conf, struct staged *st,
    char *why)
{
	char section[128];
	const char *key;
	int err;

	(void)snprintf(section, sizeof(section), "plugin.%s", in->name);
	/* The settings keep the name: it must be the configuration's. */
	for (unsigned i = 0; (key = conf_section(conf, "plugin", i)) != NULL;
	    i++) {
		if (strcmp(key, section) == 0)
			break;
	}
	err = settings_new(conf, key, in->module, why, &st->settings);
	if (err < 0)
		return err;
	key = settings_restart_key(in->self[0].settings, st->settings);
	if (key != NULL)
		return plug_why(why, -EINVAL,
		    "[%s] %s: a change " PLUG_NEEDS_RESTART,
		    section, key);
	err = inst_prepare(in, st->settings, why, st->value);
	if (err < 0) {
		char text[PLUG_WHY_SIZE];

		(void)snprintf(text, sizeof(text), "%s", why);
		return plug_why(why, err, "[%s]: %s", section, text);
	}
	st->prepared = true;
	return 0;
}

static void
free_all(struct plugs_staged **ps)
{
	struct staged *st;

	while ((st = (*ps)->first) != NULL) {
		(*ps)->first = st->next;
		settings_unref(&st->settings);
		settings_unref(&st->was);
		mem_free(st);
	}
	mem_free(*ps);
	*ps = NULL;
}

int
plugs_prepare(struct plugs *p, struct conf *conf, char *why,
    struct plugs_staged **ret)
{
	struct plugs_staged *ps = mem_calloc(1, sizeof(*ps));
	struct staged **at, *st;
	int err;

	if (ps == NULL)
		return plug_why(why, -ENOMEM, "out of memory");
	at = &ps->first;
	err = check_sections(p, conf, why);
	if (err >= 0)
		err = plugs_check_refs(p, conf, why);
	for (struct plug_inst *in = p->first; in != NULL && err >= 0;
	    in = in->next) {
		if (in->state != PLUG_UP)
			continue;
		st = mem_calloc(1, sizeof(*st) +
		    in->selfs_n * sizeof(st->value[0]));
		if (st == NULL) {
			err = plug_why(why, -ENOMEM, "out of memory");
			break;
		}
		st->inst = in;
		st->was = settings_ref(in->self[0].settings);
		*at = st;
		at = &st->next;
		err = prepare_one(in, conf, st, why);
	}
	if (err < 0) {
		plugs_discard(&ps);
		return err;
	}
	*ret = ps;
	return 0;
}

/* Slots that came, or have other names: their source is to look again. */
static void
refresh_slots(const struct staged *st)
{
	const char *slot;

	for (unsigned i = 0; (slot = settings_slot(st->settings, i)) != NULL;
	    i++) {
		if (settings_slot_changed(st->was, st->settings, slot) &&
		    cert_part_refresh(st->inst, slot) < 0)
			log_warning("plugin %s: could not be asked for its "
			    "new slot slot=%s", st->inst->name, slot);
	}
}

void
plugs_commit(struct plugs_staged **ps)
{
	if (*ps == NULL)
		return;
	for (struct staged *st = (*ps)->first; st != NULL; st = st->next)
		inst_commit(st->inst, st->settings, st->value);
	for (struct staged *st = (*ps)->first; st != NULL; st = st->next) {
		if (st->inst->cert != NULL)
			refresh_slots(st);
	}
	free_all(ps);
}

void
plugs_discard(struct plugs_staged **ps)
{
	if (*ps == NULL)
		return;
	for (struct staged *st = (*ps)->first; st != NULL; st = st->next) {
		if (st->prepared)
			inst_discard(st->inst, st->value);
	}
	free_all(ps);
}
