/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a channel is: challenge, hello and verdict.  The protocol learns it at the
 * end of the turn, or when takeover.c has decided between two channels.
 */
#include "channel_priv.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "channel/auth.h"
#include "channel/telemetry.h"
#include "tls/digest.h"

#define AGENT_MAX 128
#define BOOT_ID_MAX 128

int
channel_challenge(struct channel *c, uint8_t ret[32])
{
	int r;

	if (c->pre == NULL)
		return -EPERM;
	if (!c->pre->challenged) {
		r = digest_random(c->pre->challenge, 32);
		if (r != 0)
			return r;
		c->pre->challenged = true;
	}
	memcpy(ret, c->pre->challenge, 32);
	return 0;
}

/* What a certificate proves; wss-safe needs the extended master secret, without
 * which there is no exporter (doc/security.md). */
static int
judge_certificate(struct channel *c, const char *claimed)
{
	char identity[sizeof(c->cert->cn)] = "";

	if (c->cert == NULL)
		return -EACCES;
	if (c->owner->limits.identity_is_fingerprint)
		digest_hex(c->cert->sha256, 32, identity);
	else
		memcpy(identity, c->cert->cn, sizeof(identity));
	if (strcmp(identity, claimed) != 0)
		return -EACCES;
	c->pre->security = c->has_exporter ? SECURITY_WSS_SAFE : SECURITY_WSS;
	return 0;
}

/* A token crosses the wire: only under TLS, or where there is no wire to
 * listen on (doc/security.md). */
static int
judge_token(struct channel *c, const struct channel_hello *h)
{
	if (h->token == NULL || c->owner->auth == NULL)
		return -EACCES;
	if (c->security < SECURITY_WSS && !c->pre->trusted)
		return -EACCES;
	if (!auth_token_ok(c->owner->auth, h->endpoint, h->token))
		return -EACCES;
	c->pre->security = channel_security(c);
	return 0;
}

static char *
dup_cut(const char *s, size_t max)
{
	size_t n = strnlen(s, max);
	char *copy = mem_dup(s, n + 1);

	if (copy != NULL)
		copy[n] = '\0';
	return copy;
}

int
channel_authenticate(struct channel *c, const struct channel_hello *h)
{
	struct channel_pre *pre = c->pre;

	if (c->ended)
		return -EPIPE;
	if (pre == NULL || pre->asked)
		return -EALREADY;
	if (!endpoint_id_valid(h->endpoint))
		return -EINVAL;
	pre->endpoint = mem_strdup(h->endpoint);
	pre->agent = dup_cut(h->agent, AGENT_MAX);
	pre->boot_id = dup_cut(h->boot_id, BOOT_ID_MAX);
	if (pre->endpoint == NULL || pre->agent == NULL ||
	    pre->boot_id == NULL) {
		mem_free(pre->endpoint);
		mem_free(pre->agent);
		mem_free(pre->boot_id);
		pre->endpoint = pre->agent = pre->boot_id = NULL;
		return -ENOMEM;
	}
	pre->asked = true;
	pre->verdict = h->method == AUTH_CERTIFICATE ?
	    judge_certificate(c, h->endpoint) : judge_token(c, h);
	channel_todo_add(c, TODO_AUTHENTICATED);
	return 0;
}

static void
tell_refused(struct channel *c)
{
	struct event ev = {
		.type = EVENT_AUTH_FAILED,
		.endpoint = c->pre->endpoint,
		.security = channel_security(c),
		.peer = c->pre->peer,
		.text = "credentials were refused"
	};

	COUNT(c->owner, auth_failed, 1);
	log_info("authentication refused endpoint=%s peer=%s",
	    c->pre->endpoint, c->pre->peer);
	event_emit(c->owner->shared.bus, &ev);
}

static uint64_t
last_telemetry(const struct channel *c)
{
	struct telemetry_facts facts = { 0 };

	if (c->owner->shared.telemetry != NULL)
		(void)telemetry_facts(c->owner->shared.telemetry,
		    channel_endpoint(c), &facts);
	return facts.seq;
}

static void
answer(struct channel *c, int error, uint64_t number)
{
	struct channel_auth_result result = {
		.error = error,
		.endpoint = error == 0 ? endpoint_id(c->endpoint) :
		    c->pre->endpoint,
		.channel_number = number,
		.epoch = c->owner->shared.epoch,
		.security = c->pre->security
	};

	if (error == 0) {
		COUNT(c->owner, authenticated, 1);
		c->security = (uint8_t)c->pre->security;
		channel_pre_free(c);
		result.telemetry_seq = last_telemetry(c);
		channel_todo_add(c, TODO_COMMANDS);
	}
	c->protocol->authenticated(c, &result);
}

/* End of the turn in which the hello came. */
void
channel_answer_hello(struct channel *c)
{
	if (c->pre->verdict == 0) {
		takeover_begin(c);
		return;
	}
	tell_refused(c);
	answer(c, c->pre->verdict, 0);
}

void
channel_admitted(struct channel *c, int error, uint64_t number)
{
	if (error != 0 && error != -EBUSY) {
		log_warning("a device is sent away endpoint=%s peer=%s "
		    "error=%s", c->pre->endpoint, c->pre->peer,
		    strerror(-error));
		error = -EAGAIN;
	}
	answer(c, error, number);
}

/* ---- what a known device announces ---------------------------------------- */

static int
intend(struct channel *c, enum presence_intent intent)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	endpoint_input(c->owner->shared.endpoints, c->endpoint, c->id,
	    PRESENCE_IN_INTENT, intent);
	return 0;
}

int
channel_announce(struct channel *c, enum channel_power power)
{
	switch (power) {
	case POWER_ON:
		return intend(c, INTENT_NONE);
	case POWER_SHUTTING_DOWN:
		return intend(c, INTENT_SHUTTING_DOWN);
	case POWER_REBOOTING:
		return intend(c, INTENT_REBOOTING);
	case POWER_SUSPENDING:
		return intend(c, INTENT_SUSPENDING);
	}
	return -EINVAL;
}

int
channel_announce_sleep(struct channel *c, int64_t until_wall_ms)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	endpoint_sleep(c->owner->shared.endpoints, c->endpoint, c->id,
	    until_wall_ms);
	return 0;
}

int
channel_announce_bye(struct channel *c)
{
	return intend(c, INTENT_BYE);
}

int
channel_publish(struct channel *c, const char *detail, size_t n)
{
	if (c->endpoint == NULL || c->ended)
		return -EPERM;
	loop_defer(c->owner->loop, &c->owner->defer);
	return endpoint_publish(c->owner->shared.endpoints, c->endpoint, c->id,
	    detail, n);
}
