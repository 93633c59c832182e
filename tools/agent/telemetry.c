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
#include "base/log.h"
#include "base/mem.h"

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
	if (a->line == NULL)
		return -ENOMEM;
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

/* ---- lines in ------------------------------------------------------------------------ */

/* An array as it is, an object as an array of one. */
static void
take_line(struct agent *a)
{
	json_t *o = json_loadb(a->line, a->line_n, JSON_REJECT_DUPLICATES,
	    NULL);
	bool array = json_is_array(o);
	int r;

	if (o == NULL || (!array && !json_is_object(o))) {
		log_warning("a line of telemetry is no JSON array or object");
		json_decref(o);
		return;
	}
	json_decref(o);
	if (!array) {
		memmove(a->line + 1, a->line, a->line_n);
		a->line[0] = '[';
		a->line[++a->line_n] = ']';
		a->line_n++;
	}
	a->line[a->line_n] = '\0';
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

/* ---- calls out ------------------------------------------------------------------------- */

static void
stored(void *arg, const struct cleat_client_answer *answer)
{
	struct agent *a = arg;
	json_t *o;
	int r;

	if (answer->error == -ENOTCONN)
		return;			/* in_flight starts anew with hello */
	a->in_flight--;
	if (answer->error != 0) {
		log_warning("telemetry is refused: %d %s", answer->code,
		    answer->text);
		a->sent_seq = 0;
		a->telemetry_ms = clock_mono_ms() + AGENT_AGAIN_MS;
		return;
	}
	o = json_loads(answer->json, 0, NULL);
	r = queue_stored(a->queue, (uint64_t)json_integer_value(
	    json_object_get(o, "stored")));
	if (r != 0)
		log_warning("telemetry.queue: %s", strerror(-r));
	json_decref(o);
}

void
agent_telemetry_hello(struct agent *a, uint64_t server_seq)
{
	int r;

	if (a->queue == NULL)
		return;
	a->sent_seq = 0;
	a->in_flight = 0;
	a->telemetry_ms = 0;
	r = queue_start(a->queue, server_seq);
	if (r == 0)
		r = queue_stored(a->queue, server_seq);
	if (r != 0)
		log_warning("telemetry.queue: %s", strerror(-r));
}

void
agent_telemetry_tick(struct agent *a, uint64_t now)
{
	char *json = NULL;
	uint64_t seq;
	int r = 0;

	if (a->queue == NULL || now < a->telemetry_ms)
		return;
	a->telemetry_ms = 0;
	if (cleat_client_get_state(a->client) != CLEAT_CLIENT_ONLINE)
		return;
	while (r == 0 && a->in_flight < AGENT_TELEMETRY_SENT_MAX &&
	    (seq = queue_after(a->queue, a->sent_seq, &json)) != 0) {
		r = cleat_client_telemetry(a->client, seq, json, stored, a);
		mem_free(json);
		if (r == -EMSGSIZE || r == -EINVAL) {
			log_error("telemetry seq=%" PRIu64 " cannot be sent: "
			    "%s", seq, strerror(-r));
			/* In its turn, lest those before it be forgotten. */
			if (a->in_flight == 0 && queue_stored(a->queue,
			    seq) == 0)
				r = 0;
		} else if (r == 0) {
			a->in_flight++;
			a->sent_seq = seq;
		}
	}
	if (r != 0)
		a->telemetry_ms = now + 1000;
}

uint64_t
agent_telemetry_due(const struct agent *a)
{
	return a->queue != NULL && a->telemetry_ms != 0 &&
	    queue_count(a->queue) > 0 ? a->telemetry_ms : UINT64_MAX;
}
