/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method hello: who the device says it is goes to the daemon, its verdict
 * comes back.  doc/protocol.md.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call.h"

/* NULL: not there (*ret_ok true) or not a string (false). */
static const char *
text_of(const json_t *o, const char *key, bool *ret_ok)
{
	const json_t *v = json_object_get(o, key);

	if (v != NULL && !json_is_string(v))
		*ret_ok = false;
	return json_string_value(v);
}

/* "name version", as far as they were given. */
static bool
agent_text(const json_t *params, char *to, size_t cap)
{
	const json_t *agent = json_object_get(params, "agent");
	const char *name, *version;
	bool ok = true;

	to[0] = '\0';
	if (agent == NULL)
		return true;
	if (!json_is_object(agent))
		return false;
	name = text_of(agent, "name", &ok);
	version = text_of(agent, "version", &ok);
	(void)snprintf(to, cap, "%s%s%s", name == NULL ? "" : name,
	    name != NULL && version != NULL ? " " : "",
	    version == NULL ? "" : version);
	return ok;
}

/* Fills method and token; NULL or what is wrong. */
static const char *
take_auth(const json_t *params, struct cleat_hello *h)
{
	const json_t *auth = json_object_get(params, "auth");
	const char *method;
	bool ok = true;

	if (!json_is_object(auth))
		return "auth: an object is expected";
	method = text_of(auth, "method", &ok);
	if (method == NULL)
		return "auth.method: a string is expected";
	if (strcmp(method, "mtls") == 0) {
		h->method = CLEAT_AUTH_CERTIFICATE;
		return NULL;
	}
	if (strcmp(method, "token") != 0)
		return "auth.method: mtls or token is expected";
	h->method = CLEAT_AUTH_TOKEN;
	h->token = text_of(auth, "token", &ok);
	return h->token == NULL ? "auth.token: a string is expected" : NULL;
}

static const char *
take_hello(const json_t *params, struct cleat_hello *h, char *agent,
    size_t agent_cap)
{
	bool ok = true;

	h->endpoint = text_of(params, "endpoint", &ok);
	if (h->endpoint == NULL)
		return "endpoint: a string is expected";
	h->boot_id = text_of(params, "boot_id", &ok);
	if (!ok)
		return "boot_id: a string is expected";
	if (h->boot_id == NULL)
		h->boot_id = "";
	if (!agent_text(params, agent, agent_cap))
		return "agent: an object with name and version is expected";
	h->agent = agent;
	return take_auth(params, h);
}

/* The answer is on its way or the channel ends: the token is needed no more. */
static void
wipe_token(const struct cleat_hello *h)
{
	if (h->token != NULL)
		explicit_bzero((char *)(uintptr_t)h->token, strlen(h->token));
}

void
hello_call(struct call *c)
{
	const struct cleat_host *host = c->inst->host;
	struct cleat_hello h = { .size = sizeof(h) };
	char agent[256];
	const char *why;
	int err;

	if (c->session->stage != WAITS_FOR_HELLO) {
		call_error(c, E_HELLO_TWICE, "hello was said already");
		return;
	}
	if (c->rpc.id == NULL) {
		host->chan_close(c->chan, CLOSE_PROTOCOL,
		    "hello must be a request");
		return;
	}
	why = take_hello(c->rpc.params, &h, agent, sizeof(agent));
	if (why != NULL) {
		wipe_token(&h);
		call_error(c, RPC_PARAMS, why);
		return;
	}
	err = host->auth_hello(c->chan, &h);
	wipe_token(&h);
	if (err >= 0) {
		c->session->stage = ASKED;
		c->session->hello_id = json_incref(c->rpc.id);
	} else if (err == -EINVAL) {
		call_error(c, E_ID_NOT_ALLOWED, "endpoint: not a valid id");
		host->chan_close(c->chan, CLOSE_ID_NOT_ALLOWED,
		    "not a valid id");
	} else {
		call_error(c, RPC_INTERNAL, "internal error");
		host->chan_close(c->chan, CLOSE_INTERNAL, "internal error");
	}
}

static json_t *
server_list(struct inst *in)
{
	json_t *list = json_array();
	const char *s;

	for (unsigned i = 0; list != NULL && (s = in->host->opt_item(in->self,
	    NULL, "servers", i)) != NULL; i++) {
		if (json_array_append_new(list, json_string(s)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *
hello_result(struct inst *in, const struct cleat_auth_result *r)
{
	static const char *const security[] = {
		[CLEAT_SECURITY_NONE] = "none", [CLEAT_SECURITY_WS] = "ws",
		[CLEAT_SECURITY_WSS] = "wss",
		[CLEAT_SECURITY_WSS_SAFE] = "wss-safe"
	};

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I}, "
	    "s:o, s:s, s:s, s:I}",
	    "channel", (json_int_t)r->channel, "epoch", (json_int_t)r->epoch,
	    "ping_ms", (json_int_t)r->ping_ms,
	    "dead_ms", (json_int_t)r->dead_ms,
	    "max_message", (json_int_t)r->max_message,
	    "time", (json_int_t)in->host->wall_ms(in->self),
	    "retry", "min_ms", (json_int_t)r->retry_min_ms,
	    "max_ms", (json_int_t)r->retry_max_ms,
	    "servers", server_list(in), "endpoint", r->endpoint,
	    "security", r->security <= CLEAT_SECURITY_WSS_SAFE ?
	    security[r->security] : "none",
	    "telemetry_seq", (json_int_t)r->telemetry_seq);
}

void
hello_answer(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_auth_result *r)
{
	struct inst *in = inst;
	struct session *s = session;
	json_t *id;

	if (s == NULL || s->stage != ASKED)
		return;
	id = s->hello_id;
	s->hello_id = NULL;
	if (r->error >= 0) {
		s->stage = UP;
		call_send(in, chan, rpc_result(id, hello_result(in, r)));
	} else if (r->error == -EAGAIN) {
		call_send(in, chan, rpc_error(id, E_TRY_LATER, "try later"));
		in->host->chan_close(chan, CLOSE_TRY_LATER, "try later");
	} else if (r->error == -EBUSY) {
		call_send(in, chan, rpc_error(id, E_BUSY,
		    "another device is connected with this id"));
		in->host->chan_close(chan, CLOSE_SUPERSEDED,
		    "another channel has the right of way");
	} else {
		call_send(in, chan, rpc_error(id, E_AUTH_FAILED,
		    "authentication failed"));
		in->host->chan_close(chan, CLOSE_AUTH_FAILED,
		    "authentication failed");
	}
	json_decref(id);
}
