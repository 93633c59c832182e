/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator of `make bench` and `make swaps`: holds idle connections,
 * connects over and over, sends messages to an echo as fast as it answers, or
 * steadily and numbered, and reads the CPU clock of the server's processes at
 * both ends of the measured window.  Prints JSON objects.
 * Every loop ends after a given number of seconds at the latest.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "wsc.h"

#define PIDS_MAX 8
#define WARM_UP_S 0.5
#define OPENING_MAX 64			/* connections being opened at a time */
#define FAILURES_MAX 100
#define ANSWERS_S 30			/* the last echoes are waited for */
#define SERIALS_MAX 65536		/* of certificates that are told apart */

enum mode { IDLE, CONNECT, ECHO, STEADY };

static struct {
	enum mode mode;
	unsigned conns, size, depth;
	unsigned long ops;		/* end after so many; 0: by time */
	unsigned long rate;		/* messages a second, of all together */
	const char *ca;			/* NULL: any certificate will do */
	double seconds, hold;
	clockid_t clocks[PIDS_MAX];
	unsigned pids;
	FILE *devices;			/* lines "id token"; NULL: no hello */
} opt = { .conns = 100, .size = 64, .depth = 1, .rate = 1000, .seconds = 2,
	.hold = 120 };

static struct wsc_target target = { .tls = true, .path = "/echo" };
static struct wsc *conns;
static uint8_t *payload;
static unsigned long done, failures;
static unsigned started, opening, ready;
static char first_failure[128];
static unsigned wrong;			/* echoes that were not due */
static bool seen[SERIALS_MAX];		/* serial numbers of certificates */

static double
now(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) != 0) {
		perror("load: clock of the server");
		exit(1);
	}
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
cpu(void)
{
	double sum = 0;

	for (unsigned i = 0; i < opt.pids; i++)
		sum += now(opt.clocks[i]);
	return sum;
}

static void
start(unsigned i)
{
	int error = wsc_start(&conns[i], &target, started++);

	if (error != 0) {
		(void)fprintf(stderr, "load: connect: %s\n", strerror(-error));
		exit(1);
	}
	opening++;
}

/* ---- what the modes do -------------------------------------------------- */

static void
send_messages(struct wsc *c, unsigned n)
{
	while (n-- > 0 && c->state == WSC_OPEN)
		wsc_send(c, WSC_BINARY, payload, opt.size);
}

/* The next one of this connection, which the echo has to bring back in order. */
static void
send_number(struct wsc *c)
{
	if (c->state != WSC_OPEN)
		return;
	memcpy(payload, &c->todo, sizeof(c->todo));
	c->todo++;
	wsc_send(c, WSC_BINARY, payload, opt.size);
	wsc_flush(c);
}

static void
take_number(struct wsc *c, const uint8_t *p, size_t n)
{
	memcpy(payload, &c->done, sizeof(c->done));
	if (n != opt.size || memcmp(p, payload, n) != 0)
		wrong++;
	c->done++;
	done++;
}

/* Which certificate it was; that chain and key fit is OpenSSL's to see. */
static void
note_certificate(const struct wsc *c)
{
	X509 *crt = SSL_get0_peer_certificate(c->ssl);
	long serial = crt == NULL ? 0 :
	    ASN1_INTEGER_get(X509_get0_serialNumber(crt));

	if (serial >= 0 && serial < SERIALS_MAX)
		seen[serial] = true;
}

static unsigned
certificates(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SERIALS_MAX; i++)
		n += seen[i];
	return n;
}

static void
say_hello(struct wsc *c)
{
	char id[80], token[160], text[512];
	int n;

	if (fscanf(opt.devices, "%79s %159s", id, token) != 2) {
		(void)fprintf(stderr, "load: not enough devices\n");
		exit(1);
	}
	n = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,"
	    "\"method\":\"hello\",\"params\":{\"endpoint\":\"%s\","
	    "\"agent\":{\"name\":\"load\",\"version\":\"1\"},"
	    "\"auth\":{\"method\":\"token\",\"token\":\"%s\"}}}", id, token);
	wsc_send(c, WSC_TEXT, text, (size_t)n);
}

static void
on_opened(struct wsc *c)
{
	if (opt.mode == CONNECT) {
		if (opt.ca != NULL && c->ssl != NULL)
			note_certificate(c);
		send_messages(c, 1);
		return;
	}
	if (opt.mode == IDLE && opt.devices != NULL)
		return;			/* the challenge comes first */
	opening--;
	ready++;
}

static void
on_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	if (opt.mode == IDLE) {
		if (opt.devices == NULL || c->done == 2)
			return;
		if (c->done++ == 0) {
			say_hello(c);
		} else if (memmem(p, n, "\"result\"", 8) != NULL) {
			opening--;
			ready++;
		} else {
			(void)fprintf(stderr, "load: hello: %.*s\n", (int)n, p);
			exit(1);
		}
		return;
	}
	if (opt.mode == STEADY) {
		take_number(c, p, n);
		return;
	}
	if (opcode != WSC_BINARY || n != opt.size ||
	    memcmp(p, payload, n) != 0) {
		(void)fprintf(stderr, "load: not an echo\n");
		exit(1);
	}
	done++;
	if (opt.mode == CONNECT) {
		wsc_reset(c);
		opening--;
		return;
	}
	c->todo++;
}

static void
on_failed(struct wsc *c, const char *why)
{
	(void)c;
	if (failures++ == 0)
		(void)snprintf(first_failure, sizeof(first_failure), "%s", why);
	if (opt.mode == CONNECT && failures <= FAILURES_MAX) {
		opening--;
		return;
	}
	if (opt.mode == STEADY && ready == opt.conns)
		return;			/* is told at the end */
	(void)fprintf(stderr, "load: connection %u failed: %s\n", c->number,
	    why);
	exit(1);
}

/* ---- loops -------------------------------------------------------------- */

static void
turn(int timeout_ms)
{
	struct epoll_event ev[256];
	int n = epoll_wait(target.epoll, ev, 256, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct wsc *c = ev[i].data.ptr;

		wsc_event(c, ev[i].events);
		if (c->todo > 0 && opt.mode == ECHO) {
			send_messages(c, c->todo);
			c->todo = 0;
			wsc_flush(c);
		}
	}
}

/* Opens all connections. */
static void
open_all(void)
{
	double end = now(CLOCK_MONOTONIC) + 300;

	while (ready < opt.conns) {
		while (started < opt.conns && opening < OPENING_MAX)
			start(started);
		turn(1000);
		if (now(CLOCK_MONOTONIC) > end) {
			(void)fprintf(stderr, "load: only %u of %u opened\n",
			    ready, opt.conns);
			exit(1);
		}
	}
}

/* One round: as long as there is time and work. */
static void
run(double seconds, unsigned long ops)
{
	double end = now(CLOCK_MONOTONIC) + seconds;
	unsigned long from = done;

	while (now(CLOCK_MONOTONIC) < end && (ops == 0 || done - from < ops)) {
		if (opt.mode == CONNECT)
			for (unsigned i = 0; i < opt.conns; i++)
				if (conns[i].state == WSC_CLOSED)
					start(i);
		turn(100);
	}
}

static void
measure(void)
{
	unsigned long from;
	double wall, used;

	if (opt.mode == ECHO) {
		open_all();
		for (unsigned i = 0; i < opt.conns; i++) {
			send_messages(&conns[i], opt.depth);
			wsc_flush(&conns[i]);
		}
	}
	if (opt.ops == 0)
		run(WARM_UP_S, 0);
	from = done;
	used = cpu();
	wall = now(CLOCK_MONOTONIC);
	run(opt.seconds, opt.ops);
	used = cpu() - used;
	wall = now(CLOCK_MONOTONIC) - wall;
	if (done == from) {
		(void)fprintf(stderr, "load: nothing was done\n");
		exit(1);
	}
	(void)printf("{\"ops\": %lu, \"seconds\": %.3f, \"cpu_s\": %.6f, "
	    "\"us\": %.4f, \"failures\": %lu, \"first_failure\": \"%s\", "
	    "\"certificates\": %u}\n",
	    done - from, wall, used, used * 1e6 / (double)(done - from),
	    failures, first_failure, certificates());
}

/* Holds the connections, answering pings, until stdin ends. */
static void
hold(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	double end = now(CLOCK_MONOTONIC) + opt.hold;

	(void)printf("{\"ready\": %u}\n", ready);
	(void)fflush(stdout);
	while (now(CLOCK_MONOTONIC) < end && poll(&in, 1, 0) == 0)
		turn(100);
}

/* Messages at an even pace over all connections, until stdin ends; then what
 * became of them. */
static void
steady(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	double begin = now(CLOCK_MONOTONIC), end = begin + opt.hold, t;
	unsigned long sent = 0;

	(void)printf("{\"ready\": %u}\n", ready);
	(void)fflush(stdout);
	while ((t = now(CLOCK_MONOTONIC)) < end && poll(&in, 1, 0) == 0) {
		for (; sent < (unsigned long)((t - begin) * (double)opt.rate);
		    sent++)
			send_number(&conns[sent % opt.conns]);
		turn(2);
	}
	end = t + ANSWERS_S;
	while (done < sent && now(CLOCK_MONOTONIC) < end)
		turn(100);
	(void)printf("{\"sent\": %lu, \"echoed\": %lu, \"wrong\": %u, "
	    "\"closed\": %lu, \"first_failure\": \"%s\"}\n", sent, done,
	    wrong, failures, first_failure);
}

/* ---- start -------------------------------------------------------------- */

static int
usage(void)
{
	(void)fprintf(stderr,
	    "usage: load idle|connect|echo|steady --port P [--plain]\n"
	    "  [--path PATH] [--ca FILE] [--rate N]\n"
	    "  [--subprotocol S] [--devices FILE] [--conns N] [--size N]\n"
	    "  [--depth N] [--seconds S] [--ops N] [--hold S] [--pid PID]...\n");
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
		{ NULL, 0, NULL, 0 }
	};
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (o) {
		case 'p': target.port = (uint16_t)number(optarg); break;
		case 'l': target.tls = false; break;
		case 'a': target.path = optarg; break;
		case 'u': target.subprotocol = optarg; break;
		case 'v': opt.devices = fopen(optarg, "r"); break;
		case 'c': opt.conns = (unsigned)number(optarg); break;
		case 's': opt.size = (unsigned)number(optarg); break;
		case 'd': opt.depth = (unsigned)number(optarg); break;
		case 't': opt.seconds = strtod(optarg, NULL); break;
		case 'o': opt.ops = number(optarg); break;
		case 'h': opt.hold = strtod(optarg, NULL); break;
		case 'i': add_pid(optarg); break;
		case 'A': opt.ca = optarg; break;
		case 'r': opt.rate = number(optarg); break;
		default: return -1;
		}
	}
	if (optind != argc - 1 || target.port == 0 || opt.conns == 0)
		return -1;
	if (strcmp(argv[optind], "idle") == 0)
		opt.mode = IDLE;
	else if (strcmp(argv[optind], "connect") == 0)
		opt.mode = CONNECT;
	else if (strcmp(argv[optind], "echo") == 0)
		opt.mode = ECHO;
	else if (strcmp(argv[optind], "steady") == 0)
		opt.mode = STEADY;
	else
		return -1;
	return 0;
}

int
main(int argc, char **argv)
{
	if (parse(argc, argv) != 0)
		return usage();
	(void)signal(SIGPIPE, SIG_IGN);
	target.opened = on_opened;
	target.message = on_message;
	target.failed = on_failed;
	target.epoll = epoll_create1(EPOLL_CLOEXEC);
	target.ctx = wsc_context(opt.ca);
	conns = calloc(opt.conns, sizeof(*conns));
	payload = malloc(opt.size + 1);
	if (target.epoll < 0 || opt.size < sizeof(conns->todo) || target.ctx == NULL || conns == NULL ||
	    payload == NULL) {
		(void)fprintf(stderr, "load: no resources\n");
		return 1;
	}
	for (unsigned i = 0; i < opt.size; i++)
		payload[i] = (uint8_t)(i * 7 + 1);
	for (unsigned i = 0; i < opt.conns; i++)
		conns[i].fd = -1;
	if (opt.mode == IDLE) {
		open_all();
		hold();
	} else if (opt.mode == STEADY) {
		open_all();
		steady();
	} else {
		measure();
	}
	return 0;
}
