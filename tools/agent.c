/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleat-agent: the reference device.  Keeps the channel of one endpoint open and
 * says what happens on standard error.  cleat-agent(1).
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "../client/cleat-client.h"

#define TOKEN_FILE_MAX 4096

struct agent {
	struct cleat_client *client;
	const char *event;		/* sent each time we come online */
	int signals;
};

struct args {
	struct cleat_client_opts client;
	const char *token_file, *event, *log_level;
};

enum {
	OPT_TOKEN_FILE = 256, OPT_CA, OPT_CERT, OPT_KEY, OPT_EVENT,
	OPT_NO_VERIFY_HOST, OPT_RETRY_MIN, OPT_RETRY_MAX,
	OPT_BOOT_ID, OPT_LOG, OPT_VERSION
};

static const struct option options[] = {
	{ "server", required_argument, NULL, 's' },
	{ "endpoint", required_argument, NULL, 'e' },
	{ "token-file", required_argument, NULL, OPT_TOKEN_FILE },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "event", required_argument, NULL, OPT_EVENT },
	{ "no-verify-host", no_argument, NULL, OPT_NO_VERIFY_HOST },
	{ "retry-min-ms", required_argument, NULL, OPT_RETRY_MIN },
	{ "retry-max-ms", required_argument, NULL, OPT_RETRY_MAX },
	{ "boot-id", required_argument, NULL, OPT_BOOT_ID },
	{ "log-level", required_argument, NULL, OPT_LOG },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: cleat-agent -s wss://HOST[:PORT] -e ENDPOINT\n"
	    "                   (--token-file FILE | --cert FILE --key FILE)\n"
	    "  --ca FILE            authorities of the server (default: the "
	    "system's)\n"
	    "  --event JSON         an object to send each time it is online\n"
	    "  --boot-id TEXT       of this boot of the device\n"
	    "  --retry-min-ms N     first window of reconnects (1000)\n"
	    "  --retry-max-ms N     last one (120000); the server may change "
	    "both\n"
	    "  --no-verify-host     accept any name in it\n"
	    "  --log-level LEVEL    error warning notice info debug\n"
	    "It runs until SIGTERM, then says goodbye.  See cleat-agent(1).\n");
}

static int
number(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || *text < '0' || *text > '9' ||
	    v == 0 || v > 86400000)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

/* 0; 1: done, exit well; -EINVAL: a bad value, said. */
static int
take_option(int o, const char *value, struct args *a)
{
	int r = 0;

	switch (o) {
	case 's': a->client.server = value; break;
	case 'e': a->client.endpoint = value; break;
	case OPT_TOKEN_FILE: a->token_file = value; break;
	case OPT_CA: a->client.ca_file = value; break;
	case OPT_CERT: a->client.cert_file = value; break;
	case OPT_KEY: a->client.key_file = value; break;
	case OPT_EVENT: a->event = value; break;
	case OPT_NO_VERIFY_HOST: a->client.no_verify_host = true; break;
	case OPT_BOOT_ID: a->client.boot_id = value; break;
	case OPT_LOG: a->log_level = value; break;
	case OPT_RETRY_MIN: r = number(value, &a->client.retry_min_ms); break;
	case OPT_RETRY_MAX: r = number(value, &a->client.retry_max_ms); break;
	case OPT_VERSION:
		(void)printf("cleat-agent %s\n", PACKAGE_VERSION);
		return 1;
	case 'h':
		usage(stdout);
		return 1;
	default:
		usage(stderr);
		return -EINVAL;
	}
	if (r != 0)
		(void)fprintf(stderr, "cleat-agent: %s is not a number of "
		    "milliseconds\n", value);
	return r;
}

/* The first line of the file. */
static int
read_token(const char *path, char **ret)
{
	uint8_t *text;
	size_t n;
	int r = file_read(path, TOKEN_FILE_MAX, &text, &n);

	if (r != 0) {
		log_error("token file %s: %s", path, strerror(-r));
		return r;
	}
	text[strcspn((char *)text, "\r\n")] = '\0';
	*ret = (char *)text;
	return 0;
}

static void
on_state(void *ctx, enum cleat_client_state state, const char *why)
{
	struct agent *a = ctx;

	switch (state) {
	case CLEAT_CLIENT_WAITING:
		log_notice("offline: %s", why);
		break;
	case CLEAT_CLIENT_CONNECTING:
		log_info("connecting host=%s", why);
		break;
	case CLEAT_CLIENT_ONLINE:
		log_notice("online: %s", why);
		if (a->event != NULL && cleat_client_notify(a->client,
		    "event", a->event) != 0)
			log_warning("the event could not be sent");
		break;
	case CLEAT_CLIENT_STOPPED:
		log_notice("stopped");
		break;
	}
}

static void
on_notification(void *ctx, const char *method, const char *params)
{
	char quoted[256];

	(void)ctx;
	log_info("notification method=%s params=%s", method,
	    log_quote(quoted, sizeof(quoted), params, strlen(params)));
}

static int
open_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void
run(struct agent *a)
{
	struct signalfd_siginfo si;
	struct pollfd p[2];

	while (cleat_client_get_state(a->client) != CLEAT_CLIENT_STOPPED) {
		p[0] = (struct pollfd){ .fd = a->signals, .events = POLLIN };
		p[1] = (struct pollfd){
			.fd = cleat_client_fd(a->client),
			.events = cleat_client_poll_events(a->client)
		};
		if (poll(p, 2, cleat_client_timeout_ms(a->client)) < 0 &&
		    errno != EINTR)
			return;
		if (read(a->signals, &si, sizeof(si)) == (ssize_t)sizeof(si))
			cleat_client_stop(a->client, "the agent is stopped");
		cleat_client_process(a->client);
	}
}

static int
start(struct args *args)
{
	struct agent a = { .event = args->event };
	char *token = NULL, why[CLEAT_CLIENT_WHY_SIZE] = "";
	int r = 0;

	a.signals = open_signals();
	if (a.signals < 0)
		return -errno;
	if (args->token_file != NULL)
		r = read_token(args->token_file, &token);
	args->client.token = token;
	args->client.agent = "cleat-agent " PACKAGE_VERSION;
	args->client.size = sizeof(args->client);
	args->client.ctx = &a;
	args->client.state = on_state;
	args->client.notification = on_notification;
	if (args->client.no_verify_host)
		log_warning("WEAKENED: the server's name is not verified "
		    "(--no-verify-host)");
	if (r == 0) {
		r = cleat_client_new(&args->client, why, &a.client);
		if (r != 0)
			log_error("cannot start: %s", why);
	}
	if (token != NULL)
		mem_free_wiped(token, strlen(token));
	if (r == 0)
		run(&a);
	cleat_client_free(&a.client);
	(void)close(a.signals);
	return r;
}

int
main(int argc, char **argv)
{
	struct args args = { .log_level = "info" };
	enum log_level level;
	int o, r;

	while ((o = getopt_long(argc, argv, "s:e:h", options, NULL)) != -1) {
		r = take_option(o, optarg, &args);
		if (r != 0)
			return r > 0 ? EXIT_SUCCESS : 2;
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	if (log_level_parse(args.log_level, &level) != 0) {
		(void)fprintf(stderr, "cleat-agent: %s is not a log level\n",
		    args.log_level);
		return 2;
	}
	log_set_level(level);
	return start(&args) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
