/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mode of the load generator that is there while the server is upgraded:
 * numbered and timed messages on channels of TLS 1.3 and 1.2, devices that obey
 * commands, and visitors that connect all the time.  Nothing of it may be lost,
 * doubled, out of order, closed or refused; each of that is counted.  A line on
 * stdin that begins with m: prints what has been since the last one; another:
 * waits for what is under way and prints what has been altogether.  The
 * channels stay until it ends.
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VISITORS_MAX 512		/* at a time */
#define COMMANDS_MAX 256		/* of one device, without an outcome */
#define TEXT_MAX 4096
#define ANSWERS_S 60			/* the last answers are waited for */
#define LATE_MS 50			/* the goal of issue 5 */
#define MS_MAX 4096

struct mark {				/* what begins a message */
	uint32_t number, zero;
	double sent;
};

struct agent {
	struct wsc conn;		/* done: messages until the hello
					 * was heard */
	unsigned given, said, ended;	/* commands: come, outcome
					 * told, final */
	double due[COMMANDS_MAX];	/* when the outcome is told */
};

struct visitor {
	struct wsc conn;
	double begun;
};

/* Echoes of a time, by milliseconds. */
struct window {
	unsigned long sent, echoed, connects, ms[MS_MAX];
	double begun, worst, worst_at, slowest_connect;
};

static struct {
	unsigned long lost, doubled, reordered, wrong, closed, refused;
} bad;
static struct window part, whole;
static uint64_t *heard;			/* of each channel: its last
					 * 64 numbers */
static struct agent *agents;
static struct visitor visitors[VISITORS_MAX];
static unsigned long visits;
static unsigned visiting;
static struct wsc_target old_target, agent_target, visitor_target;

/* ---- numbered messages ------------------------------------------------- */

static void
send_marked(struct wsc *c)
{
	struct mark m = { .number = c->todo++, .sent = now(CLOCK_MONOTONIC) };

	memcpy(payload, &m, sizeof(m));
	wsc_send(c, WSC_BINARY, payload, opt.size);
	wsc_flush(c);
}

static bool
read_mark(int opcode, const uint8_t *p, size_t n, struct mark *ret)
{
	if (opcode != WSC_BINARY || n != opt.size || memcmp(p + sizeof(*ret),
	    payload + sizeof(*ret), n - sizeof(*ret)) != 0) {
		bad.wrong++;
		return false;
	}
	memcpy(ret, p, sizeof(*ret));
	return true;
}

static void
timed(struct window *w, double passed)
{
	unsigned long ms = (unsigned long)(passed * 1e3);

	w->echoed++;
	w->ms[ms < MS_MAX ? ms : MS_MAX - 1]++;
	if (passed > w->worst) {
		w->worst = passed;
		w->worst_at = now(CLOCK_MONOTONIC) - passed - w->begun;
	}
}

/* Bit i of what was heard: number done - 1 - i has come. */
static void
in_order(struct wsc *c, uint64_t *bits, unsigned number)
{
	unsigned gap, back;

	if (number >= c->done) {
		gap = number - c->done;
		bad.lost += gap;
		*bits = gap >= 63 ? 1 : *bits << (gap + 1) | 1;
		c->done = number + 1;
		return;
	}
	back = c->done - 1 - number;
	if (back < 64 && (*bits >> back & 1) == 0) {
		*bits |= (uint64_t)1 << back;
		bad.lost--;
		bad.reordered++;
	} else {
		bad.doubled++;
	}
}

static void
numbered_opened(struct wsc *c)
{
	c->up = true;
	opening--;
	ready++;
}

static void
numbered_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	struct mark m;
	double passed;

	if (!read_mark(opcode, p, n, &m))
		return;
	passed = now(CLOCK_MONOTONIC) - m.sent;
	in_order(c, &heard[c - conns], m.number);
	timed(&part, passed);
	timed(&whole, passed);
}

static void
channel_failed(struct wsc *c, const char *why)
{
	if (!c->up) {
		(void)fprintf(stderr, "load: connection %u failed: %s\n",
		    c->number, why);
		exit(1);
	}
	note_failure(why);
	bad.closed++;
}

/* ---- devices that obey ------------------------------------------------- */

static void
say(struct wsc *c, const char *text, int n)
{
	if (n < 0 || n >= TEXT_MAX)
		abort();
	wsc_send(c, WSC_TEXT, text, (size_t)n);
}

/* Its number stands behind the last dot of its id. */
static void
obey(struct agent *a, const char *text)
{
	const char *id = strstr(text, "\"id\":");
	const char *command = strstr(text, "\"command_id\":\"");
	const char *end = command == NULL ? NULL : strchr(command + 14, '"');
	char answer[TEXT_MAX];
	unsigned number;

	while (end != NULL && end > command && end[-1] != '.')
		end--;
	if (id == NULL || end == NULL || end == command) {
		bad.wrong++;
		return;
	}
	id += 5;
	say(&a->conn, answer, snprintf(answer, sizeof(answer), "{\"jsonrpc\":"
	    "\"2.0\",\"id\":%.*s,\"result\":{}}", (int)strcspn(id, ",}"), id));
	number = (unsigned)strtoul(end, NULL, 10);
	if (number < a->given) {
		bad.doubled++;
		return;
	}
	bad.lost += number - a->given;
	a->due[number % COMMANDS_MAX] = now(CLOCK_MONOTONIC) + opt.delay;
	a->given = number + 1;
}

static void
agent_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	struct agent *a = (struct agent *)c;
	char text[TEXT_MAX];

	if (opcode != WSC_TEXT || n >= sizeof(text)) {
		bad.wrong++;
		return;
	}
	memcpy(text, p, n);
	text[n] = '\0';
	if (strstr(text, "\"method\":\"command\"") != NULL) {
		obey(a, text);
	} else if (c->done == 0) {
		c->done++;
		say_hello(c);
	} else if (!c->up && strstr(text, "\"result\"") != NULL) {
		numbered_opened(c);
	} else if (strstr(text, "\"final\":\"ok\"") != NULL) {
		a->ended++;
	} else if (strstr(text, "\"error\"") != NULL || strstr(text,
	    "\"final\"") != NULL) {
		note_failure("a device was refused");
		(void)fprintf(stderr, "load: device %u: %s\n", c->number, text);
		bad.wrong++;
	}
}

static void
agent_opened(struct wsc *c)
{
	(void)c;			/* the challenge comes first */
}

/* Outcomes, whose time it is. */
static void
tell_outcomes(double t)
{
	char text[TEXT_MAX];

	for (unsigned i = 0; i < opt.agents; i++) {
		struct agent *a = &agents[i];

		if (a->said == a->given || a->due[a->said % COMMANDS_MAX] > t ||
		    a->conn.state != WSC_OPEN)
			continue;
		say(&a->conn, text, snprintf(text, sizeof(text), "{\"jsonrpc\":"
		    "\"2.0\",\"id\":%u,\"method\":\"outcome\",\"params\":"
		    "{\"command_id\":\"%s.%u\",\"outcome\":\"ok\"}}",
		    a->said + 2, opt.devices[i].id, a->said));
		wsc_flush(&a->conn);
		a->said++;
	}
}

/* Commands that came, and those that were answered, of all agents. */
static struct commands {
	unsigned long given, ended;
}
commands(void)
{
	struct commands n = { 0, 0 };

	for (unsigned i = 0; i < opt.agents; i++) {
		n.given += agents[i].given;
		n.ended += agents[i].ended;
	}
	return n;
}

/* ---- visitors ---------------------------------------------------------- */

static void
visitor_message(struct wsc *c, int opcode, const uint8_t *p, size_t n)
{
	struct visitor *v = (struct visitor *)c;
	double passed = now(CLOCK_MONOTONIC) - v->begun;
	struct mark m;

	if (read_mark(opcode, p, n, &m) && m.number == 0) {
		part.connects++;
		whole.connects++;
	}
	if (passed > part.slowest_connect)
		part.slowest_connect = passed;
	if (passed > whole.slowest_connect)
		whole.slowest_connect = passed;
	wsc_reset(c);
	visiting--;
}

static void
visitor_failed(struct wsc *c, const char *why)
{
	(void)c;
	note_failure(why);
	bad.refused++;
	visiting--;
}

static void
visitor_opened(struct wsc *c)
{
	c->todo = 0;
	send_marked(c);
}

/* Nobody if all places are taken: they wait already. */
static void
visit(double t)
{
	for (unsigned i = 0; i < VISITORS_MAX; i++) {
		struct visitor *v = &visitors[i];

		if (v->conn.state != WSC_CLOSED)
			continue;
		v->begun = t;
		if (wsc_start(&v->conn, &visitor_target,
		    (unsigned)visits) == 0)
			visiting++;
		else
			bad.refused++;
		break;
	}
	visits++;
}

/* ---- all of it --------------------------------------------------------- */

/* The least number of milliseconds that so many of a thousand were within. */
static unsigned
within(const struct window *w, unsigned long of_1000)
{
	unsigned long n = 0;
	unsigned ms = 0;

	for (; ms < MS_MAX - 1; ms++) {
		n += w->ms[ms];
		if (n * 1000 >= w->echoed * of_1000)
			break;
	}
	return ms + 1;
}

static void
print_window(const char *name, const struct window *w)
{
	struct commands n = commands();
	unsigned long late = 0;

	for (unsigned ms = LATE_MS; ms < MS_MAX; ms++)
		late += w->ms[ms];
	(void)printf("{\"%s\": %.3f, \"sent\": %lu, \"echoed\": %lu, "
	    "\"worst_ms\": %.2f, \"worst_at\": %.3f, \"half_ms\": %u, "
	    "\"p999_ms\": %u, "
	    "\"late\": %lu, \"connects\": %lu, \"slowest_connect_ms\": %.1f, "
	    "\"lost\": %lu, "
	    "\"doubled\": %lu, \"reordered\": %lu, \"wrong\": %lu, \"closed\": "
	    "%lu, \"refused\": %lu, \"given\": %lu, \"ended\": %lu, "
	    "\"first_failure\": \"%s\"}\n", name,
	    now(CLOCK_MONOTONIC) - w->begun, w->sent, w->echoed, w->worst * 1e3,
	    w->worst_at, within(w, 500), within(w, 999), late, w->connects,
	    w->slowest_connect * 1e3, bad.lost, bad.doubled, bad.reordered,
	    bad.wrong, bad.closed, bad.refused, n.given, n.ended,
	    first_failure);
	(void)fflush(stdout);
}

static void
open_devices(double end)
{
	unsigned n = 0;

	for (; ready < opt.conns + opt.agents && now(CLOCK_MONOTONIC) < end;
	    turn(100))
		for (; n < opt.agents && opening < 32; n++) {
			if (wsc_start(&agents[n].conn, &agent_target, n) != 0)
				return;
			opening++;
		}
}

/* Those of TLS 1.2 are the last. */
static void
open_channels(double end)
{
	unsigned n = 0;

	for (; ready < opt.conns && now(CLOCK_MONOTONIC) < end; turn(100))
		for (; n < opt.conns && opening < 64; n++) {
			if (wsc_start(&conns[n], n < opt.conns - opt.tls12 ?
			    &target : &old_target, n) != 0)
				return;
			opening++;
		}
}

static void
prepare(void)
{
	double end = now(CLOCK_MONOTONIC) + 600;

	heard = calloc(opt.conns, sizeof(*heard));
	agents = calloc(opt.agents + 1, sizeof(*agents));
	old_target = agent_target = visitor_target = target;
	old_target.ctx = wsc_context(opt.ca, opt.tls | WSC_TLS12);
	agent_target.path = "/v1/channel";
	agent_target.subprotocol = "cleat.v1.jsonrpc";
	agent_target.opened = agent_opened;
	agent_target.message = agent_message;
	visitor_target.opened = visitor_opened;
	visitor_target.message = visitor_message;
	visitor_target.failed = visitor_failed;
	if (heard == NULL || agents == NULL || old_target.ctx == NULL ||
	    opt.size < sizeof(struct mark) || opt.tls12 > opt.conns ||
	    (opt.agents > 0 && opt.devices == NULL)) {
		(void)fprintf(stderr, "load: no resources or no devices\n");
		exit(1);
	}
	for (unsigned i = 0; i < opt.agents; i++)
		agents[i].conn.fd = -1;
	for (unsigned i = 0; i < VISITORS_MAX; i++)
		visitors[i].conn.fd = -1;
	open_channels(end);
	open_devices(end);
	if (ready < opt.conns + opt.agents) {
		(void)fprintf(stderr, "load: only %u opened\n", ready);
		exit(1);
	}
	(void)printf("{\"ready\": %u}\n", ready);
	(void)fflush(stdout);
}

/* Whether it was the word to end. */
static bool
heed(void)
{
	char line[16];
	ssize_t n = read(0, line, sizeof(line));

	if (n <= 0 || line[0] != 'm')
		return true;
	print_window("mark", &part);
	part = (struct window){ .begun = now(CLOCK_MONOTONIC) };
	return false;
}

static void
go_on(double t, double begin, unsigned long *turns)
{
	for (; *turns < (unsigned long)((t - begin) * (double)opt.rate);
	    ++*turns) {
		struct wsc *c = &conns[*turns % opt.conns];

		if (c->state != WSC_OPEN)
			continue;
		send_marked(c);
		part.sent++;
		whole.sent++;
	}
	while (visits < (unsigned long)((t - begin) * opt.visits))
		visit(t);
}

static bool
all_answered(void)
{
	struct commands n = commands();

	return visiting == 0 && whole.echoed >= whole.sent &&
	    n.given == n.ended;
}

static void
upgrade_run(void)
{
	double begin, end, t;
	unsigned long turns = 0;

	prepare();
	begin = part.begun = whole.begun = now(CLOCK_MONOTONIC);
	end = begin + opt.hold;
	while ((t = now(CLOCK_MONOTONIC)) < end && !(told() && heed())) {
		go_on(t, begin, &turns);
		tell_outcomes(t);
		turn(2);
	}
	end = t + ANSWERS_S;
	while (!all_answered() && (t = now(CLOCK_MONOTONIC)) < end) {
		tell_outcomes(t);
		turn(10);
	}
	/* What was not even passed over. */
	for (unsigned i = 0; i < opt.conns; i++)
		bad.lost += conns[i].todo - conns[i].done;
	bad.refused += visiting;
	print_window("end", &whole);
	while (!told())
		turn(100);
}

const struct mode upgrade_mode = { "upgrade", numbered_opened, numbered_message,
	channel_failed, NULL, upgrade_run };
