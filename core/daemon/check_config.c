/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatd --check-config: what is wrong goes to the log, and what a right one
 * comes to goes to standard output, one "NAME VALUE..." a line.  Starts nothing
 * and changes nothing.  cleatctl doctor reads it.
 */
#include "daemon/daemon.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/log.h"
#include "conf/conf.h"
#include "daemon/daemon_priv.h"
#include "daemon/sys.h"
#include "tls/snapshot.h"
#include "tls/suites.h"

static void
show_suites(const char *name, const char *listener, const struct tls_suites *s)
{
	(void)printf("%s%s %s\n", name, listener, s->list);
	if (s->dropped[0] != '\0')
		(void)printf("%s-dropped%s %s\n", name, listener, s->dropped);
	if (s->extra[0] != '\0')
		(void)printf("%s-extra%s %s\n", name, listener, s->extra);
}

/* Those with their own; with `shown` false it only looks whether they are
 * right. */
static int
own_suites(const struct conf *conf, bool shown, char *why)
{
	struct tls_suites own;
	char name[160];
	const char *s;
	int r = 0;

	for (unsigned i = 0; r >= 0 && (s = conf_section(conf, "listener",
	    i)) != NULL; i++) {
		r = options_listener_tls(conf, s, why, &own);
		if (r != 0 || !shown)
			continue;
		(void)snprintf(name, sizeof(name), " %s", conf_instance(s));
		show_suites("listener-tls", name, &own);
	}
	return r < 0 ? r : 0;
}

static void
show(const struct conf *conf, const struct net_limits *limits,
    const struct tls_suites *suites)
{
	static const char *const paths[] = { "state_dir", "runtime_dir",
		"plugin_dir" };
	uint64_t base, device;
	const char *s;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		(void)printf("%s %s\n", paths[i], conf_str(conf, "daemon",
		    paths[i]));
	for (unsigned i = 0; (s = conf_section(conf, "listener", i)) != NULL;
	    i++)
		(void)printf("listener %s %s tls=%s client_auth=%s\n",
		    conf_instance(s), conf_str(conf, s, "address"),
		    conf_bool(conf, s, "tls") ? "yes" : "no",
		    conf_str(conf, s, "client_auth"));
	(void)printf("connections %u\n", (unsigned)limits->connections);
	options_memory(conf, limits, &base, &device);
	(void)printf("memory %llu %llu\n", (unsigned long long)base,
	    (unsigned long long)device);
	(void)printf("fips %s\n", conf_str(conf, "tls", "fips"));
	show_suites("tls", "", suites);
}

static void
show_path(const char *instance, const char *option, const char *path)
{
	(void)printf("plugin-path %s.%s %s\n", instance, option, path);
}

int
daemon_check(const char *conf_path)
{
	struct net_listener_opts *listeners = NULL;
	struct control_rules rules;
	struct net_limits limits;
	struct tls_suites suites;
	struct conf *conf = NULL;
	size_t n = 0;
	int64_t expiry[EXPIRY_STEPS];
	size_t expiry_n;
	char why[DAEMON_WHY_SIZE] = "";
	int r = daemon_load_conf(conf_path, why, &conf);

	if (r != 0)
		return r;
	r = options_net_limits(conf, sys_files_max(), why, &limits);
	if (r == 0)
		r = options_listeners(conf, why, &listeners, &n);
	if (r == 0)
		r = control_rules_read(conf, why, &rules);
	if (r == 0)
		r = tls_global_init(why);
	if (r == 0)
		r = options_tls(conf, why, &suites);
	if (r == 0)
		r = options_expiry(conf, why, expiry, &expiry_n);
	if (r == 0)
		r = own_suites(conf, false, why);
	if (r == 0)
		r = plugs_check(conf_str(conf, "daemon", "plugin_dir"), conf,
		    show_path, why);
	if (r != 0)
		log_error("%s: %s", conf_path, why);
	else {
		show(conf, &limits, &suites);
		(void)own_suites(conf, true, why);	/* as a moment ago */
	}
	options_listeners_free(&listeners, n);
	conf_unref(&conf);
	return r;
}
