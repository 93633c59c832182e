/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon itself: status, reload, drain, log level. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cert/describe.h"
#include "tls/trust.h"
#include "event/bus.h"
#include "endpoint/recovery.h"
#include "channel/channel.h"
#include "plug/plug.h"
#include "control/exchange.h"

/* Of the files that were replaced, so many are named. */
#define REPLACED_MAX 16

/* ---- GET /v1/status ---------------------------------------------------- */

static void
write_daemon(struct json_out *j, const struct control *c)
{
	static const char *const phases[] = {
		[CONTROL_STARTING] = "starting", [CONTROL_READY] = "ready",
		[CONTROL_STOPPING] = "stopping"
	};

	jout_string(j, "version", c->deps.version);
	jout_string(j, "state", phases[c->deps.hooks.phase(
	    c->deps.hooks.ctx)]);
	jout_uint(j, "epoch", c->deps.epoch);
	put_time(j, "started", c->started_ms);
	put_time(j, "time", clock_wall_ms());
	jout_uint(j, "uptime_ms", clock_mono_ms() - c->started_mono);
}

static void
write_endpoints(struct json_out *j, const struct control *c)
{
	struct endpoint_figures f;

	endpoint_table_figures(c->deps.endpoints, &f);
	jout_object(j, "endpoints");
	jout_uint(j, "known", f.known);
	jout_object(j, "states");
	for (unsigned i = 0; i < PRESENCE_STATES; i++)
		jout_uint(j, presence_state_name((enum presence_state)i),
		    f.state[i]);
	jout_object_end(j);
	jout_object(j, "security");
	for (unsigned i = 0; i <= SECURITY_WSS_SAFE; i++)
		jout_uint(j, channel_security_name((enum channel_security)i),
		    f.live[i]);
	jout_object_end(j);
	jout_object_end(j);
}

static uint64_t
get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
write_channels(struct json_out *j, const struct control *c)
{
	jout_object(j, "channels");
	jout_uint(j, "open", channel_count_open(c->deps.channels));
	jout_object_end(j);
}

static void
put_optional(struct json_out *j, const char *key, const char *text)
{
	if (text != NULL)
		jout_string(j, key, text);
}

/* -ENOMEM. */
static int
put_chain(struct text *t, const struct control_certificate *cert)
{
	const struct cert_facts *f;

	jout_array(&t->j, "chain");
	for (size_t i = 0; i < cert->chain_n; i++) {
		if (text_room(t, 8192) != 0)
			return -ENOMEM;
		f = &cert->chain[i];
		jout_object(&t->j, NULL);
		jout_string(&t->j, "subject", f->subject.dn);
		jout_string(&t->j, "issuer", f->issuer.dn);
		put_time(&t->j, "not_before", f->not_before * 1000);
		put_time(&t->j, "not_after", f->not_after * 1000);
		jout_hex(&t->j, "sha256", f->sha256, sizeof(f->sha256));
		jout_hex(&t->j, "sha1", f->sha1, sizeof(f->sha1));
		jout_object_end(&t->j);
	}
	jout_array_end(&t->j);
	return text_room(t, 8192);
}

static void
put_certificate(struct json_out *j, const struct control_certificate *cert)
{
	if (!cert->present)
		return;
	put_time(j, "not_before", cert->not_before_ms);
	put_time(j, "not_after", cert->not_after_ms);
	put_optional(j, "sha256", cert->sha256);
	if (cert->chain != NULL)
		jout_hex(j, "sha1", cert->chain[0].sha1,
		    sizeof(cert->chain[0].sha1));
	put_optional(j, "subject", cert->subject);
	put_optional(j, "issuer", cert->issuer);
	put_optional(j, "names", cert->names);
	put_optional(j, "key", cert->key);
	put_bool(j, "self_signed", cert->self_signed);
	jout_uint(j, "channels", cert->channels);
}

static void
write_certificate(void *arg, const struct control_certificate *cert)
{
	struct text *t = arg;
	struct json_out *j = &t->j;

	if (text_room(t, 16384) != 0) {
		j->failed = true;
		return;
	}
	jout_object(j, NULL);
	jout_string(j, "slot", cert->slot);
	put_bool(j, "present", cert->present);
	put_certificate(j, cert);
	if (cert->chain != NULL && put_chain(t, cert) != 0) {
		j->failed = true;
		return;
	}
	jout_uint(j, "channels_before", cert->channels_before);
	put_optional(j, "source", cert->source);
	put_time(j, "live_since", cert->live_ms);
	put_optional(j, "error", cert->error);
	put_time(j, "error_time", cert->error_ms);
	jout_object_end(j);
}

static void
write_trust(void *arg, const char *listener, const struct tls_trust *trust,
    const char *error)
{
	struct text *t = arg;
	struct json_out *j = &t->j;
	struct tls_trust_info info;
	const char *text;

	if (text_room(t, 8192) != 0) {
		j->failed = true;
		return;
	}
	tls_trust_info(trust, &info);
	jout_object(j, NULL);
	jout_string(j, "listener", listener);
	jout_uint(j, "authorities", info.anchors);
	jout_uint(j, "crls", info.crls);
	jout_uint(j, "revoked", info.revoked);
	if (info.crl_next_update != 0) {
		put_time(j, "crl_due", info.crl_next_update * 1000);
		put_bool(j, "crl_expired", info.crl_next_update * 1000 <
		    clock_wall_ms());
	}
	if (*error != '\0')
		jout_string(j, "error", error);
	jout_array(j, "weakened");
	for (unsigned i = 0; (text = tls_trust_weakness(trust, i)) != NULL; i++)
		jout_string(j, NULL, text);
	jout_array_end(j);
	jout_object_end(j);
}

static void
write_plugins(struct text *t, const struct control *c)
{
	struct json_out *j = &t->j;
	struct plug_info p;

	jout_array(j, "plugins");
	for (unsigned i = 0; plugs_info(c->deps.plugs, i, &p); i++) {
		if (text_room(t, 4096) != 0) {
			j->failed = true;
			return;
		}
		jout_object(j, NULL);
		jout_string(j, "instance", p.instance);
		jout_string(j, "module", p.module);
		put_bool(j, "up", p.up);
		jout_uint(j, "slow", p.slow);
		jout_uint(j, "lost", p.lost);
		jout_uint(j, "signs", p.signs);
		jout_uint(j, "sign_failures", p.sign_failures);
		jout_object_end(j);
	}
	jout_array_end(j);
}

static void
write_store(struct json_out *j, const struct control *c)
{
	struct store_stats s;

	store_stats(c->deps.store, &s);
	jout_object(j, "store");
	put_bool(j, "healthy", !s.failing);
	jout_uint(j, "jobs", s.jobs);
	jout_uint(j, "commits", s.commits);
	jout_uint(j, "failed", s.failed);
	jout_uint(j, "refused", s.refused);
	jout_uint(j, "waiting", s.waiting);
	jout_uint(j, "commit_us", s.commit_us);
	jout_object_end(j);
}

static void
write_bus(struct json_out *j, const struct control *c)
{
	struct event_bus_stats s;

	event_bus_stats(c->deps.bus, &s);
	jout_object(j, "bus");
	jout_uint(j, "seq", s.seq);
	jout_uint(j, "published", s.published);
	jout_uint(j, "dropped", s.dropped);
	jout_uint(j, "relistened", s.relistened);
	jout_uint(j, "endpoints", s.endpoints);
	jout_uint(j, "snapshots", s.snapshots);
	jout_object_end(j);
}

static void
write_recovery(struct json_out *j, const struct control *c)
{
	struct recovery_figures f;

	recovery_figures(c->deps.endpoints, &f);
	jout_object(j, "recovery");
	put_bool(j, "active", f.active);
	jout_uint(j, "expected", f.expected);
	jout_uint(j, "heard", f.heard);
	jout_uint(j, "unknown", f.unknown);
	jout_uint(j, "remaining_ms", f.remaining_ms);
	jout_object_end(j);
}

struct replaced {
	struct text *text;
	unsigned n;
};

static void
write_replaced_path(void *arg, const char *path)
{
	struct replaced *r = arg;
	struct json_out *j = &r->text->j;

	if (r->n++ >= REPLACED_MAX)
		return;
	/* Each byte may be escaped to six. */
	if (text_room(r->text, 6 * strlen(path) + 64) != 0)
		j->failed = true;
	else
		jout_string(j, NULL, path);
}

static void
write_replaced(struct text *t, const struct control *c)
{
	struct replaced r = { .text = t };

	if (text_room(t, 256) != 0) {
		t->j.failed = true;
		return;
	}
	jout_object(&t->j, "restart");
	jout_array(&t->j, "replaced");
	c->deps.hooks.replaced(c->deps.hooks.ctx, write_replaced_path, &r);
	jout_array_end(&t->j);
	put_bool(&t->j, "pending", r.n > 0);
	jout_object_end(&t->j);
}

static void
write_control(struct json_out *j, const struct control *c)
{
	const struct control_counters *n = &c->counters;

	jout_object(j, "control");
	jout_uint(j, "connections", get(&n->connections));
	jout_uint(j, "connections_refused", get(&n->connections_refused));
	jout_uint(j, "requests", get(&n->requests));
	jout_uint(j, "requests_refused", get(&n->requests_refused));
	jout_uint(j, "streams", get(&n->streams));
	jout_uint(j, "stream_gaps", get(&n->stream_gaps));
	jout_uint(j, "timeouts", get(&n->timeouts));
	jout_object_end(j);
}

void
system_status(struct exchange *x)
{
	struct control *c = x->control;
	struct json_out *j = &x->text.j;

	if (!exchange_text(x))
		return;
	jout_object(j, NULL);
	write_daemon(j, c);
	write_endpoints(j, c);
	write_channels(j, c);
	jout_array(j, "certificates");
	c->deps.hooks.certificates(c->deps.hooks.ctx, write_certificate,
	    &x->text);
	jout_array_end(j);
	jout_array(j, "client_certificates");
	c->deps.hooks.trusts(c->deps.hooks.ctx, write_trust, &x->text);
	jout_array_end(j);
	write_plugins(&x->text, c);
	write_replaced(&x->text, c);
	if (text_room(&x->text, 4096) != 0)
		j->failed = true;
	write_store(j, c);
	write_bus(j, c);
	write_recovery(j, c);
	upgrade_write(j, c);
	jout_object(j, "commands");
	jout_uint(j, "open", command_table_open(c->deps.commands));
	jout_object_end(j);
	write_control(j, c);
	jout_object_end(j);
	exchange_answer(x, 200);
}

/* ---- what the main thread does ----------------------------------------- */

struct control_errand *
errand_of(struct exchange *x)
{
	struct control_errand *e = mem_calloc(1, sizeof(*e));

	if (e == NULL) {
		exchange_error(x, -ENOMEM, "errand");
		return NULL;
	}
	e->arg = x;
	e->home = &x->control->worker.mailbox;
	x->errand = e;
	return e;
}

void
errand_send(struct exchange *x)
{
	exchange_out(x);
	x->control->deps.hooks.ask(x->control->deps.hooks.ctx, x->errand);
}

bool
errand_went(struct control_errand *e, const char *what)
{
	struct exchange *x = e->arg;

	if (e->error == 0)
		return exchange_text(x);
	if (e->error == -ESHUTDOWN || e->error == -ENOMEM)
		exchange_error(x, e->error, what);
	else
		exchange_problem(x, PROBLEM_REFUSED, NULL, "%s",
		    e->why[0] != '\0' ? e->why : strerror(-e->error));
	return false;
}

/* For what has no arguments. */
static void
ask_main(struct exchange *x, enum control_errand_kind kind,
    void (*fn)(struct control_errand *))
{
	struct control_errand *e = errand_of(x);

	if (e == NULL)
		return;
	e->kind = kind;
	e->fn = fn;
	errand_send(x);
}

static void
on_reloaded(struct control_errand *e)
{
	struct exchange *x = e->arg;
	struct control *c = x->control;

	if (errand_went(e, "reload")) {
		jout_object(&x->text.j, NULL);
		put_time(&x->text.j, "reloaded", clock_wall_ms());
		jout_object_end(&x->text.j);
		exchange_answer(x, 200);
	}
	exchange_back(c);
}

void
system_reload(struct exchange *x)
{
	ask_main(x, CONTROL_RELOAD, on_reloaded);
}

static void
on_drained(struct control_errand *e)
{
	struct exchange *x = e->arg;
	struct control *c = x->control;

	if (errand_went(e, "drain")) {
		jout_object(&x->text.j, NULL);
		jout_uint(&x->text.j, "channels", e->channels);
		jout_object_end(&x->text.j);
		exchange_answer(x, 202);
	}
	exchange_back(c);
}

static void
on_drain_state(struct control_errand *e)
{
	struct exchange *x = e->arg;
	struct control *c = x->control;

	if (errand_went(e, "drain")) {
		jout_object(&x->text.j, NULL);
		put_bool(&x->text.j, "active", e->active);
		put_bool(&x->text.j, "ready", e->ready);
		jout_uint(&x->text.j, "channels", e->channels);
		jout_uint(&x->text.j, "left", e->left);
		jout_uint(&x->text.j, "remaining_ms", e->remaining_ms);
		jout_object_end(&x->text.j);
		exchange_answer(x, 200);
	}
	exchange_back(c);
}

void
system_drain_get(struct exchange *x)
{
	ask_main(x, CONTROL_DRAIN_LOOK, on_drain_state);
}

void
system_drain_delete(struct exchange *x)
{
	ask_main(x, CONTROL_DRAIN_ABORT, on_drain_state);
}

/* A URL of a device's channel, without what divides a list of them. */
static bool
server_valid(const char *s)
{
	size_t n = strlen(s);

	if (n > 255 || strcspn(s, ", \t\r\n\"\\") != n)
		return false;
	if (strncmp(s, "wss://", 6) == 0)
		return n > 6;
	return strncmp(s, "ws://", 5) == 0 && n > 5;
}

static bool
read_servers(struct exchange *x, const json_t *servers, char *to, size_t cap)
{
	const char *s;
	size_t i, n = 0;
	json_t *v;

	json_array_foreach(servers, i, v) {
		s = json_string_value(v);
		if (i == 16 || s == NULL || !server_valid(s) ||
		    n + strlen(s) + 2 > cap) {
			exchange_problem(x, PROBLEM_INVALID, "servers",
			    "servers: at most 16 URLs, wss://… or ws://…, are "
			    "expected");
			return false;
		}
		if (n > 0)
			to[n++] = ',';
		memcpy(to + n, s, strlen(s) + 1);
		n += strlen(s);
	}
	return true;
}

void
system_drain(struct exchange *x)
{
	static const struct member members[] = {
		{ "window_ms", JSON_INTEGER, true },
		{ "servers", JSON_ARRAY, false },
		{ "why", JSON_STRING, false }, { NULL, JSON_NULL, false }
	};
	struct control_errand *e;
	json_t *m[3];
	json_int_t window;
	const char *why;

	if (!body_members(x, members, m))
		return;
	window = json_integer_value(m[0]);
	why = m[2] == NULL ? "rebalance" : json_string_value(m[2]);
	if (window < 0 || window > 86400000) {
		exchange_problem(x, PROBLEM_INVALID, "window_ms",
		    "window_ms: 0 to 86400000 is expected");
		return;
	}
	if (strcmp(why, "restart") != 0 && strcmp(why, "rebalance") != 0 &&
	    strcmp(why, "moved") != 0) {
		exchange_problem(x, PROBLEM_INVALID, "why",
		    "why: restart, rebalance or moved is expected");
		return;
	}
	e = errand_of(x);
	if (e == NULL ||
	    !read_servers(x, m[1], e->servers, sizeof(e->servers)))
		return;
	e->kind = CONTROL_DRAIN;
	e->window_ms = (uint32_t)window;
	(void)snprintf(e->reason, sizeof(e->reason), "%s", why);
	e->fn = on_drained;
	errand_send(x);
}

/* ---- /v1/log-level ----------------------------------------------------- */

void
system_log_level_get(struct exchange *x)
{
	static const char *const names[] = {
		[LOG_LVL_ERROR] = "error", [LOG_LVL_WARNING] = "warning",
		[LOG_LVL_NOTICE] = "notice", [LOG_LVL_INFO] = "info",
		[LOG_LVL_DEBUG] = "debug"
	};

	if (!exchange_text(x))
		return;
	jout_object(&x->text.j, NULL);
	jout_string(&x->text.j, "level", names[log_get_level()]);
	jout_object_end(&x->text.j);
	exchange_answer(x, 200);
}

void
system_log_level_put(struct exchange *x)
{
	static const struct member members[] = {
		{ "level", JSON_STRING, true }, { NULL, JSON_NULL, false }
	};
	enum log_level level;
	json_t *m[1];

	if (!body_members(x, members, m))
		return;
	if (log_level_parse(json_string_value(m[0]), &level) != 0) {
		exchange_problem(x, PROBLEM_INVALID, "level", "level: error, "
		    "warning, notice, info or debug is expected");
		return;
	}
	log_set_level(level);
	system_log_level_get(x);
}
