/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a client: attempt, channel, wait, and again. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tls/client.h"
#include "tls/digest.h"

uint64_t
client_now_ms(void)
{
	return clock_mono_ms();
}

static enum cleat_client_state
state_of(enum client_phase phase)
{
	switch (phase) {
	case CLIENT_WAIT:
		return CLEAT_CLIENT_WAITING;
	case CLIENT_LINK:
	case CLIENT_UPGRADE:
	case CLIENT_HELLO:
		return CLEAT_CLIENT_CONNECTING;
	case CLIENT_UP:
	case CLIENT_GOODBYE:
		return CLEAT_CLIENT_ONLINE;
	case CLIENT_DONE:
		break;
	}
	return CLEAT_CLIENT_STOPPED;
}

void
client_set_phase(struct cleat_client *c, enum client_phase phase,
    const char *why)
{
	enum cleat_client_state was = state_of(c->phase), is = state_of(phase);

	c->phase = phase;
	if (was != is && c->opts.state != NULL)
		c->opts.state(c->opts.ctx, is, why);
}

/* ---- birth and death ------------------------------------------------------------ */

static int
copy_texts(struct cleat_client *c, const struct cleat_client_opts *o)
{
	const char *from[] = {
		o->server, o->endpoint, o->token, o->cert_file, o->key_file,
		o->ca_file, o->agent, o->boot_id
	};
	const char **to[] = {
		&c->opts.server, &c->opts.endpoint, &c->opts.token,
		&c->opts.cert_file, &c->opts.key_file, &c->opts.ca_file,
		&c->opts.agent, &c->opts.boot_id
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		*to[i] = from[i] == NULL ? NULL : mem_strdup(from[i]);
		if (from[i] != NULL && *to[i] == NULL)
			r = -ENOMEM;
	}
	return r;
}

static void
free_text(const char *text)
{
	if (text != NULL)
		mem_free_wiped((void *)(uintptr_t)text, strlen(text));
}

static int
read_pem(const char *path, char *why, uint8_t **ret, size_t *ret_n)
{
	int r = path == NULL ? 0 : file_read(path, CLIENT_PEM_MAX, ret, ret_n);

	if (r != 0)
		(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "%.300s: %s", path,
		    strerror(-r));
	return r;
}

static int
make_policy(struct cleat_client *c, char *why)
{
	uint8_t *ca = NULL, *chain = NULL, *key = NULL;
	struct tls_client_spec spec = { .any_name = c->opts.no_verify_host };
	int r = read_pem(c->opts.ca_file, why, &ca, &spec.ca_n);

	if (r == 0)
		r = read_pem(c->opts.cert_file, why, &chain, &spec.chain_n);
	if (r == 0)
		r = read_pem(c->opts.key_file, why, &key, &spec.key_n);
	spec.ca_pem = ca;
	spec.chain_pem = chain;
	spec.key_pem = key;
	if (r == 0)
		r = tls_client_policy_new(&spec, why, &c->policy);
	mem_free(ca);
	mem_free(chain);
	if (key != NULL)
		mem_free_wiped(key, spec.key_n);
	return r;
}

static int
check_opts(const struct cleat_client_opts *o, char *why)
{
	const char *missing = NULL;

	if (o->server == NULL)
		missing = "a server";
	else if (o->endpoint == NULL)
		missing = "an endpoint";
	else if (o->token == NULL && o->cert_file == NULL)
		missing = "a token or a certificate";
	else if ((o->cert_file == NULL) != (o->key_file == NULL))
		missing = "the certificate's key, or the key's certificate";
	if (missing == NULL)
		return 0;
	(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "%s is missing", missing);
	return -EINVAL;
}

int
cleat_client_new(const struct cleat_client_opts *o, char *why,
    struct cleat_client **ret)
{
	struct cleat_client *c;
	int r = check_opts(o, why);

	if (r != 0)
		return r;
	(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "out of memory");
	c = mem_calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->opts = *o;
	c->link.fd = -1;
	r = copy_texts(c, o);
	if (r == 0 && (r = url_parse(o->server, &c->url)) != 0)
		(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "%.300s is not "
		    "wss://HOST[:PORT][/PATH]", o->server);
	if (r == 0 && c->url.tls)
		r = make_policy(c, why);
	if (r != 0) {
		cleat_client_free(&c);
		return r;
	}
	backoff_init(&c->backoff, o->retry_min_ms, o->retry_max_ms);
	c->phase = CLIENT_WAIT;
	c->wake_ms = client_now_ms();
	*ret = c;
	return 0;
}

static void
reset_channel(struct cleat_client *c)
{
	link_close(&c->link);
	buf_free(&c->out);
	mem_free(c->head);
	mem_free(c->message);
	c->head = NULL;
	c->message = NULL;
	c->head_n = c->message_n = c->control_n = 0;
	c->parser = (struct ws_parser){ 0 };
	c->call_id = 0;
	c->pinged = false;
}

void
cleat_client_free(struct cleat_client **pc)
{
	struct cleat_client *c = *pc;

	if (c == NULL)
		return;
	reset_channel(c);
	tls_client_policy_free(&c->policy);
	free_text(c->opts.server);
	free_text(c->opts.endpoint);
	free_text(c->opts.token);
	free_text(c->opts.cert_file);
	free_text(c->opts.key_file);
	free_text(c->opts.ca_file);
	free_text(c->opts.agent);
	free_text(c->opts.boot_id);
	mem_free(c);
	*pc = NULL;
}

/* ---- attempts ----------------------------------------------------------------------- */

void
client_lost(struct cleat_client *c, const char *why)
{
	char text[sizeof(c->why) + 64];
	uint32_t random = 0, wait;

	(void)digest_random(&random, sizeof(random));
	wait = backoff_next(&c->backoff, c->close_code, random);
	(void)snprintf(text, sizeof(text), "%.400s; next attempt in %u.%u s",
	    c->why[0] != '\0' ? c->why : why, wait / 1000,
	    wait % 1000 / 100);
	reset_channel(c);
	if (c->stopping) {
		client_set_phase(c, CLIENT_DONE, "stopped");
		return;
	}
	c->wake_ms = client_now_ms() + wait;
	/* Every failed attempt is told, also one that follows another. */
	if (c->phase == CLIENT_WAIT && c->opts.state != NULL)
		c->opts.state(c->opts.ctx, CLEAT_CLIENT_WAITING, text);
	client_set_phase(c, CLIENT_WAIT, text);
}

static void
begin(struct cleat_client *c)
{
	c->why[0] = '\0';
	c->close_code = 1006;
	c->deadline_ms = client_now_ms() + CLIENT_ATTEMPT_MS;
	client_set_phase(c, CLIENT_LINK, c->url.host);
	if (link_open(&c->link, &c->url, c->policy) != 0)
		client_lost(c, c->link.why);
}

static void
link_on(struct cleat_client *c)
{
	int r = link_step(&c->link);

	if (r == -EAGAIN)
		return;
	if (r == 0)
		r = client_start_upgrade(c);
	if (r != 0) {
		client_lost(c, c->link.why[0] != '\0' ? c->link.why :
		    strerror(-r));
		return;
	}
	c->heard_ms = client_now_ms();
	c->phase = CLIENT_UPGRADE;
}

/* ---- the channel ---------------------------------------------------------------------- */

static int
read_all(struct cleat_client *c)
{
	uint8_t area[16384];
	ssize_t n;
	int r = 0;

	if (c->phase == CLIENT_UPGRADE)
		r = client_take_answer(c);
	while (r == 0) {
		n = link_read(&c->link, area, sizeof(area));
		r = n < 0 ? (int)n : client_feed(c, area, (size_t)n);
	}
	return r == -EAGAIN ? 0 : r;
}

static int
keep_alive(struct cleat_client *c)
{
	uint64_t idle = client_now_ms() - c->heard_ms;

	if (c->phase != CLIENT_UP)
		return 0;
	if (idle >= c->dead_ms)
		return -ETIMEDOUT;
	if (idle < c->ping_ms || c->pinged)
		return 0;
	c->pinged = true;
	return client_frame(c, WS_OP_PING, "cleat", 5);
}

static void
channel_on(struct cleat_client *c)
{
	int r = read_all(c);
	int out;

	if (r == 0)
		r = keep_alive(c);
	out = client_flush(c);
	if (r == 0)
		r = out;
	if (r == -ETIMEDOUT)
		client_lost(c, "the server is silent");
	else if (r == -EPIPE)
		client_lost(c, "the server ended the connection");
	else if (r != 0)
		client_lost(c, c->link.why[0] != '\0' ? c->link.why :
		    strerror(-r));
}

static void
process(struct cleat_client *c)
{
	uint64_t now = client_now_ms();

	if (c->phase == CLIENT_WAIT && now >= c->wake_ms)
		begin(c);
	if (c->phase == CLIENT_LINK)
		link_on(c);
	if (c->phase >= CLIENT_UPGRADE && c->phase <= CLIENT_GOODBYE)
		channel_on(c);
	if (c->phase != CLIENT_WAIT && c->phase != CLIENT_DONE &&
	    c->phase != CLIENT_UP && now >= c->deadline_ms)
		client_lost(c, "the server did not answer in time");
}

void
cleat_client_process(struct cleat_client *c)
{
	c->inside = true;
	process(c);
	c->inside = false;
	if (c->stop_asked) {
		c->stop_asked = false;
		cleat_client_stop(c, c->stop_reason);
	}
}

int
cleat_client_fd(const struct cleat_client *c)
{
	return c->link.fd;
}

short
cleat_client_poll_events(const struct cleat_client *c)
{
	return link_poll_events(&c->link, buf_len(c->out) > 0);
}

int
cleat_client_timeout_ms(const struct cleat_client *c)
{
	uint64_t now = client_now_ms(), at;

	if (c->phase == CLIENT_DONE)
		return -1;
	if (c->phase == CLIENT_WAIT)
		at = c->wake_ms;
	else if (c->phase == CLIENT_UP)
		at = c->heard_ms + (c->pinged ? c->dead_ms : c->ping_ms);
	else
		at = c->deadline_ms;
	return at <= now ? 0 : at - now > 3600000 ? 3600000 : (int)(at - now);
}

enum cleat_client_state
cleat_client_get_state(const struct cleat_client *c)
{
	return state_of(c->phase);
}

int
cleat_client_notify(struct cleat_client *c, const char *method,
    const char *params_json)
{
	json_t *params;
	int r;

	if (c->phase != CLIENT_UP)
		return -ENOTCONN;
	params = json_loads(params_json, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(params)) {
		json_decref(params);
		return -EINVAL;
	}
	r = client_request(c, method, params, false);
	return r != 0 ? r : client_flush(c);
}

void
cleat_client_stop(struct cleat_client *c, const char *reason)
{
	static const uint8_t normal[2] = { 1000 >> 8, 1000 & 255 };
	json_t *params;

	/* What a callback was called from still reads the channel's input. */
	if (c->inside) {
		c->stop_asked = true;
		(void)snprintf(c->stop_reason, sizeof(c->stop_reason), "%s",
		    reason);
		return;
	}
	c->stopping = true;
	if (c->phase != CLIENT_UP) {
		reset_channel(c);
		client_set_phase(c, CLIENT_DONE, "stopped");
		return;
	}
	params = json_pack("{s:s}", "reason", reason);
	c->deadline_ms = client_now_ms() + CLIENT_GOODBYE_MS;
	if (params == NULL || client_request(c, "bye", params, false) != 0 ||
	    client_frame(c, WS_OP_CLOSE, normal, sizeof(normal)) != 0 ||
	    client_flush(c) != 0) {
		client_lost(c, "the goodbye could not be sent");
		return;
	}
	c->phase = CLIENT_GOODBYE;
}
