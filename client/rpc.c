/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC 2.0 as doc/protocol.md wants it of a device. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* To be freed with mem_free(); NULL: no memory.  Takes `o` over.  json_dumps() of
 * jansson 2.14 drops a key when memory is short while its text grows; here the
 * room is there before. */
static char *
text_of(json_t *o)
{
	const size_t how = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t n = o == NULL ? 0 : json_dumpb(o, NULL, 0, how);
	char *text = n == 0 ? NULL : mem_alloc(n + 1);

	if (text != NULL && json_dumpb(o, text, n, how) == n) {
		text[n] = '\0';
	} else {
		mem_free(text);
		text = NULL;
	}
	json_decref(o);
	return text;
}

/* Takes `params` over. */
int
client_request(struct cleat_client *c, const char *method, json_t *params,
    bool answer)
{
	json_t *call = json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0",
	    "method", method, "params", params);
	char *text;
	int r = -ENOMEM;

	if (answer && json_object_set_new(call, "id",
	    json_integer(++c->call_id)) < 0) {
		json_decref(call);
		return -ENOMEM;
	}
	text = text_of(call);
	if (text != NULL) {
		r = client_frame(c, WS_OP_TEXT, text, strlen(text));
		mem_wipe(text, strlen(text));
	}
	mem_free(text);
	return r;
}

int
client_send_hello(struct cleat_client *c)
{
	const struct cleat_client_opts *o = &c->opts;
	json_t *auth = o->token == NULL ? json_pack("{s:s}", "method", "mtls") :
	    json_pack("{s:s, s:s}", "method", "token", "token", o->token);
	json_t *params = json_pack("{s:s, s:o, s:{s:s}}", "endpoint",
	    o->endpoint, "auth", auth, "agent", "name",
	    o->agent == NULL ? "libcleat-client" : o->agent);

	if (params == NULL)
		return -ENOMEM;
	if (o->boot_id != NULL)
		(void)json_object_set_new(params, "boot_id",
		    json_string(o->boot_id));
	return client_request(c, "hello", params, true);
}

static uint32_t
number(const json_t *o, const char *key, uint32_t otherwise)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v > 0 && v <= UINT32_MAX ? (uint32_t)v : otherwise;
}

static void
accepted(struct cleat_client *c, const json_t *result)
{
	const json_t *retry = json_object_get(result, "retry");
	const char *security = json_string_value(json_object_get(result,
	    "security"));
	char why[96];

	c->ping_ms = number(result, "ping_ms", 20000);
	c->dead_ms = number(result, "dead_ms", 35000);
	backoff_succeeded(&c->backoff, number(retry, "min_ms", 0),
	    number(retry, "max_ms", 0));
	(void)snprintf(why, sizeof(why), "channel %lld, security %.16s",
	    (long long)json_integer_value(json_object_get(result, "channel")),
	    security == NULL ? "?" : security);
	client_set_phase(c, CLIENT_UP, why);
}

static int
answered(struct cleat_client *c, const json_t *call)
{
	const json_t *error = json_object_get(call, "error");
	const json_t *result = json_object_get(call, "result");
	const char *text;

	if (c->phase != CLIENT_HELLO ||
	    json_integer_value(json_object_get(call, "id")) != c->call_id)
		return 0;
	if (json_is_object(result)) {
		accepted(c, result);
		return 0;
	}
	text = json_string_value(json_object_get(error, "message"));
	(void)snprintf(c->why, sizeof(c->why), "hello refused: %.200s",
	    text == NULL ? "no reason given" : text);
	return 0;			/* the server's close frame follows */
}

static void
notified(struct cleat_client *c, const char *method, json_t *params)
{
	char *text;

	if (c->opts.notification == NULL)
		return;
	text = text_of(json_incref(params));
	c->opts.notification(c->opts.ctx, method, text == NULL ? "{}" : text);
	mem_free(text);
}

int
client_message(struct cleat_client *c, const char *p, size_t n)
{
	json_t *call = json_loadb(p, n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *id = json_object_get(call, "id");
	const char *method = json_string_value(json_object_get(call,
	    "method"));
	int r = 0;

	if (!json_is_object(call)) {
		(void)snprintf(c->why, sizeof(c->why),
		    "the server sent something that is not JSON-RPC");
		r = -EPROTO;
	} else if (method == NULL) {
		r = answered(c, call);
	} else if (id == NULL && strcmp(method, "challenge") == 0) {
		if (c->phase == CLIENT_HELLO && c->call_id == 0)
			r = client_send_hello(c);
	} else if (id == NULL) {
		notified(c, method, json_object_get(call, "params"));
	} else {			/* we serve no method yet */
		char *text;
		json_t *answer = json_pack("{s:s, s:O, s:{s:i, s:s}}",
		    "jsonrpc", "2.0", "id", id, "error", "code", -32601,
		    "message", "unknown method");

		text = text_of(answer);
		r = text == NULL ? -ENOMEM : client_frame(c, WS_OP_TEXT, text,
		    strlen(text));
		mem_free(text);
	}
	json_decref(call);
	return r;
}
