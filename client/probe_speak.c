/* SPDX-License-Identifier: Apache-2.0 */
/* What a probe says to the server, and hears: upgrade, challenge, hello. */
#include "probe_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/hex.h"

/* It may have been read together with what follows it. */
static void
say_upgraded(struct probe *p)
{
	if (!p->upgraded)
		probe_step(p, "upgrade", PROBE_OK, "a WebSocket for "
		    CLIENT_SUBPROTOCOL);
	p->upgraded = true;
}

int
probe_challenged(struct cleat_client *c, const json_t *challenge)
{
	struct probe *p = c->opts.ctx;
	const char *text = json_string_value(json_object_get(challenge,
	    "nonce"));
	uint8_t nonce[32];

	say_upgraded(p);
	if (text == NULL || hex_read(text, nonce, sizeof(nonce)) != 0) {
		(void)snprintf(c->why, sizeof(c->why),
		    "the server's challenge has no nonce");
		return -EPROTO;
	}
	p->challenged = true;
	probe_step(p, "challenge", PROBE_OK, "the server asks who we are");
	return p->may_hello ? client_send_hello(c, challenge) : 0;
}

static bool
is_challenged(const struct probe *p)
{
	return p->challenged;
}

static bool
is_upgraded(const struct probe *p)
{
	return p->c->phase >= CLIENT_HELLO;
}

static bool
is_online(const struct probe *p)
{
	return p->c->phase == CLIENT_UP;
}

static bool
never(const struct probe *p)
{
	(void)p;
	return false;
}

static int
talk_until(struct probe *p, bool (*done)(const struct probe *))
{
	int r = 0;

	while (r == 0 && !done(p)) {
		r = client_read(p->c);
		if (r == 0)
			r = client_flush(p->c);
		if (done(p))
			return 0;
		if (r == 0)
			r = probe_wait(p);
	}
	return r;
}

static void
fail_upgrade(struct probe *p, int r)
{
	char text[PROBE_WHY_SIZE];
	bool alert = r == -ECONNABORTED;

	(void)probe_reason(p, r, text);
	if (alert && p->second)
		probe_say(p, "upgrade", PROBE_SKIP, PROBE_UNSEEN, text);
	else if (alert)			/* TLS 1.3 judges us so late */
		probe_fail(p, PROBE_UNTRUSTED, "own-cert", "%s", text);
	else
		probe_fail(p, PROBE_OTHER, "upgrade", "%s", text);
}

static void
say_goodbye(struct probe *p)
{
	static const uint8_t normal[2] = { 1000 >> 8, 1000 & 255 };

	/* It has heard all that it was asked: nobody waits for its answer. */
	if (client_frame(p->c, WS_OP_CLOSE, normal, sizeof(normal)) == 0)
		(void)client_flush(p->c);
}

static void
say_hello(struct probe *p)
{
	char text[PROBE_WHY_SIZE];
	int r;

	if (!p->may_hello) {
		if (!p->spec->hello)
			probe_say(p, "hello", PROBE_SKIP, "not said: it would "
			    "end the channel that this device may have; "
			    "--hello says it");
		say_goodbye(p);
		return;
	}
	r = talk_until(p, is_online);
	if (r != 0) {
		probe_fail(p, PROBE_REFUSED, "hello", "%s",
		    probe_reason(p, r, text));
		return;
	}
	p->c->stopping = true;
	client_say_bye(p->c, "test");
	if (p->c->phase == CLIENT_GOODBYE)
		(void)talk_until(p, never);	/* ends with its close */
}

void
probe_speak(struct probe *p)
{
	char text[PROBE_WHY_SIZE];
	int r = client_start_upgrade(p->c);

	p->c->phase = CLIENT_UPGRADE;
	if (r == 0)
		r = talk_until(p, is_upgraded);
	if (!is_upgraded(p)) {
		fail_upgrade(p, r);
		return;
	}
	say_upgraded(p);
	if (!p->challenged)
		r = talk_until(p, is_challenged);
	if (!p->challenged) {
		probe_fail(p, PROBE_OTHER, "challenge", "%s", probe_reason(p, r,
		    text));
		return;
	}
	if (!p->second)
		say_hello(p);
	else
		say_goodbye(p);
}
