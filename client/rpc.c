/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC 2.0 as doc/protocol.md wants it of a device. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json_check.h"
#include "base/mem.h"
#include "json_text.h"
#include "tls/digest.h"

static int
send_message(struct cleat_client *c, json_t *message)
{
	char *text = json_text(message);
	int r;

	if (text == NULL)
		return -ENOMEM;
	/* What is too deep the server could not even answer. */
	r = json_depth(text) > CLIENT_DEPTH_MAX ? -EINVAL :
	    c->up_ms != 0 && strlen(text) > c->max_message ? -EMSGSIZE :
	    client_frame(c, WS_OP_TEXT, text, strlen(text));
	mem_free_wiped(text, strlen(text));
	return r;
}

int
client_request(struct cleat_client *c, const char *method, json_t *params,
    int64_t *ret_id)
{
	json_t *call = json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0",
	    "method", method, "params", params);
	int64_t id = c->call_id + 1;
	int r;

	if (call == NULL)
		return -ENOMEM;
	if (ret_id != NULL && json_object_set_new(call, "id",
	    json_integer(id)) < 0) {
		json_decref(call);
		return -ENOMEM;
	}
	r = send_message(c, call);
	if (r == 0 && ret_id != NULL)
		*ret_id = c->call_id = id;
	return r;
}

static void
answered(struct cleat_client *c, const json_t *message)
{
	int64_t id = json_integer_value(json_object_get(message, "id"));

	if (c->phase == CLIENT_HELLO && id == c->hello_id && id != 0)
		client_hello_answered(c, message);
	else if (c->phase == CLIENT_UP || c->phase == CLIENT_GOODBYE)
		client_call_answered(c, id, message);
}

/* Comes back at a random time within the window. */
static void
take_drain(struct cleat_client *c, const json_t *params)
{
	json_int_t window = json_integer_value(json_object_get(params,
	    "window_ms"));
	uint32_t random = 0;

	if (c->phase != CLIENT_UP)
		return;
	if (window < 0)
		window = 0;
	if (window > 86400000)
		window = 86400000;
	(void)digest_random(&random, sizeof(random));
	c->drain_ms = client_now_ms() + backoff_spread(0, (uint32_t)window,
	    random);
	client_take_servers(c, json_object_get(params, "servers"));
}

static void
notified(struct cleat_client *c, const char *method, json_t *params)
{
	char *text;

	if (strcmp(method, "drain") == 0)
		take_drain(c, params);
	if (c->opts.notification == NULL)
		return;
	text = json_text(json_incref(params));
	c->opts.notification(c->opts.ctx, method, text == NULL ? "{}" : text);
	mem_free(text);
}

static json_t *
make_answer(json_t *id, int result)
{
	static const struct {
		int result, code;
		const char *text;
	} errors[] = {
		{ -ENOSYS, -32601, "unknown method or verb" },
		{ -EINVAL, -32602, "a member is missing or wrong" },
		{ -EAGAIN, -32002, "not just now" },
		{ -ENOENT, -32007, "no such command" },
		{ 0, -32603, "internal error" }
	};
	size_t i = 0;

	if (result == 0)
		return json_pack("{s:s, s:O, s:{}}", "jsonrpc", "2.0", "id",
		    id, "result");
	while (errors[i].result != 0 && errors[i].result != result)
		i++;
	return json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id",
	    id, "error", "code", errors[i].code, "message", errors[i].text);
}

static int
asked(struct cleat_client *c, json_t *id, const char *method, json_t *params)
{
	char *text;
	/* Who obeys no command has none to cancel. */
	int r = strcmp(method, "cancel") == 0 ? -ENOENT : -ENOSYS;

	if (c->opts.request != NULL && c->phase == CLIENT_UP) {
		if (params == NULL) {
			r = c->opts.request(c->opts.ctx, method, "{}");
		} else {
			text = json_text(json_incref(params));
			r = text == NULL ? -ENOMEM : c->opts.request(
			    c->opts.ctx, method, text);
			mem_free(text);
		}
	}
	return send_message(c, make_answer(id, r));
}

int
client_message(struct cleat_client *c, const char *p, size_t n)
{
	json_t *call = json_loadb(p, n, JSON_REJECT_DUPLICATES, NULL);
	json_t *id = json_object_get(call, "id");
	json_t *params = json_object_get(call, "params");
	const char *method = json_string_value(json_object_get(call,
	    "method"));
	int r = 0;

	if (!json_is_object(call)) {
		(void)snprintf(c->why, sizeof(c->why),
		    "the server sent something that is not JSON-RPC");
		r = -EPROTO;
	} else if (method == NULL) {
		answered(c, call);
	} else if (id == NULL && strcmp(method, "challenge") == 0) {
		if (c->phase == CLIENT_HELLO && c->hello_id == 0)
			r = c->challenged(c, params);
	} else if (id == NULL) {
		notified(c, method, params);
	} else {
		r = asked(c, id, method, params);
	}
	json_decref(call);
	return r;
}
