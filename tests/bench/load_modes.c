/* SPDX-License-Identifier: Apache-2.0 */
/* The modes of the load generator: what each does with its connections, and
 * what it measures. */
#include "load.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURES_MAX 100
#define ANSWERS_S 30			/* the last answers are waited for */
#define TICKETS_S 30
#define LOSSES_S 5			/* until all are seen */
#define RETRY_S 1.0			/* a refused device comes
					 * again: retry_min */
#define ROUNDS_MIN 2			/* fan-outs that are measured */
#define SERIALS_MAX 65536		/* of certificates that are
					 * told apart */

static unsigned long resumed, without_ecdhe;
static unsigned wrong;			/* echoes that were not due */
static bool stormy;			/* losses are expected */
static bool seen[SERIALS_MAX];		/* serial numbers of certificates */

static void
is_up(struct wsc *c)
{
	c->up = true;
	opening--;
	ready++;
}

void
note_failure(const char *why)
{
	if (failures++ == 0)
		(void)snprintf(first_failure, sizeof(first_failure), "%s", why);
}

static void
give_up(struct wsc *c, const char *why)
{
	(void)fprintf(stderr, "load: connection %u failed: %s\n", c->number,
	    why);
	exit(1);
}

static void
check_payload(int opcode, const uint8_t *p, size_t n)
{
	if (opcode == WSC_BINARY && n == opt.size &&
	    memcmp(p, payload, n) == 0)
		return;
	(void)fprintf(stderr, "load: not an echo\n");
	exit(1);
}

static void
send_messages(struct wsc *c, unsigned n)
{
	while (n-- > 0 && c->state == WSC_OPEN)
		wsc_send(c, WSC_BINARY, payload, opt.size);
}

bool
told(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	return poll(&in, 1, 0) != 0;
}

static void
print_ready(void)
{
	(void)printf("{\"ready\": %u}\n", ready);
	(void)fflush(stdout);
}

/* ---- connect: one after the other, each with one echo ----------------- */

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
connect_opened(struct wsc *c)
{
	if (opt.ca != NULL && c->ssl != NULL)
		note_certificate(c);
	send_messages(c, 1);
}

static void
connect_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	check_payload(opcode, p, n);
	done++;
	resumed += wsc_resumed(c);
	without_ecdhe += wsc_without_ecdhe(c);
	wsc_reset(c);
	opening--;
}

static void
connect_failed(struct wsc *c, const char *why)
{
	note_failure(why);
	if (failures > FAILURES_MAX)
		give_up(c, why);
	opening--;
}

/* Whether a window is over: by time, but something has to have been done. */
static bool
is_over(double begin, double seconds, unsigned long from)
{
	double passed = now(CLOCK_MONOTONIC) - begin;

	return passed >= seconds && (done > from || passed >= ANSWERS_S);
}

/* As long as there is time and work. */
static void
connect_for(double seconds, unsigned long ops)
{
	double begin = now(CLOCK_MONOTONIC);
	unsigned long from = done;

	while (!is_over(begin, seconds, from) &&
	    (ops == 0 || done - from < ops)) {
		for (unsigned i = 0; i < opt.conns; i++)
			if (conns[i].state == WSC_CLOSED)
				start(i, started);
		turn(100);
	}
}

static void
print_window(unsigned long ops, double wall, double used)
{
	if (ops == 0) {
		(void)fprintf(stderr, "load: nothing was done\n");
		exit(1);
	}
	(void)printf("{\"ops\": %lu, \"seconds\": %.3f, \"cpu_s\": %.6f, "
	    "\"us\": %.4f, \"failures\": %lu, \"first_failure\": \"%s\", "
	    "\"certificates\": %u, \"resumed\": %lu, \"psk_ke\": %lu}\n",
	    ops, wall, used, used * 1e6 / (double)ops, failures, first_failure,
	    certificates(), resumed, without_ecdhe);
}

/* Until each place has one, if the server gives any. */
static void
get_tickets(void)
{
	double end = now(CLOCK_MONOTONIC) + TICKETS_S;
	unsigned i;

	do {
		connect_for(0.05, 0);
		for (i = 0; i < opt.conns && conns[i].session != NULL; i++)
			;
	} while (i < opt.conns && now(CLOCK_MONOTONIC) < end);
	/* Who began without one. */
	for (i = 0; i < opt.conns; i++)
		if (conns[i].state != WSC_CLOSED) {
			wsc_reset(&conns[i]);
			opening--;
		}
	connect_for(opt.warm_up, 0);
}

static void
connect_run(void)
{
	unsigned long from;
	double wall, used;

	if (opt.ops == 0)
		connect_for(opt.warm_up, 0);
	if ((opt.tls & WSC_RESUME) != 0)
		get_tickets();
	from = done;
	resumed = without_ecdhe = 0;
	used = cpu();
	wall = now(CLOCK_MONOTONIC);
	connect_for(opt.seconds, opt.ops);
	used = cpu() - used;
	print_window(done - from, now(CLOCK_MONOTONIC) - wall, used);
}

/* ---- echo: as fast as it answers -------------------------------------- */

static void
echo_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	check_payload(opcode, p, n);
	done++;
	c->todo++;
}

static void
echo_woken(struct wsc *c)
{
	if (c->todo == 0)
		return;
	send_messages(c, c->todo);
	c->todo = 0;
	wsc_flush(c);
}

static void
echo_for(double seconds)
{
	double begin = now(CLOCK_MONOTONIC);
	unsigned long from = done;

	while (!is_over(begin, seconds, from))
		turn(100);
}

static void
echo_run(void)
{
	unsigned long from;
	double wall, used;

	open_all();
	for (unsigned i = 0; i < opt.conns; i++) {
		send_messages(&conns[i], opt.depth);
		wsc_flush(&conns[i]);
	}
	echo_for(opt.warm_up);
	from = done;
	used = cpu();
	wall = now(CLOCK_MONOTONIC);
	echo_for(opt.seconds);
	used = cpu() - used;
	print_window(done - from, now(CLOCK_MONOTONIC) - wall, used);
}

/* ---- fan: the server sends one message to all ------------------------- */

static void
fan_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	check_payload(opcode, p, n);
	c->done++;
	done++;
}

/* One message in, and as many out as there are connections: one for each. */
static void
fan_round(unsigned round)
{
	double end = now(CLOCK_MONOTONIC) + ANSWERS_S;
	unsigned long from = done;

	memcpy(payload, &round, sizeof(round));
	send_messages(&conns[round % opt.conns], 1);
	wsc_flush(&conns[round % opt.conns]);
	while (done - from < opt.conns && now(CLOCK_MONOTONIC) < end)
		turn(100);
	for (unsigned i = 0; i < opt.conns; i++)
		if (conns[i].done != round + 1) {
			(void)fprintf(stderr, "load: connection %u got %u of "
			    "%u messages\n", i, conns[i].done, round + 1);
			exit(1);
		}
}

static void
fan_run(void)
{
	unsigned round = 0, first;
	double wall, used;

	open_all();
	wall = now(CLOCK_MONOTONIC);
	do
		fan_round(round++);
	while (now(CLOCK_MONOTONIC) < wall + opt.warm_up);
	first = round;
	used = cpu();
	wall = now(CLOCK_MONOTONIC);
	while (round < first + ROUNDS_MIN ||
	    now(CLOCK_MONOTONIC) < wall + opt.seconds)
		fan_round(round++);
	used = cpu() - used;
	print_window((unsigned long)(round - first) * opt.conns,
	    now(CLOCK_MONOTONIC) - wall, used);
}

/* ---- idle: channels that are there ------------------------------------ */

void
say_hello(struct wsc *c)
{
	const struct device *d = &opt.devices[c->number];
	char text[512];
	int n;

	n = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,"
	    "\"method\":\"hello\",\"params\":{\"endpoint\":\"%s\","
	    "\"agent\":{\"name\":\"load\",\"version\":\"1\"},"
	    "\"auth\":{\"method\":\"token\",\"token\":\"%s\"}}}", d->id,
	    d->token);
	wsc_send(c, WSC_TEXT, text, (size_t)n);
}

static void
idle_opened(struct wsc *c)
{
	if (opt.devices == NULL)	/* else the challenge comes first */
		is_up(c);
}

static void
idle_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	(void)opcode;
	if (opt.devices == NULL || c->done == 2)
		return;
	if (c->done++ == 0) {
		say_hello(c);
	} else if (memmem(p, n, "\"result\"", 8) != NULL) {
		is_up(c);
	} else if (!stormy) {		/* else it is closed, and comes again */
		(void)fprintf(stderr, "load: hello: %.*s\n", (int)n, p);
		exit(1);
	}
}

/* Holds the connections, answering pings, until stdin ends. */
static void
idle_run(void)
{
	double end = now(CLOCK_MONOTONIC) + opt.hold;

	open_all();
	print_ready();
	while (now(CLOCK_MONOTONIC) < end && !told())
		turn(100);
}

/* ---- storm: all are lost and come back at once ------------------------ */

static void
storm_failed(struct wsc *c, const char *why)
{
	if (!stormy)
		give_up(c, why);
	if (c->up)
		ready--;
	else
		opening--;
	c->up = false;
	note_failure(why);
}

/* Those that are not there; every RETRY_S who was refused comes again. */
static void
storm_restart(unsigned long *again)
{
	for (unsigned i = 0; i < opt.conns; i++)
		if (conns[i].state == WSC_CLOSED) {
			start(i, i);
			++*again;
		}
}

/* Opens all, waits for a line on stdin (the server was killed, and started
 * again), and comes back. */
static void
storm_run(void)
{
	double begin, next, t, end = now(CLOCK_MONOTONIC) + opt.hold;
	unsigned long attempts = 0;
	char line[16];

	open_all();
	stormy = true;
	print_ready();
	while (now(CLOCK_MONOTONIC) < end && !told())
		turn(100);
	if (read(0, line, sizeof(line)) <= 0)
		return;
	end = now(CLOCK_MONOTONIC) + LOSSES_S;
	while (ready > 0 && now(CLOCK_MONOTONIC) < end)
		turn(10);
	(void)printf("{\"lost\": %u}\n", opt.conns - ready);
	failures = 0;
	next = begin = t = now(CLOCK_MONOTONIC);
	end = begin + opt.hold;
	while ((ready < opt.conns || opening > 0) && t < end) {
		if (t >= next) {
			storm_restart(&attempts);
			next = t + RETRY_S;
		}
		turn(20);
		t = now(CLOCK_MONOTONIC);
	}
	for (unsigned i = 0; i < opt.conns; i++)
		resumed += conns[i].up && wsc_resumed(&conns[i]);
	(void)printf("{\"back\": %u, \"seconds\": %.3f, \"attempts\": %lu, "
	    "\"failures\": %lu, \"first_failure\": \"%s\", \"resumed\": %lu}\n",
	    ready, t - begin, attempts, failures, first_failure, resumed);
	(void)fflush(stdout);
	end = t + opt.hold;
	while (now(CLOCK_MONOTONIC) < end && !told())
		turn(100);
}

/* ---- steady: numbered messages at an even pace ------------------------ */

/* The next one of this connection: the echo has to bring it back in order. */
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
steady_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	(void)opcode;
	memcpy(payload, &c->done, sizeof(c->done));
	if (n != opt.size || memcmp(p, payload, n) != 0)
		wrong++;
	c->done++;
	done++;
}

static void
steady_failed(struct wsc *c, const char *why)
{
	note_failure(why);
	if (ready < opt.conns)
		give_up(c, why);	/* else it is told at the end */
}

/* Over all connections, until stdin ends; then what became of them. */
static void
steady_run(void)
{
	double begin, end, t;
	unsigned long sent = 0;

	open_all();
	print_ready();
	begin = now(CLOCK_MONOTONIC);
	end = begin + opt.hold;
	while ((t = now(CLOCK_MONOTONIC)) < end && !told()) {
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

static const struct mode
    idle = { "idle", idle_opened, idle_message, give_up, NULL, idle_run },
    connecting = { "connect", connect_opened, connect_message, connect_failed,
	NULL, connect_run },
    echo = { "echo", is_up, echo_message, give_up, echo_woken, echo_run },
    fan = { "fan", is_up, fan_message, give_up, NULL, fan_run },
    steady = { "steady", is_up, steady_message, steady_failed, NULL,
	steady_run },
    storm = { "storm", idle_opened, idle_message, storm_failed, NULL,
	storm_run };
const struct mode *const modes[] = {
	&idle, &connecting, &echo, &fan, &steady, &storm, &upgrade_mode, NULL
};
