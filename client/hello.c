/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are, and what the server makes of it (doc/protocol.md, "hello"). */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/mem.h"
#include "json_text.h"
#include "tls/client.h"

#define AUTH_FAILED_CODE (-32001)
#define PENDING_CODE (-32006)

/* ---- what we say -------------------------------------------------------- */

/* public_key, signature and binding into `auth`. */
static int
sign(struct cleat_client *c, const json_t *challenge, json_t *auth)
{
	const char *text = json_string_value(json_object_get(challenge,
	    "nonce"));
	uint8_t nonce[32], exporter[32];
	char signature[129];
	bool bound;
	int r;

	if (text == NULL || hex_read(text, nonce, sizeof(nonce)) != 0) {
		(void)snprintf(c->why, sizeof(c->why),
		    "the server's challenge has no nonce");
		return -EPROTO;
	}
	bound = c->link.tls != NULL &&
	    tls_client_exporter(c->link.tls, exporter) == 0;
	r = client_key_hello(c->key, nonce, bound ? exporter : NULL,
	    c->opts.endpoint, signature);
	mem_wipe(exporter, sizeof(exporter));
	if (r == 0 && (json_object_set_new(auth, "public_key",
	    json_string(client_key_public(c->key))) != 0 ||
	    json_object_set_new(auth, "signature",
	    json_string(signature)) != 0 ||
	    json_object_set_new(auth, "binding",
	    json_string(bound ? "tls-exporter" : "none")) != 0))
		r = -ENOMEM;
	return r;
}

static int
make_auth(struct cleat_client *c, const json_t *challenge, json_t **ret)
{
	const struct cleat_client_opts *o = &c->opts;
	json_t *auth;
	int r = 0;

	if (c->key != NULL)
		auth = json_pack("{s:s, s:s*}", "method", c->enrolled ? "key" :
		    "enrol", "token", c->enrolled ? NULL : o->enrol_token);
	else if (o->token != NULL)
		auth = json_pack("{s:s, s:s}", "method", "token", "token",
		    o->token);
	else
		auth = json_pack("{s:s}", "method", "mtls");
	if (auth == NULL)
		return -ENOMEM;
	if (c->key != NULL)
		r = sign(c, challenge, auth);
	if (r != 0)
		json_decref(auth);
	else
		*ret = auth;
	return r;
}

/* "name version" */
static json_t *
make_agent(const char *agent)
{
	const char *name = agent == NULL ? "libcleat-client" : agent;
	size_t n = strcspn(name, " ");

	if (name[n] == '\0')
		return json_pack("{s:s}", "name", name);
	return json_pack("{s:s%, s:s}", "name", name, n, "version",
	    name + n + 1);
}

int
client_send_hello(struct cleat_client *c, const json_t *challenge)
{
	const struct cleat_client_opts *o = &c->opts;
	json_t *auth, *params;
	int r = make_auth(c, challenge, &auth);

	if (r != 0)
		return r;
	params = json_pack("{s:s, s:o, s:o, s:s*}", "endpoint", o->endpoint,
	    "auth", auth, "agent", make_agent(o->agent), "boot_id",
	    o->boot_id);
	return params == NULL ? -ENOMEM : client_request(c, "hello", params,
	    &c->hello_id);
}

/* ---- what we hear ------------------------------------------------------- */

static uint32_t
number(const json_t *o, const char *key, uint32_t otherwise)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v > 0 && v <= UINT32_MAX ? (uint32_t)v : otherwise;
}

/* Array of URLs to servers_name()'s text; NULL: no such array, or no memory. */
static char *
server_list(const json_t *list)
{
	size_t n = 1, at = 0;
	char *text;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *url = json_string_value(json_array_get(list, i));

		if (url == NULL || strpbrk(url, ", \t\r\n") != NULL)
			return NULL;
		n += strlen(url) + 1;
	}
	text = json_is_array(list) ? mem_alloc(n) : NULL;
	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *url = json_string_value(json_array_get(list, i));

		memcpy(text + at, url, strlen(url));
		at += strlen(url);
		text[at++] = ' ';
	}
	text[at] = '\0';
	return text;
}

void
client_take_servers(struct cleat_client *c, const json_t *list)
{
	char *text;
	int r;

	if (json_array_size(list) == 0)
		return;
	text = server_list(list);
	r = text == NULL ? -EINVAL : servers_name(&c->servers, text,
	    c->opts.servers_file);
	if (r != 0)
		client_log(c, CLEAT_CLIENT_WARNING, "the servers that the "
		    "server names are %s: %s", r == -EINVAL ? "refused" :
		    "not kept", strerror(-r));
	mem_free(text);
}

/* From now on it is `key`; when it cannot be kept,
 * asking again does no harm. */
static void
remember_enrolment(struct cleat_client *c)
{
	char path[4096];
	int r;

	c->enrolled = true;
	(void)snprintf(path, sizeof(path), "%s.enrolled",
	    c->opts.identity_file);
	r = file_write_atomic(path, c->opts.endpoint,
	    strlen(c->opts.endpoint), 0600);
	if (r != 0)
		client_log(c, CLEAT_CLIENT_WARNING, "%s: %s", path,
		    strerror(-r));
	client_log(c, CLEAT_CLIENT_NOTICE, "enrolled as %s",
	    c->opts.endpoint);
}

static void
accepted(struct cleat_client *c, json_t *result)
{
	const json_t *retry = json_object_get(result, "retry");
	const char *security = json_string_value(json_object_get(result,
	    "security"));
	char why[96], *text;

	c->ping_ms = number(result, "ping_ms", 20000);
	c->dead_ms = number(result, "dead_ms", 35000);
	c->max_message = number(result, "max_message", CLIENT_MESSAGE_MAX);
	c->up_ms = client_now_ms();
	c->heard_ms = c->up_ms;
	backoff_hint(&c->backoff, number(retry, "min_ms", 0),
	    number(retry, "max_ms", 0));
	if (c->key != NULL && !c->enrolled)
		remember_enrolment(c);
	client_take_servers(c, json_object_get(result, "servers"));
	(void)snprintf(why, sizeof(why), "channel %lld, security %.16s",
	    (long long)json_integer_value(json_object_get(result, "channel")),
	    security == NULL ? "?" : security);
	c->phase = CLIENT_HELLO;
	if (c->opts.hello != NULL) {
		text = json_text(json_incref(result));
		if (text != NULL)
			c->opts.hello(c->opts.ctx, text);
		mem_free(text);
	}
	client_set_phase(c, CLIENT_UP, why);
}

/* A server that has forgotten us says no more than it does to a stranger.  To
 * enrol does no harm: a key that it knows after all is let in,
 * one that was revoked is not.  The wait that goes with a refusal is kept. */
static void
enrol_again(struct cleat_client *c)
{
	c->enrolled = false;
	client_log(c, CLEAT_CLIENT_WARNING, "the server does not take the key "
	    "of %s any more, we will ask to enrol it", c->opts.endpoint);
}

static void
refused(struct cleat_client *c, const json_t *error)
{
	const char *text = json_string_value(json_object_get(error,
	    "message"));
	const char *key = json_string_value(json_object_get(
	    json_object_get(error, "data"), "fingerprint"));
	json_int_t code = json_integer_value(json_object_get(error, "code"));

	if (code == PENDING_CODE) {
		c->pending = true;
		(void)snprintf(c->why, sizeof(c->why), "an operator has to "
		    "approve this device; its key is %.128s",
		    key == NULL ? "?" : key);
		if (c->opts.approval != NULL)
			c->opts.approval(c->opts.ctx, key == NULL ? "" : key);
		return;
	}
	if (code == AUTH_FAILED_CODE && c->opts.enrol && c->enrolled)
		enrol_again(c);
	/* Who is refused is not told why; its operator can look it up. */
	(void)snprintf(c->why, sizeof(c->why), "hello refused: %.200s%s",
	    text == NULL ? "no reason given" : text,
	    code == AUTH_FAILED_CODE ? " (the server's log says why)" : "");
}

/* The server's close frame follows a refusal. */
void
client_hello_answered(struct cleat_client *c, const json_t *answer)
{
	json_t *result = json_object_get(answer, "result");

	if (json_is_object(result))
		accepted(c, result);
	else
		refused(c, json_object_get(answer, "error"));
}
