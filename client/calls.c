/* SPDX-License-Identifier: Apache-2.0 */
/* The device's calls, and whom their answers go to. */
#include "client_priv.h"

#include <errno.h>

#include "base/mem.h"
#include "json_text.h"

static struct client_call *
find(struct cleat_client *c, int64_t id)
{
	for (size_t i = 0; i < CLEAT_CLIENT_CALLS_MAX; i++)
		if (c->calls[i].id == id)
			return &c->calls[i];
	return NULL;
}

static void
finish(struct client_call *call, const struct cleat_client_answer *answer)
{
	struct client_call was = *call;

	call->id = 0;			/* a callback may call again */
	if (was.done != NULL)
		was.done(was.arg, answer);
}

void
client_call_answered(struct cleat_client *c, int64_t id, const json_t *message)
{
	struct client_call *call = id == 0 ? NULL : find(c, id);
	json_t *error = json_object_get(message, "error"), *body;
	const char *words = json_string_value(json_object_get(error,
	    "message"));
	struct cleat_client_answer a = {
		.error = error == NULL ? 0 : -EREMOTEIO,
		.code = (int)json_integer_value(json_object_get(error, "code")),
		.text = words == NULL ? "" : words, .json = ""
	};
	char *text = NULL;

	if (call == NULL)
		return;
	body = error == NULL ? json_object_get(message, "result") :
	    json_object_get(error, "data");
	if (body != NULL)
		text = json_text(json_incref(body));
	if (text != NULL)
		a.json = text;
	finish(call, &a);
	mem_free(text);
}

void
client_calls_lost(struct cleat_client *c)
{
	const struct cleat_client_answer a = {
		.error = -ENOTCONN, .text = "the channel ended", .json = ""
	};

	for (size_t i = 0; i < CLEAT_CLIENT_CALLS_MAX; i++)
		if (c->calls[i].id != 0)
			finish(&c->calls[i], &a);
}

/* Takes `params` over. */
static int
call_with(struct cleat_client *c, const char *method, json_t *params,
    const struct client_call *call)
{
	struct client_call *place = find(c, 0);
	int64_t id;
	int r = 0;

	if (params == NULL)
		return -ENOMEM;
	if (c->phase != CLIENT_UP)
		r = -ENOTCONN;
	else if (place == NULL)
		r = -ENOBUFS;
	if (r != 0) {
		json_decref(params);
		return r;
	}
	r = client_request(c, method, params, &id);
	if (r == 0) {
		*place = *call;
		place->id = id;
	}
	return r;
}

/* NULL: not JSON of this kind. */
static json_t *
parse(const char *text, int kind)
{
	json_t *o = text == NULL ? NULL : json_loads(text,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);

	if (o != NULL && kind >= 0 && (int)json_typeof(o) != kind) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

int
cleat_client_call(struct cleat_client *c, const char *method,
    const char *params_json,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg)
{
	json_t *params = parse(params_json, JSON_OBJECT);

	if (params == NULL)
		return -EINVAL;
	return call_with(c, method, params,
	    &(struct client_call){ 0, done, arg });
}

static int
notify(struct cleat_client *c, const char *method, json_t *params)
{
	if (params == NULL)
		return -ENOMEM;
	if (c->phase != CLIENT_UP) {
		json_decref(params);
		return -ENOTCONN;
	}
	return client_request(c, method, params, NULL);
}

int
cleat_client_notify(struct cleat_client *c, const char *method,
    const char *params_json)
{
	json_t *params = parse(params_json, JSON_OBJECT);

	return params == NULL ? -EINVAL : notify(c, method, params);
}

int
cleat_client_telemetry(struct cleat_client *c, uint64_t seq,
    const char *data_json,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg)
{
	json_t *data = parse(data_json, JSON_ARRAY);

	if (data == NULL || seq == 0 || seq > INT64_MAX) {
		json_decref(data);
		return -EINVAL;
	}
	return call_with(c, "telemetry", json_pack("{s:I, s:o}", "seq",
	    (json_int_t)seq, "data", data),
	    &(struct client_call){ 0, done, arg });
}

int
cleat_client_inventory(struct cleat_client *c, const char *patch_json,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg)
{
	json_t *patch = parse(patch_json, JSON_OBJECT);

	if (patch == NULL)
		return -EINVAL;
	return call_with(c, "inventory", json_pack("{s:o}", "patch", patch),
	    &(struct client_call){ 0, done, arg });
}

int
cleat_client_progress(struct cleat_client *c, const char *command_id,
    int percent, const char *text)
{
	if (percent < 0)
		return notify(c, "progress", json_pack("{s:s, s:s*}",
		    "command_id", command_id, "text", text));
	return notify(c, "progress", json_pack("{s:s, s:i, s:s*}",
	    "command_id", command_id, "percent", percent > 100 ? 100 : percent,
	    "text", text));
}

int
cleat_client_outcome(struct cleat_client *c,
    const struct cleat_client_outcome *o,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg)
{
	json_t *result = parse(o->result_json, -1);

	if (o->result_json != NULL && result == NULL)
		return -EINVAL;
	return call_with(c, "outcome", json_pack("{s:s, s:s, s:o*, s:s*}",
	    "command_id", o->command_id, "outcome", o->outcome, "result",
	    result, "message", o->message),
	    &(struct client_call){ 0, done, arg });
}

int
cleat_client_state(struct cleat_client *c, const char *power,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg)
{
	return call_with(c, "state", json_pack("{s:s}", "power", power),
	    &(struct client_call){ 0, done, arg });
}

int
cleat_client_sleep(struct cleat_client *c, int64_t until_ms,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg)
{
	return call_with(c, "sleep", json_pack("{s:I}", "until",
	    (json_int_t)until_ms), &(struct client_call){ 0, done, arg });
}
