/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleat's own device protocol: JSON-RPC 2.0 over WebSocket, subprotocol
 * cleat.v1.jsonrpc.  Translates messages into host calls; who a device is and
 * what its state means is the daemon's business.  doc/protocol.md is the
 * contract with devices.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cleat/host.h>

#include "rpc.h"

#define NAME "proto-endpoint"

/* Codes of our own, and the close that follows. */
#define E_AUTH_FAILED (-32001)		/* 4001 */
#define E_TRY_LATER (-32002)		/* 1013 */
#define E_HELLO_FIRST (-32003)		/* 4006 */
#define E_HELLO_TWICE (-32004)
#define E_ID_NOT_ALLOWED (-32005)	/* 4004 */

#define CLOSE_UNSUPPORTED 1003
#define CLOSE_INTERNAL 1011
#define CLOSE_TRY_LATER 1013
#define CLOSE_AUTH_FAILED 4001
#define CLOSE_ID_NOT_ALLOWED 4004
#define CLOSE_PROTOCOL 4006
#define CLOSE_RATE 4008

#define ERRORS_MAX 64			/* bad messages, one after the other */
#define CHALLENGE_N 32
#define TYPE_MAX 64
#define SESSION_VERSION 1
#define SESSION_BYTES 3
#define SLEEP_MAX_MS (INT64_C(366) * 86400 * 1000)

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
};

enum stage { WAITS_FOR_HELLO, ASKED, UP };

struct session {
	enum stage stage;
	json_t *hello_id;		/* of the request that is being answered */
	unsigned errors;
};

/* One message while it is worked on. */
struct call {
	struct inst *inst;
	struct cleat_chan *chan;
	struct session *session;
	struct rpc rpc;
};

static const struct cleat_opt opts[] = {
	{ "servers", CLEAT_OPT_LIST, 0, NULL, 0, 0,
	    "servers that devices may use, in order: wss://HOST[:PORT]" },
	{ .name = NULL }
};

/* ---- sending ------------------------------------------------------------- */

/* Takes text over.  A device that does not read its answers is let go. */
static void
send_text(struct inst *in, struct cleat_chan *chan, char *text)
{
	struct cleat_msg m = { .size = sizeof(m), .is_text = 1 };
	int err;

	if (text == NULL) {
		in->host->chan_close(chan, CLOSE_INTERNAL, "out of memory");
		return;
	}
	m.p = text;
	m.n = strlen(text);
	err = in->host->chan_send(chan, &m);
	free(text);
	if (err == -EAGAIN)
		in->host->chan_close(chan, CLOSE_RATE,
		    "answers are not being read");
	else if (err < 0 && err != -EPIPE)
		in->host->chan_close(chan, CLOSE_INTERNAL, "cannot answer");
}

static void
answer(struct call *c, json_t *result)
{
	c->session->errors = 0;
	if (c->rpc.id == NULL)
		json_decref(result);
	else
		send_text(c->inst, c->chan, rpc_result(c->rpc.id, result));
}

static void
answer_error(struct call *c, int code, const char *why)
{
	if (c->rpc.id != NULL || c->rpc.method == NULL)
		send_text(c->inst, c->chan, rpc_error(c->rpc.id, code, why));
	if (++c->session->errors >= ERRORS_MAX)
		c->inst->host->chan_close(c->chan, CLOSE_PROTOCOL,
		    "too many bad messages");
}

/* What a host call returned, as an answer. */
static void
answer_code(struct call *c, int err)
{
	if (err >= 0)
		answer(c, json_object());
	else if (err == -EMSGSIZE)
		answer_error(c, RPC_PARAMS, "too long");
	else if (err == -EINVAL)
		answer_error(c, RPC_PARAMS, "a value is not allowed");
	else if (err == -EPERM)
		answer_error(c, E_HELLO_FIRST, "hello comes first");
	else
		answer_error(c, RPC_INTERNAL, "internal error");
}

/* ---- hello --------------------------------------------------------------- */

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

static void
on_hello(struct call *c)
{
	const struct cleat_host *host = c->inst->host;
	struct cleat_hello h = { .size = sizeof(h) };
	char agent[256];
	const char *why;
	int err;

	if (c->session->stage != WAITS_FOR_HELLO) {
		answer_error(c, E_HELLO_TWICE, "hello was said already");
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
		answer_error(c, RPC_PARAMS, why);
		return;
	}
	err = host->auth_hello(c->chan, &h);
	wipe_token(&h);
	if (err >= 0) {
		c->session->stage = ASKED;
		c->session->hello_id = json_incref(c->rpc.id);
	} else if (err == -EINVAL) {
		answer_error(c, E_ID_NOT_ALLOWED, "endpoint: not a valid id");
		host->chan_close(c->chan, CLOSE_ID_NOT_ALLOWED,
		    "not a valid id");
	} else {
		answer_error(c, RPC_INTERNAL, "internal error");
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
	    "s:o, s:s, s:s}",
	    "channel", (json_int_t)r->channel, "epoch", (json_int_t)r->epoch,
	    "ping_ms", (json_int_t)r->ping_ms,
	    "dead_ms", (json_int_t)r->dead_ms,
	    "max_message", (json_int_t)r->max_message,
	    "time", (json_int_t)in->host->wall_ms(in->self),
	    "retry", "min_ms", (json_int_t)r->retry_min_ms,
	    "max_ms", (json_int_t)r->retry_max_ms,
	    "servers", server_list(in), "endpoint", r->endpoint,
	    "security", r->security <= CLEAT_SECURITY_WSS_SAFE ?
	    security[r->security] : "none");
}

static void
on_authenticated(void *inst, struct cleat_chan *chan, void *session,
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
		send_text(in, chan, rpc_result(id, hello_result(in, r)));
	} else if (r->error == -EAGAIN) {
		send_text(in, chan, rpc_error(id, E_TRY_LATER, "try later"));
		in->host->chan_close(chan, CLOSE_TRY_LATER, "try later");
	} else {
		send_text(in, chan, rpc_error(id, E_AUTH_FAILED,
		    "authentication failed"));
		in->host->chan_close(chan, CLOSE_AUTH_FAILED,
		    "authentication failed");
	}
	json_decref(id);
}

/* ---- the other methods --------------------------------------------------- */

static void
on_state(struct call *c)
{
	static const struct {
		const char *name;
		enum cleat_power power;
	} powers[] = {
		{ "on", CLEAT_POWER_ON },
		{ "shutting-down", CLEAT_POWER_SHUTTING_DOWN },
		{ "rebooting", CLEAT_POWER_REBOOTING },
		{ "suspending", CLEAT_POWER_SUSPENDING }
	};
	const char *p = json_string_value(json_object_get(c->rpc.params,
	    "power"));

	for (size_t i = 0; p != NULL && i < sizeof(powers) /
	    sizeof(powers[0]); i++) {
		if (strcmp(p, powers[i].name) == 0) {
			answer_code(c, c->inst->host->presence_power(c->chan,
			    powers[i].power));
			return;
		}
	}
	answer_error(c, RPC_PARAMS, "power: on, shutting-down, rebooting or "
	    "suspending is expected");
}

static void
on_sleep(struct call *c)
{
	const json_t *until = json_object_get(c->rpc.params, "until");
	int64_t now = c->inst->host->wall_ms(c->inst->self);
	int64_t ms = json_integer_value(until);

	if (!json_is_integer(until) || ms <= now || ms > now + SLEEP_MAX_MS) {
		answer_error(c, RPC_PARAMS, "until: milliseconds since 1970, "
		    "within a year from now, are expected");
		return;
	}
	answer_code(c, c->inst->host->presence_sleep(c->chan, ms));
}

static void
on_bye(struct call *c)
{
	const json_t *reason = json_object_get(c->rpc.params, "reason");
	int err;

	if (reason != NULL && !json_is_string(reason)) {
		answer_error(c, RPC_PARAMS, "reason: a string is expected");
		return;
	}
	err = c->inst->host->presence_bye(c->chan);
	answer_code(c, err);
	if (err >= 0)
		c->inst->host->chan_close(c->chan, 1000, "bye");
}

static bool
type_ok(const char *t)
{
	size_t n = strlen(t);

	return n > 0 && n <= TYPE_MAX && strspn(t, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static void
on_event(struct call *c)
{
	json_t *data = json_object_get(c->rpc.params, "data"), *detail;
	const json_t *type = json_object_get(c->rpc.params, "type");
	char *text;
	int err;

	if (type != NULL && (!json_is_string(type) ||
	    !type_ok(json_string_value(type)))) {
		answer_error(c, RPC_PARAMS, "type: at most 64 of a-z A-Z 0-9 "
		    ". _ - are expected");
		return;
	}
	if (!json_is_object(data)) {
		answer_error(c, RPC_PARAMS, "data: an object is expected");
		return;
	}
	detail = json_pack("{s:s, s:O}", "type", type == NULL ? "event" :
	    json_string_value(type), "data", data);
	text = detail == NULL ? NULL : json_dumps(detail, JSON_COMPACT);
	json_decref(detail);
	err = text == NULL ? -ENOMEM : c->inst->host->message_publish(c->chan,
	    text, strlen(text));
	free(text);
	answer_code(c, err);
}

static const struct method {
	const char *name;
	void (*fn)(struct call *);
} methods[] = {
	{ "hello", on_hello },
	{ "state", on_state },
	{ "sleep", on_sleep },
	{ "bye", on_bye },
	{ "event", on_event },
};

/* ---- ops ----------------------------------------------------------------- */

static void
dispatch(struct call *c)
{
	const struct method *m = NULL;

	if (c->rpc.method == NULL)
		return;		/* an answer; we have asked nothing */
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(c->rpc.method, methods[i].name) == 0)
			m = &methods[i];
	}
	if (m == NULL) {
		answer_error(c, RPC_NO_METHOD, "unknown method");
		return;
	}
	if (c->rpc.params == NULL) {
		answer_error(c, RPC_PARAMS, "params: an object is expected");
		return;
	}
	if (m->fn != on_hello && c->session->stage != UP) {
		answer_error(c, E_HELLO_FIRST, "hello comes first");
		c->inst->host->chan_close(c->chan, CLOSE_PROTOCOL,
		    "hello comes first");
		return;
	}
	m->fn(c);
}

static void
on_message(void *inst, struct cleat_chan *chan, void *session,
    const struct cleat_msg *m)
{
	struct call c = { .inst = inst, .chan = chan, .session = session };
	const char *why = "";
	int code;

	if (session == NULL)
		return;		/* open() has closed it */
	if (!m->is_text) {
		c.inst->host->chan_close(chan, CLOSE_UNSUPPORTED,
		    "text is expected");
		return;
	}
	code = rpc_parse(&c.rpc, m->p, m->n, &why);
	if (code != 0) {
		c.rpc.method = NULL;	/* always answered */
		answer_error(&c, code, why);
	} else {
		dispatch(&c);
	}
	rpc_fini(&c.rpc);
}

static void
on_open(void *inst, struct cleat_chan *chan, const struct cleat_request *r)
{
	static const char hex[] = "0123456789abcdef";
	struct inst *in = inst;
	struct session *s = calloc(1, sizeof(*s));
	unsigned char nonce[CHALLENGE_N];
	char text[2 * CHALLENGE_N + 1];

	(void)r;
	if (s == NULL) {
		in->host->chan_close(chan, CLOSE_TRY_LATER, "out of memory");
		return;
	}
	in->host->chan_set_session(chan, s);
	if (in->host->auth_challenge(chan, nonce) < 0) {
		in->host->chan_close(chan, CLOSE_TRY_LATER, "no challenge");
		return;
	}
	for (size_t i = 0; i < CHALLENGE_N; i++) {
		text[2 * i] = hex[nonce[i] >> 4];
		text[2 * i + 1] = hex[nonce[i] & 15];
	}
	text[2 * CHALLENGE_N] = '\0';
	send_text(in, chan, rpc_notification("challenge",
	    json_pack("{s:s}", "nonce", text)));
}

/* A hello that is being answered stays on its worker until it is. */
static int
session_export(void *inst, struct cleat_chan *chan, void *session, void *to,
    size_t cap)
{
	const struct session *s = session;
	unsigned char *at = to;

	(void)inst;
	(void)chan;
	if (s == NULL || s->stage == ASKED)
		return -EBUSY;
	if (cap < SESSION_BYTES)
		return -ENOBUFS;
	at[0] = SESSION_VERSION;
	at[1] = s->stage == UP;
	at[2] = (unsigned char)s->errors;
	return SESSION_BYTES;
}

static int
session_import(void *inst, struct cleat_chan *chan, const void *p, size_t n)
{
	const unsigned char *at = p;
	struct inst *in = inst;
	struct session *s;

	if (n != SESSION_BYTES || at[0] != SESSION_VERSION || at[1] > 1 ||
	    at[2] >= ERRORS_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->stage = at[1] != 0 ? UP : WAITS_FOR_HELLO;
	s->errors = at[2];
	in->host->chan_set_session(chan, s);
	return 0;
}

static void
session_forget(void *inst, void *session)
{
	struct session *s = session;

	(void)inst;
	if (s == NULL)
		return;
	json_decref(s->hello_id);
	free(s);
}

static void
on_closed(void *inst, struct cleat_chan *chan, void *session, uint16_t code)
{
	(void)chan;
	(void)code;
	session_forget(inst, session);
}

/* ---- life ---------------------------------------------------------------- */

static int
life_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	*ret = in;
	return 0;
}

/* Options are read when they are used: nothing to build. */
static int
life_prepare(void *inst, const struct cleat_opts *o, void **ret_staged)
{
	(void)inst;
	(void)o;
	*ret_staged = NULL;
	return 0;
}

static void
life_staged(void *inst, void *staged)
{
	(void)inst;
	(void)staged;
}

static void
life_close(void *inst)
{
	free(inst);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = life_open,
	.prepare = life_prepare,
	.commit = life_staged,
	.discard = life_staged,
	.close = life_close,
};

static const char *const subprotocols[] = { "cleat.v1.jsonrpc", NULL };
static const char *const paths[] = { "/v1/channel", NULL };

static const struct cleat_protocol_ops ops = {
	.size = sizeof(ops),
	.subprotocols = subprotocols,
	.paths = paths,
	.open = on_open,
	.message = on_message,
	.authenticated = on_authenticated,
	.closed = on_closed,
	.session_export = session_export,
	.session_import = session_import,
	.session_forget = session_forget,
};

CLEAT_PLUGIN(CLEAT_PROTOCOL, NAME, "1.0", opts, &life, &ops);
