/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method hello: who the device says it is goes to the daemon, its verdict
 * comes back.  doc/protocol.md.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call.h"

struct key {
	unsigned char public_key[32], signature[64];
};

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

static bool
hex(const char *text, unsigned char *to, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const char *hi, *lo;

	if (text == NULL || strlen(text) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		hi = strchr(digits, text[2 * i]);
		lo = strchr(digits, text[2 * i + 1]);
		if (hi == NULL || lo == NULL)
			return false;
		to[i] = (unsigned char)((hi - digits) << 4 | (lo - digits));
	}
	return true;
}

/* The key and the signature by it (doc/protocol.md, "A key"). */
static const char *
take_key(const json_t *auth, struct cleat_hello *h, struct key *key)
{
	const char *binding;
	bool ok = true;

	if (!hex(text_of(auth, "public_key", &ok), key->public_key, 32))
		return "auth.public_key: 64 hexadecimal digits are expected";
	if (!hex(text_of(auth, "signature", &ok), key->signature, 64))
		return "auth.signature: 128 hexadecimal digits are expected";
	binding = text_of(auth, "binding", &ok);
	if (binding == NULL || (strcmp(binding, "none") != 0 &&
	    strcmp(binding, "tls-exporter") != 0))
		return "auth.binding: tls-exporter or none is expected";
	h->public_key = (struct cleat_bytes){ key->public_key, 32 };
	h->signature = (struct cleat_bytes){ key->signature, 64 };
	h->bound = binding[0] == 't';
	return NULL;
}

static const char *
take_enrolment(const json_t *auth, struct cleat_hello *h, struct key *key)
{
	bool ok = true;

	h->method = CLEAT_AUTH_ENROL;
	h->token = text_of(auth, "token", &ok);
	if (!ok)
		return "auth.token: a string is expected";
	return json_object_get(auth, "public_key") == NULL ? NULL :
	    take_key(auth, h, key);
}

/* Fills what proves who it is; NULL or what is wrong. */
static const char *
take_auth(const json_t *params, struct cleat_hello *h, struct key *key)
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
	if (strcmp(method, "key") == 0) {
		h->method = CLEAT_AUTH_KEY;
		return take_key(auth, h, key);
	}
	if (strcmp(method, "enrol") == 0)
		return take_enrolment(auth, h, key);
	if (strcmp(method, "token") != 0)
		return "auth.method: mtls, key, token or enrol is expected";
	h->method = CLEAT_AUTH_TOKEN;
	h->token = text_of(auth, "token", &ok);
	return h->token == NULL ? "auth.token: a string is expected" : NULL;
}

static const char *
take_hello(const json_t *params, struct cleat_hello *h, char *agent,
    size_t agent_cap, struct key *key)
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
	return take_auth(params, h, key);
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
	struct key key;
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
	why = take_hello(c->rpc.params, &h, agent, sizeof(agent), &key);
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
enrolled(const struct cleat_auth_result *r)
{
	if (r->enrolled_token[0] == '\0')
		return NULL;
	return json_pack("{s:s}", "token", r->enrolled_token);
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
	    "s:o, s:s, s:s, s:I, s:o*}",
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
	    "telemetry_seq", (json_int_t)r->telemetry_seq,
	    "enrolled", enrolled(r));
}

/* How each refusal is said. */
static const struct refusal {
	int error, code;
	uint16_t close;
	const char *why;
} refusals[] = {
	{ -EAGAIN, E_TRY_LATER, CLOSE_TRY_LATER, "try later" },
	{ -EINPROGRESS, E_PENDING, CLOSE_TRY_LATER,
	  "an operator has to approve" },
	{ -EBUSY, E_BUSY, CLOSE_SUPERSEDED,
	  "another device is connected with this id" },
	{ -EDQUOT, E_TOO_MANY, CLOSE_RATE, "too many attempts" },
	{ 0, E_AUTH_FAILED, CLOSE_AUTH_FAILED, "authentication failed" }
};

static void
refuse(struct inst *in, struct cleat_chan *chan, json_t *id,
    const struct cleat_auth_result *r)
{
	const struct refusal *f = refusals;

	while (f->error != 0 && f->error != r->error)
		f++;
	call_send(in, chan, r->fingerprint[0] == '\0' ||
	    f->code != E_PENDING ? rpc_error(id, f->code, f->why) :
	    rpc_error_data(id, f->code, f->why, json_pack("{s:s}",
	    "fingerprint", r->fingerprint)));
	in->host->chan_close(chan, f->close, f->why);
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
	} else {
		refuse(in, chan, id, r);
	}
	json_decref(id);
	session_settle(in, chan, s);
}
