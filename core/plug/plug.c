/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All instances: from the configuration to life and back.  Reload is in
 * reload.c.
 */
#include "plug/plug.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "event/event.h"
#include "plug/inst.h"
#include "plug/kinds.h"
#include "plug/load.h"
#include "plug/opts.h"
#include "plug/plug_priv.h"
#include "plug/settings.h"

#define WATCH_MS 1000u

/* plugin.up, plugin.failed, plugin.down about an instance.  why NULL: none. */
static void
say(struct plugs *p, const struct plug_inst *in, enum event_type type,
    const char *why)
{
	uint8_t room[PLUG_WHY_SIZE * 6 + 1024];
	struct outbuf out = { .p = room, .cap = sizeof(room) };
	struct event ev = { .type = type, .text = in->name };
	struct json_out j;

	jout_init(&j, &out);
	jout_object(&j, NULL);
	if (in->module != NULL) {
		jout_string(&j, "module", in->module->name);
		jout_string(&j, "kind", plug_kind_name(in->module->kind));
		jout_string_n(&j, "version", in->module->version,
		    strnlen(in->module->version, 64));
	}
	if (why != NULL)
		jout_string_n(&j, "why", why, strnlen(why, PLUG_WHY_SIZE));
	jout_object_end(&j);
	CT_ASSERT(jout_ok(&j));		/* room is for the longest escapes */
	ev.detail = (const char *)room;
	ev.detail_n = out.n;
	event_emit(p->deps.bus, &ev);
	event_kick(p->deps.bus);
}

struct plug_inst *
plugs_find(const struct plugs *p, const char *name)
{
	for (struct plug_inst *in = p->first; in != NULL; in = in->next) {
		if (strcmp(in->name, name) == 0)
			return in;
	}
	return NULL;
}

/* ---- the time limit of signatures ---------------------------------------- */

static bool
anyone_waits(const struct plugs *p)
{
	for (struct plug_inst *in = p->first; in != NULL; in = in->next) {
		if (in->cert != NULL && cert_part_waits(in))
			return true;
	}
	return false;
}

static void
on_watch_timer(struct timer *t)
{
	struct plugs *p = CT_CONTAINER(t, struct plugs, watch_timer);

	for (struct plug_inst *in = p->first; in != NULL; in = in->next) {
		if (in->cert != NULL)
			cert_part_expire(in, clock_mono_ms());
	}
	/* A request comes into the list before it looks at the flag: one of
	 * the two sees the other. */
	atomic_store(&p->watch_posted, false);
	if (anyone_waits(p) && !atomic_exchange(&p->watch_posted, true))
		loop_timer_set(p->watch.loop, t, WATCH_MS);
}

static void
on_watch_mail(struct mail *m)
{
	struct plugs *p = CT_CONTAINER(m, struct plugs, watch_mail);

	loop_timer_set(p->watch.loop, &p->watch_timer, WATCH_MS);
}

void
plugs_watch(struct plugs *p)
{
	if (p->has_watch && !atomic_exchange(&p->watch_posted, true))
		mailbox_post(&p->watch.mailbox, &p->watch_mail);
}

static int
start_watch(struct plugs *p, char *why)
{
	struct plug_inst *in = p->first;
	int err;

	while (in != NULL && (in->cert == NULL ||
	    in->module->ops.cert.sign == NULL))
		in = in->next;
	if (in == NULL)
		return 0;
	timer_init(&p->watch_timer, on_watch_timer);
	p->watch_mail.fn = on_watch_mail;
	err = worker_init(&p->watch, "plug-watch");
	if (err >= 0) {
		p->has_watch = true;
		err = worker_start(&p->watch);
	}
	return err < 0 ? plug_why(why, err, "no thread for plugins: %s",
	    strerror(-err)) : 0;
}

/* ---- making -------------------------------------------------------------- */

static const char *
dir_of(const char *configured)
{
	return configured == NULL || configured[0] == '\0' ? CT_PLUGINDIR :
	    configured;
}

static int
load_section(const char *plugin_dir, struct conf *conf, const char *section,
    char *why, struct plug_module **ret_module, struct plug_settings **ret)
{
	struct plug_module *m = NULL;
	int err;

	err = plug_load(plugin_dir, conf_str(conf, section, "module"), why,
	    &m);
	if (err < 0)
		return err;
	err = settings_new(conf, section, m, why, ret);
	if (err < 0)
		plug_unload(&m);
	else
		*ret_module = m;
	return err;
}

static int
make(struct plugs *p, struct conf *conf, const char *section, char *why,
    struct plug_inst **ret)
{
	struct plug_settings *set = NULL;
	struct plug_module *m = NULL;
	int err;

	err = load_section(p->plugin_dir, conf, section, why, &m, &set);
	if (err < 0)
		return err;
	err = inst_new(p, conf_instance(section),
	    conf_str(conf, section, "module"), m, set, why, ret);
	settings_unref(&set);
	if (err < 0)
		plug_unload(&m);
	return err;
}

/* "plugin NAME: why" in its place. */
static int
name_it(char *why, int err, const char *name)
{
	char text[PLUG_WHY_SIZE];

	(void)snprintf(text, sizeof(text), "%s", why);
	return plug_why(why, err, "plugin %s: %s", name, text);
}

static int
make_all(struct plugs *p, struct conf *conf, char *why)
{
	struct plug_inst **at = &p->first;
	const char *section;
	int err;

	for (unsigned i = 0; (section = conf_section(conf, "plugin", i)) !=
	    NULL; i++) {
		const char *name = conf_instance(section);

		err = make(p, conf, section, why, at);
		if (err < 0) {
			(void)name_it(why, err, name);
			if (conf_bool(conf, section, "required"))
				return err;
			if (inst_stub(p, name, conf_str(conf, section,
			    "module"), at) < 0)
				return plug_why(why, -ENOMEM,
				    "out of memory");
			log_warning("%s; going on without it", why);
			say(p, *at, EVENT_PLUGIN_FAILED, why);
		}
		at = &(*at)->next;
	}
	return 0;
}

static bool
is_kind(const struct plug_inst *in, enum cleat_kind kind)
{
	/* What a stub would have been is not known. */
	return in == NULL || in->module == NULL || in->module->kind == kind;
}

static int
check_sources(const struct plugs *p, const struct conf *conf,
    const char *section, char *why)
{
	const char *name;

	for (unsigned i = 0;
	    (name = conf_item(conf, section, "source", i)) != NULL; i++) {
		if (!is_kind(plugs_find(p, name), CLEAT_CERT_SOURCE))
			return plug_why(why, -EINVAL, "%s: [%s] source = %s: "
			    "that plugin is no certificate source",
			    conf_where(conf, section, "source"), section,
			    name);
	}
	return 0;
}

int
plugs_check_refs(const struct plugs *p, const struct conf *conf, char *why)
{
	const char *section, *name;
	int err;

	for (unsigned i = 0; (section = conf_section(conf, "slot", i)) !=
	    NULL; i++) {
		err = check_sources(p, conf, section, why);
		if (err != 0)
			return err;
	}
	for (unsigned i = 0; (section = conf_section(conf, "listener", i)) !=
	    NULL; i++) {
		name = conf_str(conf, section, "default_protocol");
		if (name != NULL && !is_kind(plugs_find(p, name),
		    CLEAT_PROTOCOL))
			return plug_why(why, -EINVAL, "%s: [%s] "
			    "default_protocol = %s: that plugin is no "
			    "protocol", conf_where(conf, section,
			    "default_protocol"), section, name);
	}
	return 0;
}

int
plugs_new(const struct plug_deps *deps, struct conf *conf, char *why,
    struct plugs **ret)
{
	struct plugs *p = mem_calloc(1, sizeof(*p));
	int err;

	if (p == NULL)
		return plug_why(why, -ENOMEM, "out of memory");
	p->deps = *deps;
	p->plugin_dir = mem_strdup(dir_of(deps->plugin_dir));
	p->state_dir = mem_strdup(deps->state_dir);
	if (p->plugin_dir == NULL || p->state_dir == NULL)
		err = plug_why(why, -ENOMEM, "out of memory");
	else
		err = make_all(p, conf, why);
	if (err >= 0)
		err = plugs_check_refs(p, conf, why);
	if (err >= 0)
		err = start_watch(p, why);
	if (err < 0) {
		plugs_stop(p);
		plugs_free(&p);
		return err;
	}
	*ret = p;
	return 0;
}

static void
tell_paths(const char *name, const struct plug_module *m,
    const struct plug_settings *set,
    void (*path)(const char *instance, const char *option, const char *path))
{
	const struct cleat_opts *opts = settings_opts(set);
	const char *text;

	for (const struct cleat_opt *o = m->opts; o != NULL && o->name != NULL;
	    o++) {
		if (o->type == CLEAT_OPT_PATH &&
		    (text = plug_opt_text(opts, o->name)) != NULL &&
		    text[0] == '/')
			path(name, o->name, text);
		for (unsigned i = 0; o->type == CLEAT_OPT_LIST &&
		    (text = plug_opt_item(opts, o->name, i)) != NULL; i++)
			if (text[0] == '/')
				path(name, o->name, text);
	}
}

int
plugs_check(const char *plugin_dir, struct conf *conf,
    void (*path)(const char *instance, const char *option, const char *path),
    char *why)
{
	const char *section;
	int err;

	for (unsigned i = 0; (section = conf_section(conf, "plugin", i)) !=
	    NULL; i++) {
		struct plug_settings *set = NULL;
		struct plug_module *m = NULL;

		err = load_section(dir_of(plugin_dir), conf, section, why, &m,
		    &set);
		if (err >= 0)
			tell_paths(conf_instance(section), m, set, path);
		settings_unref(&set);
		plug_unload(&m);
		if (err >= 0)
			continue;
		(void)name_it(why, err, conf_instance(section));
		if (conf_bool(conf, section, "required"))
			return err;
		log_warning("%s; it is not required", why);
	}
	return 0;
}

/* ---- start, stop --------------------------------------------------------- */

static int
start_one(struct plugs *p, struct plug_inst *in, char *why)
{
	int err = inst_start(in, why);

	if (err >= 0) {
		log_notice("plugin %s: up module=%s version=%.64s", in->name,
		    in->module->name, in->module->version);
		say(p, in, EVENT_PLUGIN_UP, NULL);
		return 0;
	}
	(void)name_it(why, err, in->name);
	say(p, in, EVENT_PLUGIN_FAILED, why);
	if (in->required)
		return err;
	log_warning("%s; going on without it", why);
	return 0;
}

static int
start_kind(struct plugs *p, enum cleat_kind kind, char *why)
{
	int err = 0;

	for (struct plug_inst *in = p->first; in != NULL && err == 0;
	    in = in->next) {
		if (in->state == PLUG_OPEN && in->module->kind == kind)
			err = start_one(p, in, why);
	}
	return err;
}

int
plugs_start_status(struct plugs *p, char *why)
{
	return start_kind(p, CLEAT_STATUS, why);
}

int
plugs_start_core(struct plugs *p, char *why)
{
	int err = start_kind(p, CLEAT_PROTOCOL, why);

	return err < 0 ? err : start_kind(p, CLEAT_CERT_SOURCE, why);
}

int
plugs_start(struct plugs *p, char *why)
{
	int err = plugs_start_status(p, why);

	return err < 0 ? err : plugs_start_core(p, why);
}

/* From the last to the first, without a link back. */
static void
stop_kind(struct plugs *p, struct plug_inst *in, enum cleat_kind kind)
{
	bool was_up;

	if (in == NULL)
		return;
	stop_kind(p, in->next, kind);
	if (in->module == NULL || in->module->kind != kind)
		return;
	was_up = in->state == PLUG_UP;
	inst_stop(in);
	if (was_up)
		say(p, in, EVENT_PLUGIN_DOWN, NULL);
}

void
plugs_stop(struct plugs *p)
{
	if (p->stopped)
		return;
	p->stopped = true;
	stop_kind(p, p->first, CLEAT_CERT_SOURCE);
	stop_kind(p, p->first, CLEAT_PROTOCOL);
	stop_kind(p, p->first, CLEAT_STATUS);
	if (p->has_watch)
		worker_stop(&p->watch);
}

void
plugs_free(struct plugs **pp)
{
	struct plugs *p = *pp;
	struct plug_inst *in;

	if (p == NULL)
		return;
	*pp = NULL;
	if (p->has_watch)
		worker_fini(&p->watch);
	while ((in = p->first) != NULL) {
		p->first = in->next;
		inst_free(&in);
	}
	mem_free(p->plugin_dir);
	mem_free(p->state_dir);
	mem_free(p);
}

/* ---- what others ask ----------------------------------------------------- */

static bool
is_up(const struct plug_inst *in, enum cleat_kind kind)
{
	return in->state == PLUG_UP && in->module->kind == kind;
}

void
plugs_event(struct plugs *p, uint64_t seq, const struct event *ev,
    const char *json, size_t n)
{
	for (struct plug_inst *in = p->first; in != NULL; in = in->next) {
		if (is_up(in, CLEAT_STATUS))
			status_part_event(in, seq, ev, json, n);
	}
}

bool
plugs_want_events(const struct plugs *p)
{
	const struct plug_inst *in = p->first;

	while (in != NULL && !is_up(in, CLEAT_STATUS))
		in = in->next;
	return in != NULL;
}

bool
plugs_info(const struct plugs *p, unsigned i, struct plug_info *ret)
{
	struct plug_inst *in = p->first;

	while (in != NULL && i-- > 0)
		in = in->next;
	if (in == NULL)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->instance = in->name;
	ret->module = in->module_name;
	ret->up = in->state == PLUG_UP;
	ret->slow = in->slow;
	if (in->status != NULL)
		status_part_info(in, ret);
	if (in->cert != NULL)
		cert_part_info(in, ret);
	return true;
}
