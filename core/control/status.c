/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/status: how the daemon is, of which each layer has something
 * to say. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "cert/describe.h"
#include "tls/trust.h"
#include "event/bus.h"
#include "endpoint/recovery.h"
#include "channel/channel.h"
#include "plug/plug.h"
#include "control/control_priv.h"

/* Of the files that were replaced, so many are named. */
#define REPLACED_MAX 16

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
