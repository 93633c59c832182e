/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleatd --check-config: what is wrong goes to the log, and what a right one
 * comes to goes to standard output, one "NAME VALUE..." a line.  Starts nothing
 * and changes nothing.  cleatctl doctor reads it.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "daemon/daemon_priv.h"
#include "daemon/sys.h"
#include "tls/snapshot.h"
#include "tls/suites.h"

static void
show(const struct conf *conf, const struct net_limits *limits,
    const struct tls_suites *suites)
{
	static const char *const paths[] = { "state_dir", "runtime_dir",
		"plugin_dir" };
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
	(void)printf("fips %s\n", conf_str(conf, "tls", "fips"));
	(void)printf("tls %s\n", suites->list);
	if (suites->dropped[0] != '\0')
		(void)printf("tls-dropped %s\n", suites->dropped);
	if (suites->extra[0] != '\0')
		(void)printf("tls-extra %s\n", suites->extra);
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
		r = plugs_check(conf_str(conf, "daemon", "plugin_dir"), conf,
		    why);
	if (r != 0)
		log_error("%s: %s", conf_path, why);
	else
		show(conf, &limits, &suites);
	options_listeners_free(&listeners, n);
	conf_unref(&conf);
	return r;
}
