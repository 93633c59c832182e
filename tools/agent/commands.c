/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: recorded before they are acted on, done one after the other, told
 * once each (doc/protocol.md, "command").  waiting[0] is the one that runs.
 */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <jansson.h>

#include "../../client/json_text.h"
#include "base/clock.h"
#include "base/json_check.h"
#include "base/log.h"
#include "base/mem.h"
#include "text.h"

#define PROGRESS_MS 1000		/* at most one in this time */
#define POWER_MS 5000			/* for the outcome to be told */

static void start_next(struct agent *);

int
agent_commands_init(struct agent *a)
{
	char path[4096];
	int r;

	job_init(&a->job);
	if (a->opts->state_dir == NULL)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/commands.journal",
	    a->opts->state_dir);
	r = journal_open(path, &a->journal);
	if (r != 0)
		log_error("%s: %s", path, strerror(-r));
	return r;
}

void
agent_commands_fini(struct agent *a)
{
	job_fini(&a->job);
	for (size_t i = 0; i < a->waiting_n; i++)
		mem_free(a->waiting[i].args);
	mem_free(a->waiting);
	a->waiting = NULL;
	a->waiting_n = a->waiting_cap = a->waiting_bytes = 0;
	journal_close(&a->journal);
}

/* ---- outcomes ---------------------------------------------------------- */

/* Takes `result` over (NULL: none). */
static int
write_outcome(struct agent *a, const char *id, const char *outcome,
    json_t *result, const char *message)
{
	char *text = json_text(json_pack("{s:s, s:o*, s:s*}", "outcome",
	    outcome, "result", result, "message", message));
	int r = text == NULL ? -ENOMEM : journal_outcome(a->journal, id, text);

	mem_free(text);
	return r;
}

/* Likewise. */
static void
record_outcome(struct agent *a, const char *id, const char *outcome,
    json_t *result, const char *message)
{
	int r = write_outcome(a, id, outcome, result, message);

	if (r == -EFBIG)
		r = write_outcome(a, id, outcome, NULL,
		    "the result is not kept: too much waits to be told");
	log_notice("command id=%s outcome=%s%s%s", id, outcome,
	    message == NULL ? "" : " why=", message == NULL ? "" : message);
	/* Recorded without outcome it will be `interrupted`: true enough. */
	if (r != 0 && r != -EALREADY)
		log_error("the outcome of %s is not kept: %s", id,
		    strerror(-r));
}

/* The call's argument: the entry may have moved, or gone, by then. */
struct told {
	struct agent *a;
	char id[JOURNAL_ID_SIZE];
};

static void
outcome_answered(void *arg, const struct cleat_client_answer *answer)
{
	struct told t = *(struct told *)arg;
	struct journal_entry *e = journal_find(t.a->journal, t.id);
	int r = 0;

	mem_free(arg);
	if (answer->error == 0 || (answer->error == -EREMOTEIO &&
	    answer->code == -32007)) {
		r = journal_final(t.a->journal, t.id);
	} else if (e != NULL) {
		e->sent = false;
		if (answer->error == -EREMOTEIO) {
			log_warning("outcome of %s: %d %s", t.id,
			    answer->code, answer->text);
			t.a->outcome_ms = clock_mono_ms() + AGENT_AGAIN_MS;
		}
	}
	if (r != 0)
		log_warning("commands.journal: %s", strerror(-r));
}

/* Whether it is not that memory is short. */
static bool
is_unreadable(const json_t *o, const json_error_t *e)
{
	const enum json_error_code code = json_error_code(e);

	return o == NULL && code != json_error_out_of_memory &&
	    code != json_error_unknown;
}

static int
send_outcome(struct agent *a, struct journal_entry *e)
{
	json_error_t error;
	json_t *o = json_loads(e->outcome, 0, &error);
	json_t *result = json_object_get(o, "result");
	char *text = result == NULL ? NULL : json_text(json_incref(result));
	struct told *t = mem_calloc(1, sizeof(*t));
	struct cleat_client_outcome out = {
		.command_id = e->id, .result_json = text,
		.outcome = json_string_value(json_object_get(o, "outcome")),
		.message = json_string_value(json_object_get(o, "message"))
	};
	int r = t == NULL || (result != NULL && text == NULL) ? -ENOMEM : 0;

	/* Kept by an agent that took more than it could say: told all the same,
	 * or it would never end. */
	if (is_unreadable(o, &error)) {
		out.outcome = "error";
		out.message = "what came of it cannot be read back";
	} else if (out.outcome == NULL) {
		r = -ENOMEM;
	}
	if (r == 0) {
		t->a = a;
		memcpy(t->id, e->id, sizeof(t->id));
		r = cleat_client_outcome(a->client, &out, outcome_answered, t);
	}
	if (r == -EMSGSIZE || r == -EINVAL) {
		out.result_json = NULL;
		out.message = r == -EINVAL ? "the result is nested too deep" :
		    "the result is too long";
		r = cleat_client_outcome(a->client, &out, outcome_answered, t);
	}
	if (r != 0)
		mem_free(t);
	else
		e->sent = true;
	mem_free(text);
	json_decref(o);
	return r;
}

static void
send_outcomes(struct agent *a, uint64_t now)
{
	struct journal_entry *e;
	int r;

	if (now < a->outcome_ms)
		return;
	a->outcome_ms = 0;
	if (cleat_client_get_state(a->client) != CLEAT_CLIENT_ONLINE)
		return;
	for (size_t i = 0; (e = journal_at(a->journal, i)) != NULL; i++) {
		if (e->state != JOURNAL_DONE || e->sent)
			continue;
		r = send_outcome(a, e);
		if (r == 0)
			continue;
		if (r == -ENOBUFS)	/* an answer, or room, comes first */
			return;
		a->outcome_ms = now + 1000;
		if (r == -ENOTCONN)
			return;
		/* Those behind it may do better. */
		log_warning("outcome of %s: %s", e->id, strerror(-r));
	}
}

void
agent_commands_online(struct agent *a)
{
	struct journal_entry *e;

	if (a->journal == NULL)
		return;
	a->outcome_ms = 0;
	for (size_t i = 0; (e = journal_at(a->journal, i)) != NULL; i++)
		e->sent = false;
}

/* ---- the one that runs ------------------------------------------------- */

static void
drop_command(struct agent *a, size_t i)
{
	a->waiting_bytes -= strlen(a->waiting[i].args);
	mem_free(a->waiting[i].args);
	memmove(&a->waiting[i], &a->waiting[i + 1],
	    (a->waiting_n - i - 1) * sizeof(a->waiting[0]));
	a->waiting_n--;
}

static const char *
path_of(const struct agent *a, const char *verb)
{
	for (size_t i = 0; i < a->opts->verbs_n; i++)
		if (strcmp(a->opts->verbs[i].name, verb) == 0)
			return a->opts->verbs[i].path;
	return NULL;
}

static bool
is_power(const char *verb)
{
	return strcmp(verb, "power-off") == 0 || strcmp(verb, "reboot") == 0;
}

static void
tell_progress(void *ctx, int percent, const char *text)
{
	struct agent *a = ctx;
	uint64_t now = clock_mono_ms();

	if (a->progress_ms != 0 && now < a->progress_ms + PROGRESS_MS)
		return;
	/* Lost when we are not connected: that is what progress is. */
	if (cleat_client_progress(a->client, a->waiting[0].id, percent,
	    text) == 0)
		a->progress_ms = now;
}

static int
run(struct agent *a, const struct command *c)
{
	const struct job_spec spec = {
		.path = path_of(a, c->verb), .input = c->args, .id = c->id,
		.verb = c->verb, .endpoint = a->opts->client.endpoint
	};
	int r = job_start(&a->job, &spec);

	a->progress_ms = 0;
	if (r != 0)
		log_warning("command id=%s: %s: %s", c->id, spec.path,
		    strerror(-r));
	return r;
}

/* The device reports before it goes; then there is nobody to report. */
static void
start_power(struct agent *a, const struct command *c)
{
	record_outcome(a, c->id, "ok", NULL, NULL);
	a->powering = true;
	a->power_ms = clock_mono_ms() + POWER_MS;
}

/* The device stays, whatever it has announced. */
static void
power_failed(struct agent *a, const char *why)
{
	const struct command *c = &a->waiting[0];

	log_error("command id=%s: %s failed: %s", c->id, c->verb, why);
	(void)cleat_client_state(a->client, "on", NULL, NULL);
}

static void
go_on_power(struct agent *a, uint64_t now)
{
	const struct journal_entry *e = journal_find(a->journal,
	    a->waiting[0].id);

	if (e != NULL && e->state == JOURNAL_DONE && now < a->power_ms)
		return;
	a->powering = false;
	(void)cleat_client_state(a->client, strcmp(a->waiting[0].verb,
	    "reboot") == 0 ? "rebooting" : "shutting-down", NULL, NULL);
	if (run(a, &a->waiting[0]) != 0) {
		power_failed(a, "the executable cannot be started");
		drop_command(a, 0);
		start_next(a);
	}
}

static void
built_in(struct agent *a, const struct command *c)
{
	json_t *args = json_loads(c->args, 0, NULL), *list;
	char text[4096] = "";
	size_t at = 0;
	int r;

	if (strcmp(c->verb, "wake") == 0) {
		r = agent_wake(json_string_value(json_object_get(args, "mac")),
		    json_string_value(json_object_get(args, "address")));
	} else {
		list = json_object_get(args, "servers");
		for (size_t i = 0; i < json_array_size(list); i++) {
			const char *url = json_string_value(
			    json_array_get(list, i));

			if (at < sizeof(text))
				at += (size_t)snprintf(text + at,
				    sizeof(text) - at, "%s ",
				    url == NULL ? "?" : url);
		}
		r = at == 0 || at >= sizeof(text) ? -EINVAL :
		    cleat_client_set_servers(a->client, text);
	}
	json_decref(args);
	record_outcome(a, c->id, r == 0 ? "ok" : "error", NULL,
	    r == 0 ? NULL : strerror(-r));
}

static void
start_next(struct agent *a)
{
	while (a->waiting_n > 0 && a->job.pid == 0 && !a->powering) {
		const struct command *c = &a->waiting[0];

		if (clock_mono_ms() >= c->deadline_ms) {
			record_outcome(a, c->id, "cancelled", NULL,
			    "the deadline has passed");
		} else if (path_of(a, c->verb) == NULL) {
			built_in(a, c);
		} else if (is_power(c->verb)) {
			start_power(a, c);
			return;
		} else if (run(a, c) == 0) {
			return;
		} else {
			record_outcome(a, c->id, "error", NULL,
			    "the executable cannot be started");
		}
		drop_command(a, 0);
	}
}

/* What it wrote: JSON that the server can take as it is, else {"text":...}.
 * NULL: nothing, or no memory. */
static json_t *
result_of(struct job *j)
{
	json_t *o;

	if (j->text_n == 0)
		return NULL;
	o = j->cut ? NULL : json_loadb(j->text, j->text_n, JSON_DECODE_ANY |
	    JSON_REJECT_DUPLICATES, NULL);
	if (o != NULL && json_depth(j->text) <= AGENT_DEPTH_MAX)
		return o;
	json_decref(o);
	o = json_stringn(j->text, text_clean(j->text, j->text_n));
	return j->cut ? json_pack("{s:o, s:b}", "text", o, "truncated", 1) :
	    json_pack("{s:o}", "text", o);
}

static void
ended(struct agent *a)
{
	const struct command *c = &a->waiting[0];
	int status = a->job.status;
	char message[64];
	json_t *result;

	job_read(&a->job, tell_progress, a);
	result = result_of(&a->job);
	if (WIFEXITED(status))
		(void)snprintf(message, sizeof(message), "exit status %d",
		    WEXITSTATUS(status));
	else
		(void)snprintf(message, sizeof(message), "ended by signal %d",
		    WTERMSIG(status));
	if (is_power(c->verb)) {
		json_decref(result);	/* it was told before */
		if (status != 0)
			power_failed(a, message);
	} else if (status == 0)
		record_outcome(a, c->id, "ok", result, NULL);
	else if (c->cancelled)
		record_outcome(a, c->id, "cancelled", result, NULL);
	else if (clock_mono_ms() >= c->deadline_ms)
		record_outcome(a, c->id, "error", result,
		    "it did not end before the deadline");
	else
		record_outcome(a, c->id, "error", result, message);
	job_fini(&a->job);
	drop_command(a, 0);
	start_next(a);
}

void
agent_commands_tick(struct agent *a, uint64_t now)
{
	if (a->journal == NULL)
		return;
	if (a->powering)
		go_on_power(a, now);
	if (a->job.pid > 0) {
		job_read(&a->job, tell_progress, a);
		if (now >= a->waiting[0].deadline_ms)
			job_terminate(&a->job, now);
		job_tick(&a->job, now);
		if (job_reap(&a->job))
			ended(a);
	}
	send_outcomes(a, now);
}

uint64_t
agent_commands_due(const struct agent *a)
{
	uint64_t at = a->outcome_ms != 0 ? a->outcome_ms : UINT64_MAX;

	if (a->powering && a->power_ms < at)
		at = a->power_ms;
	if (a->job.pid > 0 && a->job.kill_ms == 0 &&
	    a->waiting[0].deadline_ms < at)
		at = a->waiting[0].deadline_ms;
	if (a->job.pid > 0 && a->job.kill_ms != 0 && a->job.kill_ms < at)
		at = a->job.kill_ms;
	return at;
}

/* ---- what the server asks ---------------------------------------------- */

static bool
known(const struct agent *a, const char *verb)
{
	return path_of(a, verb) != NULL ||
	    (strcmp(verb, "wake") == 0 && a->opts->wake) ||
	    strcmp(verb, "set-server") == 0;
}

static int
make_room(struct agent *a, const char *args)
{
	size_t cap = a->waiting_cap == 0 ? 16 : a->waiting_cap * 2;
	struct command *more;

	if (a->waiting_n == AGENT_WAITING_MAX ||
	    strlen(args) > AGENT_WAITING_BYTES - a->waiting_bytes)
		return -EAGAIN;
	if (a->waiting_n < a->waiting_cap)
		return 0;
	more = mem_realloc(a->waiting, cap * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	a->waiting = more;
	a->waiting_cap = cap;
	return 0;
}

static int
take_command(struct agent *a, const json_t *params)
{
	const char *id = json_string_value(json_object_get(params,
	    "command_id"));
	const char *verb = json_string_value(json_object_get(params, "verb"));
	json_t *args = json_object_get(params, "args");
	const json_t *limit = json_object_get(params, "deadline_ms");
	json_int_t left = json_integer_value(limit);
	struct journal_entry *e;
	struct command *c;
	char *text;
	int r;

	if (id == NULL || verb == NULL || strlen(verb) >= sizeof(c->verb) ||
	    !json_is_integer(limit))
		return -EINVAL;
	e = journal_find(a->journal, id);
	if (e != NULL) {		/* again: tell the outcome again */
		e->sent = false;
		return 0;
	}
	if (!known(a, verb))
		return -ENOSYS;
	text = args == NULL ? mem_strdup("{}") :
	    json_text(json_incref(args));
	r = text == NULL ? -ENOMEM : make_room(a, text);
	if (r == 0)
		r = journal_record(a->journal, id);
	if (r != 0) {
		log_error("command id=%s is not taken: %s", id, strerror(-r));
		mem_free(text);
		return r == -EBUSY ? -EAGAIN : r;
	}
	log_notice("command id=%s verb=%s", id, verb);
	c = &a->waiting[a->waiting_n++];
	a->waiting_bytes += strlen(text);
	/* With nothing left it is over: start_next() says so. */
	*c = (struct command){ .args = text, .deadline_ms = clock_mono_ms() +
	    (left > 0 ? (uint64_t)left : 0) };
	memcpy(c->id, id, strlen(id) + 1);
	memcpy(c->verb, verb, strlen(verb) + 1);
	start_next(a);
	return 0;
}

static int
take_cancel(struct agent *a, const json_t *params)
{
	const char *id = json_string_value(json_object_get(params,
	    "command_id"));

	if (id == NULL)
		return -EINVAL;
	if (journal_find(a->journal, id) == NULL)
		return -ENOENT;
	for (size_t i = 0; i < a->waiting_n; i++) {
		struct command *c = &a->waiting[i];

		if (strcmp(c->id, id) != 0)
			continue;
		log_notice("command id=%s is cancelled", id);
		c->cancelled = true;
		if (i == 0 && a->job.pid > 0) {
			job_terminate(&a->job, clock_mono_ms());
		} else if (!(i == 0 && a->powering)) {
			record_outcome(a, id, "cancelled", NULL, NULL);
			drop_command(a, i);
		}
		break;
	}
	return 0;
}

int
agent_request(struct agent *a, const char *method, const char *text)
{
	json_t *params;
	int r = -ENOSYS;

	/* Without a place to record commands there are none. */
	if (a->journal == NULL)
		return strcmp(method, "cancel") == 0 ? -ENOENT : -ENOSYS;
	params = json_loads(text, 0, NULL);
	if (params == NULL)
		return -EINVAL;
	if (strcmp(method, "command") == 0)
		r = take_command(a, params);
	else if (strcmp(method, "cancel") == 0)
		r = take_cancel(a, params);
	json_decref(params);
	return r;
}
