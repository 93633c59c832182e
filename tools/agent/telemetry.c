/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry: lines in, a durable queue, calls out, forgotten when stored. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/json_check.h"
#include "base/log.h"
#include "base/mem.h"

/* doc/protocol.md, "Errors". */
#define CODE_PARSE (-32700)
#define CODE_INVALID (-32600)
#define CODE_METHOD (-32601)
#define CODE_PARAMS (-32602)
#define CODE_INTERNAL (-32603)

int
agent_telemetry_init(struct agent *a)
{
	const char *from = a->opts->telemetry;
	char path[4096];
	int r;

	a->input = -1;
	if (from == NULL)
		return 0;
	if (a->opts->state_dir == NULL) {
		log_error("telemetry needs --state-dir");
		return -EINVAL;
	}
	(void)snprintf(path, sizeof(path), "%s/telemetry.queue",
	    a->opts->state_dir);
	r = queue_open(path, a->opts->telemetry_max, &a->queue);
	if (r != 0) {
		log_error("%s: %s", path, strerror(-r));
		return r;
	}
	a->line = mem_alloc(AGENT_LINE_MAX + 2);
	if (a->line == NULL) {
		log_error("telemetry: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	if (strcmp(from, "-") == 0) {
		a->input = STDIN_FILENO;
		return 0;
	}
	/* Both ends are ours, so that it never ends with its last writer. */
	if (mkfifo(from, 0600) != 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		a->input = open(from, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		r = a->input < 0 ? -errno : 0;
	}
	if (r != 0)
		log_error("telemetry %s: %s", from, strerror(-r));
	return r;
}

void
agent_telemetry_fini(struct agent *a)
{
	if (a->input > STDIN_FILENO)
		(void)close(a->input);
	queue_close(&a->queue);
	mem_free(a->line);
}

/* ---- lines in ---------------------------------------------------------- */

/* An array as it is, an object as an array of one.  What the server could not
 * even answer must not come into the queue. */
static void
take_line(struct agent *a)
{
	json_t *o = json_loadb(a->line, a->line_n, JSON_REJECT_DUPLICATES,
	    NULL);
	int r;

	if (json_is_object(o)) {
		memmove(a->line + 1, a->line, a->line_n);
		a->line[0] = '[';
		a->line[++a->line_n] = ']';
		a->line_n++;
	}
	a->line[a->line_n] = '\0';
	r = o == NULL || json_check_array(a->line, a->line_n) != 0 ||
	    json_depth(a->line) > AGENT_DEPTH_MAX ? -EINVAL : 0;
	json_decref(o);
	if (r != 0) {
		log_warning("a line of telemetry is not a JSON array or "
		    "object, nested at most %d deep", AGENT_DEPTH_MAX);
		return;
	}
	r = queue_add(a->queue, a->line);
	if (r != 0)
		log_error("telemetry is lost: %s", strerror(-r));
}

static void
take(struct agent *a, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\n') {
			/* Room for brackets and the end. */
			if (a->line_n < AGENT_LINE_MAX - 2)
				a->line[a->line_n++] = p[i];
			else
				a->skipping = true;
			continue;
		}
		if (a->skipping)
			log_warning("a line of telemetry is longer than %d",
			    AGENT_LINE_MAX - 2);
		else if (a->line_n > 0)
			take_line(a);
		a->line_n = 0;
		a->skipping = false;
	}
}

void
agent_telemetry_read(struct agent *a)
{
	uint64_t dropped = queue_dropped(a->queue);
	char area[65536];
	ssize_t k = read(a->input, area, sizeof(area));
	int r;

	if (k < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (k <= 0) {
		if (a->input > STDIN_FILENO)
			(void)close(a->input);
		a->input = -1;
		return;
	}
	take(a, area, (size_t)k);
	r = queue_sync(a->queue);
	if (r != 0)
		log_error("telemetry may be lost: %s", strerror(-r));
	if (queue_dropped(a->queue) != dropped)
		log_warning("telemetry is full: dropped=%" PRIu64,
		    queue_dropped(a->queue));
}

/* ---- calls out --------------------------------------------------------- */

/* Of what comes again as it is; all else may do another time. */
static bool
for_good(int code)
{
	return code == CODE_PARAMS || code == CODE_INVALID ||
	    code == CODE_PARSE;
}

static struct flight *
place(struct agent *a)
{
	size_t i = 0;

	while (a->flights[i].seq != 0)
		i++;
	return &a->flights[i];
}

static void
refuse(struct flight *f, int code, const char *why)
{
	f->code = code;
	(void)log_quote(f->why, sizeof(f->why), why, strlen(why));
	f->a->refused_n++;
}

static void
landed(struct flight *f)
{
	if (f->code != 0)
		f->a->refused_n--;
	f->seq = 0;
	f->code = 0;
}

static void
not_now(struct agent *a, const struct flight *f)
{
	if (a->telemetry_ms == 0)
		log_warning("telemetry seq=%" PRIu64 " is not taken now: %d "
		    "%s", f->seq, f->code, f->why);
	/* This server never will. */
	a->telemetry_ms = f->code == CODE_METHOD ? UINT64_MAX :
	    clock_mono_ms() + AGENT_AGAIN_MS;
}

/* In its turn, lest those before it be forgotten: else it is sent again, with
 * them, and refused again. */
static int
drop(struct agent *a, const struct flight *f)
{
	char *json = NULL;
	uint64_t first = queue_after(a->queue, 0, &json);
	size_t n = json == NULL ? 0 : strlen(json);
	int r;

	mem_free(json);
	if (first != f->seq)
		return 0;
	r = queue_stored(a->queue, f->seq);
	if (r == 0)
		log_error("telemetry seq=%" PRIu64 " is dropped, the server "
		    "refuses it: %d %s bytes=%zu refused=%" PRIu64, f->seq,
		    f->code, f->why, n, ++a->refused);
	return r;
}

static struct flight *
first_refused(struct agent *a)
{
	struct flight *first = NULL;

	for (size_t i = 0; i < AGENT_TELEMETRY_SENT_MAX; i++) {
		struct flight *f = &a->flights[i];

		if (f->code != 0 && (first == NULL || f->seq < first->seq))
			first = f;
	}
	return first;
}

/* What was refused, once everything that was sent has its answer. */
static int
settle(struct agent *a)
{
	struct flight *f;
	int r = 0;

	while (r == 0 && (f = first_refused(a)) != NULL) {
		bool passed = f->seq <= a->stored_seq;

		/* Those before it, and no refused one, are gone then. */
		r = queue_stored(a->queue, passed ? f->seq - 1 :
		    a->stored_seq);
		/* Nothing may pass what is refused for now (doc/protocol.md):
		 * a server that lets it would take it for known. */
		if (r == 0 && (for_good(f->code) || passed))
			r = drop(a, f);
		if (r != 0)
			break;
		if (!for_good(f->code))
			not_now(a, f);
		landed(f);
	}
	a->sent_seq = 0;
	return r == 0 ? queue_stored(a->queue, a->stored_seq) : r;
}

static void
try_settle(struct agent *a)
{
	int r = settle(a);

	if (r != 0) {
		log_warning("telemetry.queue: %s", strerror(-r));
		a->telemetry_ms = clock_mono_ms() + AGENT_AGAIN_MS;
	}
}

static void
stored(void *arg, const struct cleat_client_answer *answer)
{
	struct flight *f = arg;
	struct agent *a = f->a;
	uint64_t n;
	json_t *o;
	int r = 0;

	a->in_flight--;
	if (answer->error == -EREMOTEIO) {
		refuse(f, answer->code == 0 ? CODE_INTERNAL : answer->code,
		    answer->text);
		return;
	}
	landed(f);
	if (answer->error != 0)
		return;			/* hello tells what became of it */
	o = json_loads(answer->json, 0, NULL);
	n = (uint64_t)json_integer_value(json_object_get(o, "stored"));
	json_decref(o);
	/* It cannot have what it was not sent. */
	if (n > a->top_seq)
		n = a->top_seq;
	if (n > a->stored_seq)
		a->stored_seq = n;
	if (a->refused_n == 0)
		r = queue_stored(a->queue, a->stored_seq);
	if (r != 0)
		log_warning("telemetry.queue: %s", strerror(-r));
}

void
agent_telemetry_hello(struct agent *a, uint64_t server_seq)
{
	struct flight *f;
	int r;

	if (a->queue == NULL)
		return;
	a->sent_seq = 0;
	a->telemetry_ms = 0;
	r = queue_start(a->queue, server_seq);
	if (r < 0) {
		log_warning("no telemetry on this channel: %s", strerror(-r));
		a->telemetry_ms = UINT64_MAX;
		return;
	}
	a->stored_seq = a->top_seq = server_seq;
	/* Their numbers say nothing any more: they are sent again. */
	while (r == 1 && (f = first_refused(a)) != NULL)
		landed(f);
	try_settle(a);
}

static int
send_next(struct agent *a, bool *ret_more)
{
	struct flight *f = place(a);
	char *json = NULL;
	uint64_t seq = queue_after(a->queue, a->sent_seq, &json);
	int r;

	*ret_more = seq != 0;
	if (seq == 0)
		return 0;
	f->a = a;
	r = cleat_client_telemetry(a->client, seq, json, stored, f);
	mem_free(json);
	if (r != 0 && r != -EMSGSIZE && r != -EINVAL)
		return r;
	f->seq = a->sent_seq = seq;
	if (seq > a->top_seq)
		a->top_seq = seq;
	if (r == 0)
		a->in_flight++;
	else
		refuse(f, CODE_PARAMS, strerror(-r));
	return 0;
}

void
agent_telemetry_tick(struct agent *a, uint64_t now)
{
	bool more = true;
	int r = 0;

	if (a->queue == NULL || now < a->telemetry_ms)
		return;
	a->telemetry_ms = 0;
	if (cleat_client_get_state(a->client) != CLEAT_CLIENT_ONLINE)
		return;
	while (r == 0 && more && a->refused_n == 0 &&
	    a->in_flight < AGENT_TELEMETRY_SENT_MAX)
		r = send_next(a, &more);
	if (r != 0)
		a->telemetry_ms = now + 1000;
	if (a->refused_n > 0 && a->in_flight == 0) {
		try_settle(a);
		/* The rest, if nothing has to wait. */
		if (a->telemetry_ms == 0)
			a->telemetry_ms = now;
	}
}

uint64_t
agent_telemetry_due(const struct agent *a)
{
	return a->queue != NULL && a->telemetry_ms != 0 &&
	    queue_count(a->queue) > 0 ? a->telemetry_ms : UINT64_MAX;
}
