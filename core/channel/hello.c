/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a channel is: challenge, hello and verdict.  The protocol learns it at
 * the end of the turn, or when takeover.c has decided between two channels.
 */
#include "channel/channel_priv.h"

#include <errno.h>
#include <string.h>

#include "base/hex.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"
#include "tls/digest.h"
#include "tls/ed25519.h"
#include "endpoint/auth.h"
#include "endpoint/identity.h"
#include "channel/telemetry.h"

#define AGENT_MAX 128
#define BOOT_ID_MAX 128
#define HELLO_WAITS 1			/* no verdict yet: the store is asked */

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

/* An answer of endpoint/identity that takes a commit.  The channel may be gone
 * when it comes. */
struct hello_wait {
	struct identity_op op;
	struct channel_worker *worker;
	uint64_t channel;
};

/* On the worker's loop. */
static void
waited(struct identity_op *op)
{
	struct hello_wait *w = CT_CONTAINER(op, struct hello_wait, op);
	struct channel *c = channel_find(w->worker, w->channel);

	if (c != NULL && c->pre != NULL && c->pre->wait == w && !c->ended) {
		c->pre->wait = NULL;
		c->pre->verdict = op->error;
		c->pre->credential = op->number;
		memcpy(c->pre->enrolled, op->secret, sizeof(op->secret));
		channel_todo_add(c, TODO_AUTHENTICATED);
	}
	mem_free_wiped(w, sizeof(*w));
}

static struct hello_wait *
wait_new(struct channel *c)
{
	struct hello_wait *w = mem_calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->op.done = waited;
	w->op.home = &c->owner->worker->mailbox;
	w->worker = c->owner;
	w->channel = c->id;
	return w;
}

/* Takes w over.  HELLO_WAITS, or the verdict. */
static int
waits(struct channel *c, struct hello_wait *w, int r)
{
	if (r == 0) {
		c->pre->wait = w;
		return HELLO_WAITS;
	}
	mem_free(w);
	return r == -EALREADY ? 0 : r;
}

/* Who is to blame for failures: an IPv6 host has a whole /64 (RFC
 * 4291 2.5.4). */
static void
channel_address(const struct channel *c, char text[ADDR_TEXT_SIZE])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct addr a = c->admitted;

	if (memcmp(a.b, mapped, sizeof(mapped)) != 0)
		memset(a.b + 8, 0, 8);
	(void)addr_host_text(&a, text);
}

static int
check(struct channel *c, const char *endpoint, enum store_cred_kind kind,
    const uint8_t value[32])
{
	struct identity_proof p = { .kind = kind };

	memcpy(p.value, value, sizeof(p.value));
	return identity_check(c->owner->shared.identity, endpoint, &p,
	    &c->pre->credential);
}

/* What is refused without a look at what is known; the device is not told. */
static int
refuse(struct channel *c, const char *cause)
{
	c->pre->cause = cause;
	return -EACCES;
}

/* What a certificate proves; wss-safe needs the extended master secret, without
 * which there is no exporter (doc/security.md). */
static int
judge_certificate(struct channel *c, const char *claimed)
{
	char identity[sizeof(c->pre->cert_uri)] = "";
	struct hello_wait *w;
	int r;

	if (c->cert == NULL)
		return refuse(c, "it showed no certificate");
	if (c->owner->limits.cert_id == CERT_ID_FINGERPRINT)
		hex_write(c->cert->proof.sha256, 32, identity);
	else if (c->owner->limits.cert_id == CERT_ID_SAN_URI)
		memcpy(identity, c->pre->cert_uri, sizeof(identity));
	else
		memcpy(identity, c->cert->cn, sizeof(c->cert->cn));
	if (strcmp(identity, claimed) != 0)
		return refuse(c, "its certificate is for another id");
	c->pre->security = c->has_exporter ? SECURITY_WSS_SAFE : SECURITY_WSS;
	r = check(c, claimed, STORE_CRED_CERT, c->cert->proof.sha256);
	if (r != -ENOENT)
		return r;
	if ((w = wait_new(c)) == NULL)
		return -ENOMEM;
	return waits(c, w, identity_vouch(c->owner->shared.identity, claimed,
	    c->cert->proof.sha256, &w->op));
}

/* A token crosses the wire: only under TLS, or where there is no wire to
 * listen on (doc/security.md). */
static bool
may_show_token(const struct channel *c)
{
	return c->security >= SECURITY_WSS || c->pre->trusted;
}

#define TOKEN_NEEDS_TLS "a token is taken only under TLS"

static int
judge_token(struct channel *c, const struct channel_hello *h)
{
	uint8_t sha256[32];
	int r;

	if (h->token == NULL)
		return refuse(c, "it showed no token");
	if (!may_show_token(c))
		return refuse(c, TOKEN_NEEDS_TLS);
	r = auth_token_digest(h->token, sha256);
	c->pre->security = channel_security(c);
	if (r == 0)
		r = check(c, h->endpoint, STORE_CRED_TOKEN, sha256);
	mem_wipe(sha256, sizeof(sha256));
	return r;
}

/* Whether the device has the key.  Bound to this TLS connection it is wss-safe:
 * whoever sits in between has another exporter value (RFC 9266). */
static int
judge_signature(struct channel *c, const struct channel_hello *h)
{
	uint8_t text[ED25519_HELLO_MAX], sha256[32];
	size_t n;
	int r;

	if (h->public_key == NULL || h->signature == NULL ||
	    !c->pre->challenged)
		return refuse(c, "it showed no key, or signed nothing");
	if (h->bound && !c->has_exporter)
		return refuse(c, "it signed for a TLS connection (RFC 9266), "
		    "which the server does not see");
	n = ed25519_hello(c->pre->challenge, h->bound ? c->pre->exporter :
	    NULL, h->endpoint, text);
	r = ed25519_verify(h->public_key, text, n, h->signature);
	if (r == -EACCES)
		return refuse(c, "its signature is wrong, or for another "
		    "connection");
	if (r == 0)
		r = digest_sha256(h->public_key, ED25519_KEY, sha256);
	if (r != 0)
		return r;
	hex_write(sha256, 32, c->pre->fingerprint);
	c->pre->security = h->bound ? SECURITY_WSS_SAFE :
	    channel_security(c);
	return 0;
}

static int
judge_key(struct channel *c, const struct channel_hello *h)
{
	int r = judge_signature(c, h);

	return r != 0 ? r : check(c, h->endpoint, STORE_CRED_KEY,
	    h->public_key);
}

/* What the store or the mode refuses is an enrolment, and counted as one. */
static int
judge_enrolment(struct channel *c, const struct channel_hello *h,
    const char *address, bool *ret_counted)
{
	struct hello_wait *w;
	int r = 0;

	c->pre->security = channel_security(c);
	if (h->public_key != NULL)
		r = judge_signature(c, h);
	else if (!may_show_token(c))
		r = refuse(c, "without a key it would be given a token, which "
		    "is done only under TLS");
	if (r == 0 && h->token != NULL && !may_show_token(c))
		r = refuse(c, TOKEN_NEEDS_TLS);
	if (r != 0)
		return r;
	if ((w = wait_new(c)) == NULL)
		return -ENOMEM;
	*ret_counted = true;
	return waits(c, w, identity_enrol(c->owner->shared.identity,
	    h->endpoint, h->token, h->public_key, address, &w->op,
	    &c->pre->credential));
}

static int
judge(struct channel *c, const struct channel_hello *h, const char *address,
    bool *ret_counted)
{
	switch (h->method) {
	case AUTH_CERTIFICATE:
		return judge_certificate(c, h->endpoint);
	case AUTH_TOKEN:
		return judge_token(c, h);
	case AUTH_KEY:
		return judge_key(c, h);
	case AUTH_ENROL:
		return judge_enrolment(c, h, address, ret_counted);
	case AUTH_NONE:
		break;
	}
	return refuse(c, "it showed nothing to prove it");
}

/* Every attempt costs the same, whatever is wrong with it.  Only tokens can be
 * guessed, so they alone count against the identity, too. */
static int
attempt(struct channel *c, const struct channel_hello *h)
{
	const char *guessed = h->method == AUTH_TOKEN ? h->endpoint : NULL;
	struct identity *in = c->owner->shared.identity;
	char address[ADDR_TEXT_SIZE];
	bool counted = false;
	int r;

	channel_address(c, address);
	r = identity_may_try(in, guessed, address);
	if (r != 0)
		return r;
	r = judge(c, h, address, &counted);
	if (r == -EACCES && !counted)
		identity_failed(in, guessed, address);
	return r;
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
	if (!id_valid(h->endpoint))
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
	pre->method = h->method;
	pre->one_time = h->method == AUTH_ENROL && h->token != NULL;
	pre->verdict = attempt(c, h);
	if (pre->verdict != HELLO_WAITS)
		channel_todo_add(c, TODO_AUTHENTICATED);
	return 0;
}

static void
tell_refused(struct channel *c, const char *why)
{
	struct event ev = {
		.type = EVENT_AUTH_FAILED,
		.endpoint = c->pre->endpoint,
		.security = channel_security(c),
		.peer = c->pre->peer,
		.text = why
	};

	COUNT(c->owner, auth_failed, 1);
	log_info("authentication refused endpoint=%s peer=%s cause=\"%s\"",
	    c->pre->endpoint, c->pre->peer, why);
	event_emit(c->owner->shared.bus, &ev);
}

/* The device is told none of it. */
static const char *
refusal(const struct channel *c)
{
	const struct channel_pre *pre = c->pre;

	if (pre->cause != NULL)
		return pre->cause;
	return identity_refusal(c->owner->shared.identity, pre->endpoint,
	    pre->method == AUTH_ENROL, pre->one_time);
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
note_hello(struct channel *c)
{
	identity_note_hello(c->owner->shared.identity, c->pre->endpoint,
	    c->pre->agent, c->pre->boot_id, c->pre->peer, c->pre->listener);
}

static void
answer(struct channel *c, int error, uint64_t number)
{
	char enrolled[sizeof(c->pre->enrolled)];
	struct channel_auth_result result = {
		.error = error,
		.endpoint = error == 0 ? endpoint_id(c->endpoint) :
		    c->pre->endpoint,
		.channel_number = number,
		.epoch = c->owner->shared.epoch,
		.security = c->pre->security,
		.enrolled = enrolled,
		.fingerprint = c->pre->fingerprint
	};

	memcpy(enrolled, c->pre->enrolled, sizeof(enrolled));
	if (error == 0) {
		COUNT(c->owner, authenticated, 1);
		note_hello(c);
		c->security = (uint8_t)c->pre->security;
		result.fingerprint = "";
		channel_pre_free(c);
		result.telemetry_seq = last_telemetry(c);
		channel_todo_add(c, TODO_COMMANDS);
	}
	c->protocol->authenticated(c, &result);
	mem_wipe(enrolled, sizeof(enrolled));
}

/* End of the turn in which the verdict came. */
void
channel_answer_hello(struct channel *c)
{
	switch (c->pre->verdict) {
	case 0:
		/* Others are not even read meanwhile (input.c). */
		if (c->owner->holding && c->protocol->anonymous)
			channel_admitted(c, -EAGAIN, 0);
		else
			takeover_begin(c);
		return;
	case -EINPROGRESS:
		note_hello(c);		/* the operator looks where from */
		log_info("a device waits for approval endpoint=%s peer=%s "
		    "key=%s", c->pre->endpoint, c->pre->peer,
		    c->pre->fingerprint);
		answer(c, -EINPROGRESS, 0);
		return;
	case -EACCES:
		tell_refused(c, refusal(c));
		answer(c, -EACCES, 0);
		return;
	case -EDQUOT:
		tell_refused(c, "too many attempts");
		answer(c, -EDQUOT, 0);
		return;
	default:
		channel_admitted(c, c->pre->verdict, 0);
	}
}

void
channel_admitted(struct channel *c, int error, uint64_t number)
{
	uint64_t credential = c->pre->credential;

	if (error != 0 && error != -EBUSY) {
		log_warning("a device is sent away endpoint=%s peer=%s "
		    "error=%s", c->pre->endpoint, c->pre->peer,
		    strerror(-error));
		error = -EAGAIN;
	}
	answer(c, error, number);
	/* A revocation that came between the check and the claim found no
	 * channel to close. */
	if (error == 0 && !c->ended && !identity_holds(
	    c->owner->shared.identity, endpoint_id(c->endpoint), credential))
		channel_close(c, CLOSE_REVOKED, "revoked");
}
