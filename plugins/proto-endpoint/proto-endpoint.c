/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleat's own device protocol: JSON-RPC 2.0 over WebSocket, subprotocol
 * cleat.v1.jsonrpc.  Translates messages into host calls; who a device is and
 * what its state means is the daemon's business.  doc/protocol.md is the
 * contract with devices.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

#define NAME "proto-endpoint"

#define CLOSE_UNSUPPORTED 1003
#define CHALLENGE_N 32
#define TYPE_MAX 64
#define SLEEP_MAX_MS (INT64_C(366) * 86400 * 1000)

static const struct cleat_opt opts[] = {
	{ "servers", CLEAT_OPT_LIST, 0, NULL, 0, 0,
	    "servers that devices may use, in order: wss://HOST[:PORT]" },
	{ .name = NULL }
};

/* ---- sending ------------------------------------------------------------- */

void
call_send(struct inst *in, struct cleat_chan *chan, char *text)
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
	explicit_bzero(text, m.n);	/* it may hold a token that was made */
	free(text);
	if (err == -EAGAIN)
		in->host->chan_close(chan, CLOSE_RATE,
		    "answers are not being read");
	else if (err < 0 && err != -EPIPE)
		in->host->chan_close(chan, CLOSE_INTERNAL, "cannot answer");
}

void
call_answer(struct call *c, json_t *result)
{
	session_good(c->session);
	if (c->rpc.id == NULL)
		json_decref(result);
	else
		call_send(c->inst, c->chan, rpc_result(c->rpc.id, result));
}

void
call_error(struct call *c, int code, const char *why)
{
	struct session *s;

	if (c->rpc.id != NULL || c->rpc.method == NULL)
		call_send(c->inst, c->chan, rpc_error(c->rpc.id, code, why));
	if (code == E_TRY_LATER)	/* is not its fault */
		return;
	s = session_own(c);
	if (s == NULL)
		c->inst->host->chan_close(c->chan, CLOSE_INTERNAL,
		    "out of memory");
	else if (++s->errors >= ERRORS_MAX)
		c->inst->host->chan_close(c->chan, CLOSE_PROTOCOL,
		    "too many bad messages");
}

void
call_code(struct call *c, int err)
{
	if (err >= 0)
		call_answer(c, json_object());
	else if (err == -EMSGSIZE)
		call_error(c, RPC_PARAMS, "too long");
	else if (err == -EINVAL)
		call_error(c, RPC_PARAMS, "a value is not allowed");
	else if (err == -EPERM)
		call_error(c, E_HELLO_FIRST, "hello comes first");
	else if (err == -ENOENT)
		call_error(c, E_NO_COMMAND, "no such command");
	else if (err == -EAGAIN || err == -ENOMEM)
		call_error(c, E_TRY_LATER, "not just now");
	else
		call_error(c, RPC_INTERNAL, "internal error");
}

/* ---- the other methods --------------------------------------------------- */

void
call_bye(struct inst *in, struct cleat_chan *chan)
{
	in->host->chan_close(chan, 1000, "bye");
}

/* What a device announced is answered when it is durable; a daemon that is too
 * old to tell has it in memory. */
static void
announced(struct call *c, int err, enum answer what)
{
	const struct cleat_host *host = c->inst->host;
	uint64_t number;
	bool waited_for = c->rpc.id != NULL || what == ANSWER_BYE;

	if (err >= 0 && waited_for && CLEAT_HOST_HAS(host, presence_settle)) {
		number = waiting_add(c, c->rpc.id, what);
		err = number == 0 ? -EAGAIN :
		    host->presence_settle(c->chan, number);
		if (err >= 0) {
			session_good(c->session);
			return;
		}
		waiting_forget(c->session, number);
	}
	call_code(c, err);
	if (what == ANSWER_BYE)
		call_bye(c->inst, c->chan);
}

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
			announced(c, c->inst->host->presence_power(c->chan,
			    powers[i].power), ANSWER_DONE);
			return;
		}
	}
	call_error(c, RPC_PARAMS, "power: on, shutting-down, rebooting or "
	    "suspending is expected");
}

static void
on_sleep(struct call *c)
{
	const json_t *until = json_object_get(c->rpc.params, "until");
	int64_t now = c->inst->host->wall_ms(c->inst->self);
	int64_t ms = json_integer_value(until);

	if (!json_is_integer(until) || ms <= now || ms > now + SLEEP_MAX_MS) {
		call_error(c, RPC_PARAMS, "until: milliseconds since 1970, "
		    "within a year from now, are expected");
		return;
	}
	announced(c, c->inst->host->presence_sleep(c->chan, ms), ANSWER_DONE);
}

static void
on_bye(struct call *c)
{
	const json_t *reason = json_object_get(c->rpc.params, "reason");

	if (reason != NULL && !json_is_string(reason)) {
		call_error(c, RPC_PARAMS, "reason: a string is expected");
		return;
	}
	announced(c, c->inst->host->presence_bye(c->chan), ANSWER_BYE);
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
	json_t *data = json_object_get(c->rpc.params, "data");
	const json_t *type = json_object_get(c->rpc.params, "type");
	char *text;
	int err;

	if (type != NULL && (!json_is_string(type) ||
	    !type_ok(json_string_value(type)))) {
		call_error(c, RPC_PARAMS, "type: at most 64 of a-z A-Z 0-9 "
		    ". _ - are expected");
		return;
	}
	if (!json_is_object(data)) {
		call_error(c, RPC_PARAMS, "data: an object is expected");
		return;
	}
	text = rpc_text(json_pack("{s:s, s:O}", "type", type == NULL ? "event" :
	    json_string_value(type), "data", data));
	err = text == NULL ? -ENOMEM : c->inst->host->message_publish(c->chan,
	    text, strlen(text));
	free(text);
	call_code(c, err);
}

static const struct method {
	const char *name;
	void (*fn)(struct call *);
} methods[] = {
	{ "hello", hello_call },
	{ "state", on_state },
	{ "sleep", on_sleep },
	{ "bye", on_bye },
	{ "event", on_event },
	{ "telemetry", telemetry_call },
	{ "inventory", inventory_call },
	{ "outcome", outcome_call },
	{ "progress", progress_call },
};

/* ---- ops ----------------------------------------------------------------- */

static void
dispatch(struct call *c)
{
	const struct method *m = NULL;

	if (c->rpc.method == NULL) {
		commands_answer(c);
		return;
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(c->rpc.method, methods[i].name) == 0)
			m = &methods[i];
	}
	if (m == NULL) {
		call_error(c, RPC_NO_METHOD, "unknown method");
		return;
	}
	if (c->rpc.params == NULL) {
		call_error(c, RPC_PARAMS, "params: an object is expected");
		return;
	}
	if (m->fn != hello_call && c->session->stage != UP) {
		call_error(c, E_HELLO_FIRST, "hello comes first");
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
		call_error(&c, code, why);
	} else {
		dispatch(&c);
	}
	rpc_fini(&c.rpc);
	session_settle(inst, chan, c.session);
}

static void
on_open(void *inst, struct cleat_chan *chan, const struct cleat_request *r)
{
	static const char hex[] = "0123456789abcdef";
	struct inst *in = inst;
	unsigned char nonce[CHALLENGE_N];
	char text[2 * CHALLENGE_N + 1];

	(void)r;
	if (session_new(in, chan) < 0) {
		in->host->chan_close(chan, CLOSE_TRY_LATER, "out of memory");
		return;
	}
	if (in->host->auth_challenge(chan, nonce) < 0) {
		in->host->chan_close(chan, CLOSE_TRY_LATER, "no challenge");
		return;
	}
	for (size_t i = 0; i < CHALLENGE_N; i++) {
		text[2 * i] = hex[nonce[i] >> 4];
		text[2 * i + 1] = hex[nonce[i] & 15];
	}
	text[2 * CHALLENGE_N] = '\0';
	call_send(in, chan, rpc_notification("challenge",
	    json_pack("{s:s}", "nonce", text)));
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
	.authenticated = hello_answer,
	.closed = on_closed,
	.session_export = session_export,
	.session_import = session_import,
	.session_forget = session_forget,
	.completed = waiting_completed,
	.command = commands_send,
	.command_cancel = commands_cancel,
	.drain = commands_drain,
};

CLEAT_PLUGIN(CLEAT_PROTOCOL, NAME, "1.0", opts, &life, &ops);
