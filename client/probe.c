/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a probe: settings, names, TCP, proxy, TLS, upgrade, challenge and,
 * if that is wanted, hello. */
#include "probe_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "probe_text.h"
#include "tls/digest.h"

#define UNSEEN "cannot be looked at: no certificate of ours is shown here (%s)"

/* ---- lines ------------------------------------------------------------------------ */

static void
emit(struct probe *p, const struct probe_line *line)
{
	p->spec->line(p->spec->ctx, line);
}

/* With the time since the last one of these. */
static void __attribute__((format(printf, 4, 5)))
say_step(struct probe *p, const char *check, enum probe_level level,
    const char *fmt, ...)
{
	char text[PROBE_WHY_SIZE + 512];
	uint64_t now = client_now_ms();
	struct probe_line line = {
		.check = check, .level = level, .text = text,
		.took_ms = (int64_t)(now - p->mark_ms)
	};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->mark_ms = now;
	emit(p, &line);
}

void
probe_say(struct probe *p, const char *check, enum probe_level level,
    const char *fmt, ...)
{
	char text[PROBE_WHY_SIZE + 512];
	struct probe_line line = {
		.check = check, .level = level, .text = text, .took_ms = -1
	};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	emit(p, &line);
}

void
probe_fail(struct probe *p, enum probe_result result, const char *check,
    const char *fmt, ...)
{
	char text[PROBE_WHY_SIZE + 512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (p->result == PROBE_GOOD)
		p->result = result;
	probe_say(p, check, PROBE_FAIL, "%s", text);
}

void
probe_cert_line(struct probe *p, enum probe_level level,
    const struct cert_facts *facts, const char *text)
{
	const struct probe_line line = {
		.check = "certificate", .level = level, .text = text,
		.took_ms = -1, .cert = facts
	};

	emit(p, &line);
}

/* ---- what the client tells --------------------------------------------------------- */

static void
on_log(void *ctx, enum cleat_client_level level, const char *text)
{
	probe_say(ctx, "settings", level == CLEAT_CLIENT_WARNING ?
	    PROBE_WARNING : PROBE_OK, "%s", text);
}

static void
on_state(void *ctx, enum cleat_client_state state, const char *why)
{
	if (state == CLEAT_CLIENT_ONLINE)
		say_step(ctx, "hello", PROBE_OK, "accepted: %s", why);
}

/* It may have been read together with what follows it. */
static void
say_upgraded(struct probe *p)
{
	if (!p->upgraded)
		say_step(p, "upgrade", PROBE_OK, "a WebSocket for "
		    CLIENT_SUBPROTOCOL);
	p->upgraded = true;
}

/* Stands for client_send_hello(). */
static int
on_challenge(struct cleat_client *c, const json_t *challenge)
{
	struct probe *p = c->opts.ctx;
	const char *text = json_string_value(json_object_get(challenge,
	    "nonce"));
	uint8_t nonce[32];

	say_upgraded(p);
	if (text == NULL || digest_hex_decode(text, nonce,
	    sizeof(nonce)) != 0) {
		(void)snprintf(c->why, sizeof(c->why),
		    "the server's challenge has no nonce");
		return -EPROTO;
	}
	p->challenged = true;
	say_step(p, "challenge", PROBE_OK, "the server asks who we are");
	return p->may_hello ? client_send_hello(c, challenge) : 0;
}

/* ---- waiting ----------------------------------------------------------------------- */

/* Until something may have happened: 0, or -ETIMEDOUT. */
static int
wait_for(struct probe *p)
{
	uint64_t now = client_now_ms();
	uint64_t end = p->start_ms + p->spec->timeout_ms;
	struct pollfd fd = {
		.fd = cleat_client_fd(p->c),
		.events = cleat_client_poll_events(p->c)
	};
	int ms = p->c->phase == CLIENT_LINK ?
	    link_timeout_ms(&p->c->link) : -1;

	if (now >= end)
		return -ETIMEDOUT;
	if (ms < 0 || (uint64_t)ms > end - now)
		ms = (int)(end - now);
	(void)poll(&fd, 1, ms);
	return 0;
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
			r = wait_for(p);
	}
	return r;
}

static const char *
reason(const struct probe *p, int r, char to[PROBE_WHY_SIZE])
{
	const size_t n = PROBE_WHY_SIZE;

	if (r == -ETIMEDOUT)
		(void)snprintf(to, n, "no answer within %u.%u s",
		    p->spec->timeout_ms / 1000,
		    p->spec->timeout_ms % 1000 / 100);
	else
		(void)snprintf(to, n, "%s", p->c->why[0] != '\0' ?
		    p->c->why : p->c->link.why[0] != '\0' ? p->c->link.why :
		    r == -EPIPE ? "the server ended the connection" :
		    strerror(-r));
	return to;
}

/* ---- settings ---------------------------------------------------------------------- */

/* Without what cannot be used, to see at least the server.  -errno: not even
 * so. */
static int
policy_without(struct probe *p)
{
	struct cleat_client_opts *o = &p->c->opts;
	char why[CLEAT_CLIENT_WHY_SIZE];

	p->second = true;
	o->log = NULL;
	o->cert_file = o->key_file = NULL;
	if (client_make_policy(p->c, why) == 0)
		return 0;
	p->blind = true;
	o->ca_file = o->crl_file = o->pins = o->fingerprints = o->sans = NULL;
	o->subject_cn = o->subject_o = o->subject_ou = NULL;
	o->issuer_cn = o->issuer_o = o->issuer_ou = NULL;
	o->tls_profile = o->tls_priority = o->cipher_suite = NULL;
	o->fips_require = false;
	o->no_verify_chain = true;
	return client_make_policy(p->c, why);
}

static int
make_policy(struct probe *p)
{
	char why[CLEAT_CLIENT_WHY_SIZE] = "";

	if (!p->c->url.tls) {
		probe_say(p, "settings", PROBE_WARNING, "ws:// has no TLS: "
		    "everybody in between reads and changes everything");
		return 0;
	}
	if (client_make_policy(p->c, why) != 0) {
		probe_fail(p, PROBE_SETTINGS, "settings", "%s", why);
		return policy_without(p);
	}
	if (p->opts.cert_file != NULL)
		probe_own(p);
	return 0;
}

/* The key is there and known to the server, or there is none. */
static void
prepare_hello(struct probe *p)
{
	const char *path = p->opts.identity_file;
	char why[CLEAT_CLIENT_WHY_SIZE] = "";

	if (!p->spec->hello)
		return;
	if (path != NULL && access(path, F_OK) != 0) {
		probe_fail(p, PROBE_SETTINGS, "settings", "%s: %s; the agent "
		    "makes the key when it is started", path,
		    strerror(errno));
		return;
	}
	if (client_take_key(p->c, why) != 0) {
		probe_fail(p, PROBE_SETTINGS, "settings", "%s", why);
		return;
	}
	if (p->c->key != NULL && !p->c->enrolled)
		probe_say(p, "hello", PROBE_SKIP, "not said: this device is "
		    "not enrolled yet, and a test does not enrol");
	else
		p->may_hello = true;
	p->c->opts.enrol = false;
}

static int
make_client(struct probe *p)
{
	struct cleat_client *c = mem_calloc(1, sizeof(*c));
	char why[CLEAT_CLIENT_WHY_SIZE] = "out of memory";
	int r = 0;

	if (c == NULL)
		return -ENOMEM;
	p->c = c;
	c->link.fd = -1;
	c->challenged = on_challenge;
	c->opts = p->opts;
	backoff_init(&c->backoff, 0, 0);
	r = servers_init(&c->servers, p->opts.server, NULL);
	if (r == -EINVAL)
		probe_fail(p, PROBE_SETTINGS, "settings", "%s: HOST, "
		    "HOST:PORT or wss://HOST[:PORT][/PATH] is expected, an "
		    "IPv6 address in brackets", p->opts.server);
	if (r != 0)
		return r;
	c->url = *servers_now(&c->servers);
	r = proxy_init(&c->proxy, p->opts.proxy, p->opts.proxy_user,
	    p->opts.proxy_password, p->opts.proxy_auth, why);
	if (r != 0) {
		probe_fail(p, PROBE_SETTINGS, "settings", "%s", why);
		return r;
	}
	prepare_hello(p);
	return make_policy(p);
}

static void
free_client(struct probe *p)
{
	struct cleat_client *c = p->c;

	if (c == NULL)
		return;
	client_reset_channel(c);
	tls_client_policy_free(&c->policy);
	client_key_free(&c->key);
	servers_fini(&c->servers);
	proxy_fini(&c->proxy);
	mem_free(c);
	p->c = NULL;
}

/* ---- names to TLS -------------------------------------------------------------------- */

static void
say_own_shown(struct probe *p, const struct tls_client_facts *f)
{
	bool only = p->spec->cert_is_all;

	if (p->opts.cert_file != NULL && f->asked)
		probe_say(p, "own-cert", PROBE_OK, "shown, the server has "
		    "asked for one");
	else if (p->opts.cert_file != NULL)
		probe_say(p, "own-cert", only ? PROBE_WARNING : PROBE_SKIP,
		    "not shown, the server does not ask for one%s", only ?
		    ", and this device has nothing else to prove who it is" :
		    "");
	else if (f->asked)
		probe_say(p, "own-cert", PROBE_SKIP, "the server asks for a "
		    "certificate, and none is configured (--cert)");
}

/* `done`: the handshake. */
static void
say_tls(struct probe *p, bool done)
{
	struct tls_client_facts f;

	tls_client_facts(p->c->link.tls, &f);
	say_step(p, "tls", PROBE_OK, "%s%s%s%s%s%s", f.version,
	    f.suite[0] == '\0' ? "" : ", ", f.suite,
	    f.group[0] == '\0' ? "" : ", ", f.group, p->refused ?
	    ", looked at unverified" : "");
	if (p->review.judged)
		probe_certificates(p);
	if (done && !p->second)
		say_own_shown(p, &f);
}

static void
say_done(struct probe *p, enum link_step step)
{
	struct cleat_client *c = p->c;
	char text[400];

	if ((p->told & 1u << step) != 0)
		return;
	p->told |= 1u << step;
	switch (step) {
	case LINK_RESOLVE:
		say_step(p, "names", PROBE_OK, "%s", probe_addresses(&c->link,
		    text, sizeof(text)));
		break;
	case LINK_CONNECT:
		say_step(p, "tcp", PROBE_OK, "connected to %s%s",
		    c->link.proxy != NULL ? "the proxy, " : "",
		    probe_peer(c->link.fd, text, sizeof(text)));
		break;
	case LINK_HEAR_PROXY:
		say_step(p, "proxy", PROBE_OK, "opens the way to %s port %s",
		    c->url.host, c->url.port);
		break;
	case LINK_TLS:
		say_tls(p, true);
		break;
	case LINK_ASK_PROXY:
	case LINK_UP:
		break;
	}
}

static void
fail_tls(struct probe *p, int r)
{
	struct cleat_client *c = p->c;
	char text[PROBE_WHY_SIZE];
	bool judged = p->review.judged && c->link.tls != NULL;

	(void)reason(p, r, text);
	/* The second visit tells more: this handshake was not completed. */
	if (judged && !p->second && p->review.error == -EACCES) {
		p->refused = true;
		memcpy(p->refusal, p->review.why, sizeof(p->refusal));
		return;
	}
	if (judged)
		say_tls(p, false);
	if (judged && p->second)
		probe_say(p, "upgrade", PROBE_SKIP, UNSEEN, text);
	else
		probe_fail(p, PROBE_UNTRUSTED, "tls", "%s%s", text,
		    r == -EPROTO && !judged ? " Does this port speak TLS?" :
		    "");
}

static void
fail_step(struct probe *p, int r)
{
	enum link_step step = p->c->link.step;
	char text[PROBE_WHY_SIZE];

	if (step == LINK_TLS) {
		fail_tls(p, r);
		return;
	}
	(void)reason(p, r, text);
	probe_fail(p, PROBE_UNREACHED, step == LINK_RESOLVE ? "names" :
	    step == LINK_CONNECT ? "tcp" : step == LINK_UP ? "upgrade" :
	    "proxy", "%s", text);
}

static int
reach(struct probe *p)
{
	struct cleat_client *c = p->c;
	enum link_step step;
	int r;

	c->phase = CLIENT_LINK;
	c->why[0] = '\0';
	r = link_open(&c->link, &c->url, proxy_wanted(&c->proxy, &c->url) ?
	    &c->proxy : NULL, c->url.tls ? c->policy : NULL);
	c->link.review = &p->review;
	c->link.go_on = p->second;
	while (r == 0 && c->link.step != LINK_UP) {
		step = c->link.step;
		r = link_step(&c->link);
		if (c->link.step > step)
			say_done(p, step);
		if (r == -EAGAIN)
			r = wait_for(p);
	}
	if (r != 0)
		fail_step(p, r);
	return r;
}

/* ---- WebSocket and the protocol ------------------------------------------------------ */

static void
fail_upgrade(struct probe *p, int r)
{
	char text[PROBE_WHY_SIZE];
	bool alert = r == -ECONNABORTED;

	(void)reason(p, r, text);
	if (alert && p->second)
		probe_say(p, "upgrade", PROBE_SKIP, UNSEEN, text);
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
		probe_fail(p, PROBE_REFUSED, "hello", "%s", reason(p, r, text));
		return;
	}
	p->c->stopping = true;
	client_say_bye(p->c, "test");
	if (p->c->phase == CLIENT_GOODBYE)
		(void)talk_until(p, never);	/* ends with its close */
}

static void
speak(struct probe *p)
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
		probe_fail(p, PROBE_OTHER, "challenge", "%s", reason(p, r,
		    text));
		return;
	}
	if (!p->second)
		say_hello(p);
	else
		say_goodbye(p);
}

/* ---- all of it ------------------------------------------------------------------------- */

static int
visit_again(struct probe *p)
{
	char why[CLEAT_CLIENT_WHY_SIZE];
	int r;

	client_reset_channel(p->c);
	tls_client_policy_free(&p->c->policy);
	p->second = true;
	p->may_hello = false;
	p->c->opts.log = NULL;
	p->c->opts.cert_file = p->c->opts.key_file = NULL;
	memset(&p->review, 0, sizeof(p->review));
	r = client_make_policy(p->c, why);
	if (r != 0)
		probe_say(p, "upgrade", PROBE_SKIP, "%s", why);
	else
		r = reach(p);
	/* Another server may have answered, or none. */
	if (p->review.error != -EACCES)
		probe_fail(p, PROBE_UNTRUSTED, "trust", "a device would refuse "
		    "this server: its certificate %s", p->refusal);
	return r;
}

enum probe_result
probe_run(const struct probe_spec *spec)
{
	struct probe p = {
		.spec = spec, .opts = *spec->opts,
		.start_ms = client_now_ms()
	};
	int r;

	p.mark_ms = p.start_ms;
	p.opts.servers_file = NULL;
	p.opts.ctx = &p;
	p.opts.log = on_log;
	p.opts.state = on_state;
	p.opts.hello = NULL;
	p.opts.notification = NULL;
	p.opts.request = NULL;
	p.opts.approval = NULL;
	r = make_client(&p);
	if (r == -ENOMEM)
		probe_fail(&p, PROBE_SETTINGS, "settings", "out of memory");
	if (r == 0)
		r = reach(&p);
	if (r != 0 && p.refused)
		r = visit_again(&p);
	if (r == 0)
		speak(&p);
	free_client(&p);
	return p.result;
}
