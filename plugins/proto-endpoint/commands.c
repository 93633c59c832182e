/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: the server's requests command and cancel with their answers, the
 * device's outcome and progress, the notification drain.  doc/protocol.md.
 *
 * The id of a request of ours says what it was about, "command ID" or "cancel
 * ID", so that an answer is understood on whatever worker it arrives, and
 * nothing has to be kept for it.  A device that makes one up is judged by the
 * daemon, which knows whose command it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

#define COMMAND "command "
#define CANCEL "cancel "
#define ID_MAX 64

static const char *const outcomes[] = {
	[CLEAT_OUTCOME_OK] = "ok", [CLEAT_OUTCOME_ERROR] = "error",
	[CLEAT_OUTCOME_EXPIRED] = "expired",
	[CLEAT_OUTCOME_CANCELLED] = "cancelled",
	[CLEAT_OUTCOME_INTERRUPTED] = "interrupted"
};
#define OUTCOMES (sizeof(outcomes) / sizeof(outcomes[0]))

const char *
outcome_name(uint64_t outcome)
{
	return outcome > 0 && outcome < OUTCOMES ? outcomes[outcome] : "error";
}

/* ---- what the server asks ---------------------------------------------- */

static json_t *
request_id(const char *what, const char *id)
{
	char text[sizeof(COMMAND) + ID_MAX];

	(void)snprintf(text, sizeof(text), "%s%s", what, id);
	return json_string(text);
}

int
commands_send(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_command *cmd)
{
	struct inst *in = inst;
	int64_t left = cmd->deadline_wall_ms - in->host->wall_ms(in->self);
	struct cleat_msg m = { .size = sizeof(m), .is_text = 1 };
	json_t *args;
	char *text;
	int err;

	/* A device takes it until its deadline, which has to be ahead. */
	if (session == NULL || left <= 0)
		return -EAGAIN;
	args = json_loads(cmd->args_json, 0, NULL);
	if (args == NULL)
		return -EINVAL;
	text = rpc_request(request_id(COMMAND, cmd->id), "command",
	    json_pack("{s:s, s:s, s:o, s:I, s:b}", "command_id", cmd->id,
	    "verb", cmd->verb, "args", args,
	    "deadline_ms", (json_int_t)left,
	    "again", cmd->again != 0));
	if (text == NULL)
		return -EAGAIN;
	m.p = text;
	m.n = strlen(text);
	err = in->host->chan_send(chan, &m);
	free(text);
	return err == -EPIPE ? -EAGAIN : err;
}

void
commands_cancel(void *inst, struct cleat_chan *chan, void *session,
    const char *id)
{
	if (session != NULL)
		call_send(inst, chan, rpc_request(request_id(CANCEL, id),
		    "cancel", json_pack("{s:s}", "command_id", id)));
}

/* Not answered by the device: it is heard of again when it has not arrived. */
static void
tell_outcome(struct call *c, const char *id, uint32_t outcome,
    const char *message)
{
	struct cleat_command_result r = { .size = sizeof(r), .id = id,
	    .outcome = outcome, .result_json = "", .message = message };
	uint64_t number = waiting_add(c, NULL, ANSWER_FINAL);

	if (number != 0 && c->inst->host->command_outcome(c->chan, number,
	    &r) < 0)
		waiting_forget(c->session, number);
}

/* The code, and a line for people. */
static json_int_t
read_error(const json_t *error, char *why, size_t cap)
{
	const json_t *code = json_object_get(error, "code");
	const char *message = json_string_value(json_object_get(error,
	    "message"));

	(void)snprintf(why, cap, "refused by the device: %.300s (%lld)",
	    message == NULL ? "" : message,
	    (long long)json_integer_value(code));
	return json_integer_value(code);
}

void
commands_answer(struct call *c)
{
	const char *id = json_string_value(c->rpc.id);
	const json_t *error = json_object_get(c->rpc.root, "error");
	char why[400];

	if (id == NULL || c->session->stage != UP)
		return;
	if (strncmp(id, COMMAND, strlen(COMMAND)) == 0) {
		id += strlen(COMMAND);
		if (error == NULL) {
			/* A later answer of the device says it again. */
			(void)c->inst->host->command_accepted(c->chan, id);
			return;
		}
		if (read_error(error, why, sizeof(why)) == E_TRY_LATER) {
			(void)c->inst->host->command_later(c->chan, id);
			return;
		}
		tell_outcome(c, id, CLEAT_OUTCOME_ERROR, why);
	} else if (strncmp(id, CANCEL, strlen(CANCEL)) == 0 && error != NULL) {
		if (read_error(error, why, sizeof(why)) == E_NO_COMMAND)
			tell_outcome(c, id + strlen(CANCEL),
			    CLEAT_OUTCOME_CANCELLED,
			    "the device never had it");
	}
}

/* ---- what the device says ---------------------------------------------- */

static const char *
command_id(const struct call *c)
{
	const char *id = json_string_value(json_object_get(c->rpc.params,
	    "command_id"));

	return id != NULL && id[0] != '\0' && strlen(id) <= ID_MAX ? id : NULL;
}

/* 0: none that a device may say. */
static uint32_t
outcome_of(const json_t *v)
{
	const char *s = json_string_value(v);

	for (uint32_t i = 1; s != NULL && i < OUTCOMES; i++)
		if (i != CLEAT_OUTCOME_EXPIRED && strcmp(s, outcomes[i]) == 0)
			return i;
	return 0;
}

void
outcome_call(struct call *c)
{
	const json_t *message = json_object_get(c->rpc.params, "message");
	json_t *result = json_object_get(c->rpc.params, "result");
	struct cleat_command_result r = { .size = sizeof(r),
	    .id = command_id(c), .outcome = outcome_of(json_object_get(
	    c->rpc.params, "outcome")), .result_json = "",
	    .message = message == NULL ? "" : json_string_value(message) };
	char *text = NULL;
	uint64_t number;

	if (r.id == NULL || r.outcome == 0 || r.message == NULL) {
		call_error(c, RPC_PARAMS, r.id == NULL ?
		    "command_id: a string is expected" : r.outcome == 0 ?
		    "outcome: ok, error, cancelled or interrupted is expected" :
		    "message: a string is expected");
		return;
	}
	if (result != NULL) {
		r.result_json = text = rpc_text(json_incref(result));
		if (text == NULL) {
			call_error(c, RPC_INTERNAL, "out of memory");
			return;
		}
	}
	number = waiting_add(c, c->rpc.id, ANSWER_FINAL);
	waiting_asked(c, number, number == 0 ? 0 :
	    c->inst->host->command_outcome(c->chan, number, &r));
	free(text);
}

void
progress_call(struct call *c)
{
	const json_t *percent = json_object_get(c->rpc.params, "percent");
	const json_t *text = json_object_get(c->rpc.params, "text");
	const char *id = command_id(c);
	double v = json_number_value(percent);

	if (id == NULL) {
		call_error(c, RPC_PARAMS, "command_id: a string is expected");
		return;
	}
	if (percent != NULL && (!json_is_number(percent) || v < 0 || v > 100)) {
		call_error(c, RPC_PARAMS, "percent: 0 to 100 is expected");
		return;
	}
	if ((text != NULL && !json_is_string(text)) ||
	    (text == NULL && percent == NULL)) {
		call_error(c, RPC_PARAMS, "percent or text is expected");
		return;
	}
	/* Of a command that has ended meanwhile it is of no interest. */
	(void)c->inst->host->command_progress(c->chan, id,
	    percent == NULL ? -1 : (int)v,
	    text == NULL ? "" : json_string_value(text));
	call_answer(c, json_object());
}

/* ---- drain ------------------------------------------------------------- */

/* A comma-separated list as an array. */
static json_t *
server_array(const char *s)
{
	json_t *list = json_array();
	size_t n;

	while (list != NULL && s[0] != '\0') {
		n = strcspn(s, ",");
		if (n > 0 && json_array_append_new(list,
		    json_stringn(s, n)) < 0) {
			json_decref(list);
			return NULL;
		}
		s += n + (s[n] == ',');
	}
	return list;
}

void
commands_drain(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_drain *d)
{
	if (session != NULL)
		call_send(inst, chan, rpc_notification("drain",
		    json_pack("{s:I, s:o, s:s}", "window_ms",
		    (json_int_t)d->window_ms, "servers",
		    server_array(d->servers), "why", d->why)));
}
