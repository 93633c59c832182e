/* SPDX-License-Identifier: Apache-2.0 */
/* A probe from its settings to its end, and what it says of them. */
#include "probe_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* ---- lines --------------------------------------------------------------- */

static void
emit(struct probe *p, const struct probe_line *line)
{
	p->spec->line(p->spec->ctx, line);
}

void
probe_step(struct probe *p, const char *check, enum probe_level level,
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

/* ---- what the client tells ----------------------------------------------- */

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
		probe_step(ctx, "hello", PROBE_OK, "accepted: %s", why);
}

/* ---- waiting ------------------------------------------------------------- */

int
probe_wait(struct probe *p)
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
		return -ETIME;
	if (ms < 0 || (uint64_t)ms > end - now)
		ms = (int)(end - now);
	(void)poll(&fd, 1, ms);
	return 0;
}

const char *
probe_reason(const struct probe *p, int r, char to[PROBE_WHY_SIZE])
{
	const size_t n = PROBE_WHY_SIZE;

	if (r == -ETIME)
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

/* ---- settings ------------------------------------------------------------ */

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
	c->challenged = probe_challenged;
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
	if (p->c == NULL)
		return;
	client_fini(p->c);
	mem_free(p->c);
	p->c = NULL;
}

/* ---- all of it ----------------------------------------------------------- */

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
		r = probe_reach(p);
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
		r = probe_reach(&p);
	if (r != 0 && p.refused)
		r = visit_again(&p);
	if (r == 0)
		probe_speak(&p);
	free_client(&p);
	return p.result;
}
