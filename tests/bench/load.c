/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator of `make bench` and `make swaps`: holds idle connections,
 * connects over and over, sends messages to an echo as fast as it answers, or
 * steadily and numbered, has them sent to all connections, lets all of them
 * come back at once, or does several of these during upgrades; reads the CPU
 * clock of the server's processes at both ends of the measured window.  Prints
 * JSON objects.  This file: options, and what all modes need.  Every loop ends
 * after a given number of seconds.
 */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define OPENING_MAX 64			/* connections being opened at a time */
#define OPENING_S 300

struct options opt = { .conns = 100, .size = 64, .depth = 1, .rate = 1000,
	.seconds = 2, .warm_up = 0.5, .hold = 120 };
struct wsc_target target = { .tls = true, .path = "/echo" };
struct wsc *conns;
uint8_t *payload;
unsigned long done, failures;
unsigned started, opening, ready;
char first_failure[128];

double
now(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0) {
		perror("load: clock of the server");
		exit(1);
	}
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double
cpu(void)
{
	double sum = 0;

	for (unsigned i = 0; i < opt.pids; i++)
		sum += now(opt.clocks[i]);
	return sum;
}

void
start(unsigned i, unsigned number)
{
	int error = wsc_start(&conns[i], &target, number);

	if (error != 0) {
		(void)fprintf(stderr, "load: connect: %s\n", strerror(-error));
		exit(1);
	}
	started++;
	opening++;
}

void
turn(int timeout_ms)
{
	struct epoll_event ev[256];
	int n = epoll_wait(target.epoll, ev, 256, timeout_ms);

	for (int i = 0; i < n; i++) {
		wsc_event(ev[i].data.ptr, ev[i].events);
		if (opt.mode->woken != NULL)
			opt.mode->woken(ev[i].data.ptr);
	}
}

void
open_all(void)
{
	double end = now(CLOCK_MONOTONIC) + OPENING_S;

	while (ready < opt.conns) {
		while (started < opt.conns && opening < OPENING_MAX)
			start(started, started);
		turn(1000);
		if (now(CLOCK_MONOTONIC) > end) {
			(void)fprintf(stderr, "load: only %u of %u opened\n",
			    ready, opt.conns);
			exit(1);
		}
	}
}

/* ---- start -------------------------------------------------------------- */

static int
usage(void)
{
	(void)fprintf(stderr, "usage: load ");
	for (unsigned i = 0; modes[i] != NULL; i++)
		(void)fprintf(stderr, "%s%s", i == 0 ? "" : "|",
		    modes[i]->name);
	(void)fprintf(stderr, " --port P [--plain]\n"
	    "  [--path PATH] [--ca FILE] [--rate N] [--resume] [--psk-ke]\n"
	    "  [--subprotocol S] [--devices FILE] [--conns N] [--size N]\n"
	    "  [--depth N] [--seconds S] [--ops N] [--warm-up S] [--hold S]\n"
	    "  [--tls12 N] [--agents N] [--visits N] [--delay S]\n"
	    "  [--pid PID]...\n");
	return 2;
}

static unsigned long
number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || n > INT_MAX) {
		(void)fprintf(stderr, "load: not a number: %s\n", text);
		exit(2);
	}
	return n;
}

static void
add_pid(const char *text)
{
	if (opt.pids == PIDS_MAX || clock_getcpuclockid((pid_t)number(text),
	    &opt.clocks[opt.pids]) != 0) {
		(void)fprintf(stderr, "load: no process %s\n", text);
		exit(1);
	}
	opt.pids++;
}

/* Lines "id token", one for each connection that says hello. */
static void
read_devices(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned n = opt.agents > 0 ? opt.agents : opt.conns;

	opt.devices = calloc(n, sizeof(*opt.devices));
	for (unsigned i = 0; i < n; i++)
		if (f == NULL || opt.devices == NULL ||
		    fscanf(f, "%79s %159s", opt.devices[i].id,
		    opt.devices[i].token) != 2) {
			(void)fprintf(stderr, "load: not enough devices\n");
			exit(1);
		}
	(void)fclose(f);
}

static int
parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port", 1, NULL, 'p' }, { "plain", 0, NULL, 'l' },
		{ "path", 1, NULL, 'a' }, { "subprotocol", 1, NULL, 'u' },
		{ "devices", 1, NULL, 'v' }, { "conns", 1, NULL, 'c' },
		{ "size", 1, NULL, 's' }, { "depth", 1, NULL, 'd' },
		{ "seconds", 1, NULL, 't' }, { "ops", 1, NULL, 'o' },
		{ "hold", 1, NULL, 'h' }, { "pid", 1, NULL, 'i' },
		{ "ca", 1, NULL, 'A' }, { "rate", 1, NULL, 'r' },
		{ "warm-up", 1, NULL, 'w' }, { "tls12", 1, NULL, 'T' },
		{ "agents", 1, NULL, 'g' }, { "visits", 1, NULL, 'V' },
		{ "delay", 1, NULL, 'D' },
		{ "resume", 0, NULL, 'R' }, { "psk-ke", 0, NULL, 'K' },
		{ NULL, 0, NULL, 0 }
	};
	const char *devices = NULL;
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'p': target.port = (uint16_t)number(optarg); break;
		case 'l': target.tls = false; break;
		case 'a': target.path = optarg; break;
		case 'u': target.subprotocol = optarg; break;
		case 'v': devices = optarg; break;
		case 'c': opt.conns = (unsigned)number(optarg); break;
		case 's': opt.size = (unsigned)number(optarg); break;
		case 'd': opt.depth = (unsigned)number(optarg); break;
		case 't': opt.seconds = strtod(optarg, NULL); break;
		case 'o': opt.ops = number(optarg); break;
		case 'w': opt.warm_up = strtod(optarg, NULL); break;
		case 'h': opt.hold = strtod(optarg, NULL); break;
		case 'i': add_pid(optarg); break;
		case 'A': opt.ca = optarg; break;
		case 'r': opt.rate = number(optarg); break;
		case 'T': opt.tls12 = (unsigned)number(optarg); break;
		case 'g': opt.agents = (unsigned)number(optarg); break;
		case 'V': opt.visits = strtod(optarg, NULL); break;
		case 'D': opt.delay = strtod(optarg, NULL); break;
		case 'R': opt.tls |= WSC_RESUME; break;
		case 'K': opt.tls |= WSC_RESUME | WSC_PSK_KE; break;
		default: return -1;
		}
	}
	if (optind != argc - 1 || target.port == 0 || opt.conns == 0 ||
	    opt.size < sizeof(conns->todo))
		return -1;
	for (unsigned i = 0; modes[i] != NULL; i++)
		if (strcmp(argv[optind], modes[i]->name) == 0)
			opt.mode = modes[i];
	if (opt.mode == NULL)
		return -1;
	if (devices != NULL)
		read_devices(devices);
	return 0;
}

int
main(int argc, char **argv)
{
	if (parse(argc, argv) != 0)
		return usage();
	(void)signal(SIGPIPE, SIG_IGN);
	target.opened = opt.mode->opened;
	target.message = opt.mode->message;
	target.failed = opt.mode->failed;
	target.epoll = epoll_create1(EPOLL_CLOEXEC);
	target.ctx = wsc_context(opt.ca, opt.tls);
	conns = calloc(opt.conns, sizeof(*conns));
	payload = malloc(opt.size + 1);
	if (target.epoll < 0 || target.ctx == NULL || conns == NULL ||
	    payload == NULL) {
		(void)fprintf(stderr, "load: no resources\n");
		return 1;
	}
	for (unsigned i = 0; i < opt.size; i++)
		payload[i] = (uint8_t)(i * 7 + 1);
	for (unsigned i = 0; i < opt.conns; i++)
		conns[i].fd = -1;
	opt.mode->run();
	return 0;
}
