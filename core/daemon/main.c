/* SPDX-License-Identifier: Apache-2.0 */
/* cleatd: arguments, nothing else.  cleatd(8). */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "daemon/daemon.h"
#include "daemon/upgrade.h"
#include "daemon/version.h"
#include "tls/secret.h"

enum { OPT_CHECK = 256, OPT_VERSION, OPT_TAKE_OVER };

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: cleatd [-c FILE] [--check-config] [--version] [--help]\n"
	    "  -c, --config FILE   configuration (default %s)\n"
	    "      --check-config  say what is wrong with it and exit\n"
	    "It stays in the foreground; SIGHUP reloads, SIGUSR1 logs the "
	    "counters, SIGTERM stops.\n"
	    "See cleatd(8).\n", CONFFILE);
}

/* What was asked for is of use only when it was written. */
static int
said(int r)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	(void)fprintf(stderr, "cleatd: standard output: %s\n",
	    strerror(errno));
	return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, OPT_CHECK },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "take-over", no_argument, NULL, OPT_TAKE_OVER },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	const char *conf = CONFFILE;
	int check = 0, former = -1, o, r;

	while ((o = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (o) {
		case 'c':
			conf = optarg;
			break;
		case OPT_CHECK:
			check = 1;
			break;
		case OPT_VERSION:
			(void)printf("cleatd %s\n", daemon_version());
			return said(0);
		case OPT_TAKE_OVER:	/* not for people: see upgrade.h */
			former = UPGRADE_SOCKET_FD;
			break;
		case 'h':
			usage(stdout);
			return said(0);
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	if (former >= 0 && (r = upgrade_detach()) != 0) {
		(void)fprintf(stderr, "cleatd: --take-over: %s: only a "
		    "running cleatd starts the next one so; see cleatctl "
		    "upgrade\n", strerror(-r));
		return 2;
	}
	conf_set_secret_fn(check ? secret_check : secret_open);
	if (check)
		return said(daemon_check(conf));
	return daemon_run(conf, former) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
