/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload (decision 0006): everything new is prepared before anything is
 * changed; if one part refuses, all keep what they have.  Open channels are
 * never touched.
 */
#include "daemon/daemon_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "endpoint/auth.h"
#include "plug/plug.h"
#include "daemon/sys.h"

struct next {
	struct conf *conf;
	struct net_limits net;
	struct control_rules control;
	struct channel_limits channel;
	struct command_rules commands;
	struct auth_file *auth;
	struct identity_rules identity;
	enum log_level level;
	struct credentials_staged *credentials;
	struct plugs_staged *plugs;
};

/* The first one is the reason that goes to the bus. */
static void
restart_key(void *ctx, const char *section, const char *key)
{
	char *why = ctx;

	if (why[0] == '\0')
		(void)snprintf(why, DAEMON_WHY_SIZE, "[%s] %s cannot change "
		    "while the daemon runs: it %s", section, key,
		    strncmp(section, "plugin.", 7) == 0 ?
		    PLUG_NEEDS_RESTART : "needs a restart");
	else
		log_error("[%s] %s cannot change either", section, key);
}

/* The same sections in the same order: a listener and its policy for client
 * certificates find each other by their place. */
static bool
same_sections(const struct conf *was, const struct conf *is, const char *kind,
    char *why)
{
	const char *a, *b;
	unsigned i = 0;

	do {
		a = conf_section(was, kind, i);
		b = conf_section(is, kind, i);
		i++;
	} while (a != NULL && b != NULL && strcmp(a, b) == 0);
	if (a == NULL && b == NULL)
		return true;
	(void)snprintf(why, DAEMON_WHY_SIZE, "sections [%s.NAME] were added, "
	    "removed or put in another order: that needs a restart", kind);
	return false;
}

static int
prepare(struct daemon *d, struct next *n, char *why)
{
	int r = daemon_load_conf(d->conf_path, why, &n->conf);

	if (r != 0)
		return r;
	conf_restart_keys(d->conf, n->conf, restart_key, why);
	if (why[0] != '\0' ||
	    !same_sections(d->conf, n->conf, "listener", why))
		return -EINVAL;
	r = options_net_limits(n->conf, d->files_max, why, &n->net);
	if (r != 0)
		return r;
	options_channel_limits(n->conf, &n->channel);
	options_commands(n->conf, &n->commands);
	r = control_rules_read(n->conf, why, &n->control);
	if (r != 0)
		return r;
	options_identity(n->conf, &n->identity);
	r = log_level_parse(conf_str(n->conf, "daemon", "log_level"),
	    &n->level);
	if (r == 0)
		r = auth_file_load(conf_str(n->conf, "auth", "token_file"),
		    why, &n->auth);
	if (r == 0)
		r = credentials_prepare(d->credentials, n->conf, why,
		    &n->credentials);
	if (r == 0)
		r = plugs_prepare(d->plugs, n->conf, why, &n->plugs);
	return r;
}

static void
commit(struct daemon *d, struct next *n)
{
	struct conf *old = d->conf;

	log_set_level(n->level);
	net_set_limits(d->net, &n->net);
	control_set_rules(d->control, &n->control);
	daemon_workers_set(d, &n->channel);
	identity_set_rules(d->identity, &n->identity);
	identity_set_file(d->identity, n->auth);
	command_table_set_rules(d->commands, &n->commands);
	credentials_commit(d->credentials, &n->credentials);
	plugs_commit(&n->plugs);
	d->conf = n->conf;
	n->conf = NULL;
	conf_unref(&old);
}

int
daemon_reload(struct daemon *d, char *why)
{
	struct next n = { 0 };
	struct event ev = { 0 };
	int r;

	why[0] = '\0';
	sys_notify("RELOADING=1");
	r = prepare(d, &n, why);
	if (r == 0) {
		commit(d, &n);
		log_notice("configuration reloaded file=%s", d->conf_path);
		credentials_warn(d->credentials);
		ev.type = EVENT_DAEMON_RELOADED;
	} else {
		if (n.plugs != NULL)
			plugs_discard(&n.plugs);
		credentials_discard(&n.credentials);
		if (why[0] == '\0')
			(void)snprintf(why, DAEMON_WHY_SIZE, "%s",
			    strerror(-r));
		log_error("reload refused: %s", why);
		log_error("configuration not reloaded, everything stays as it "
		    "was file=%s", d->conf_path);
		ev.type = EVENT_DAEMON_RELOAD_FAILED;
		ev.text = why;
	}
	conf_unref(&n.conf);
	auth_file_unref(&n.auth);
	event_emit(d->bus, &ev);
	event_kick(d->bus);
	sys_notify("READY=1");
	return r;
}
