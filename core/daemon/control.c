/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's place in the daemon, and what its operators ask of
 * the main
 * thread: errands come by the main thread's mailbox and go back by mail.
 */
#include "config.h"

#include "daemon/daemon_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "daemon/replaced.h"
#include "daemon/upgrade_start.h"
#include "daemon/version.h"
#include "tls/cred_check.h"
#include "tls/snapshot.h"

/* ---- errands: main thread ---------------------------------------------- */

static void
on_back(struct mail *m)
{
	struct control_errand *e = CT_CONTAINER(m, struct control_errand,
	    mail);

	e->fn(e);
}

/* The next process has read the configuration, and knows of no drain. */
static void
refuse_during_upgrade(struct control_errand *e)
{
	e->error = -EBUSY;
	(void)snprintf(e->why, sizeof(e->why), "an upgrade is under way");
}

static void
on_errand(struct mail *m)
{
	struct control_errand *e = CT_CONTAINER(m, struct control_errand,
	    mail);
	struct daemon *d = e->daemon;

	_Static_assert(CONTROL_WHY_SIZE >= DAEMON_WHY_SIZE, "why");
	if (d->stopping)
		e->error = -ESHUTDOWN;
	else if (d->upgrade.socket.fd >= 0 && e->kind != CONTROL_DRAIN_LOOK)
		refuse_during_upgrade(e);
	else if (e->kind == CONTROL_UPGRADE)
		e->error = upgrade_begin(d, e->binary, e->why);
	else if (e->kind == CONTROL_RELOAD)
		e->error = daemon_reload(d, e->why);
	else if (e->kind == CONTROL_DRAIN)
		daemon_drain_begin(d, e);
	else if (e->kind == CONTROL_DRAIN_ABORT)
		daemon_drain_abort(d, e);
	else
		daemon_drain_look(d, e);
	e->mail.fn = on_back;
	mailbox_post(e->home, &e->mail);
}

/* ---- hooks: control thread --------------------------------------------- */

static void
ask(void *ctx, struct control_errand *e)
{
	struct daemon *d = ctx;

	e->daemon = d;
	e->mail.fn = on_errand;
	mailbox_post(&d->mailbox, &e->mail);
}

struct telling {
	void (*fn)(void *, const struct control_certificate *);
	void *arg;
};

static void
tell_certificate(void *arg, const struct credentials_entry *e)
{
	struct telling *t = arg;
	struct control_certificate c = {
		.slot = e->slot, .present = e->cred != NULL,
		.source = e->source, .live_ms = e->live_ms,
		.channels = e->channels, .channels_before = e->channels_before,
		.error = e->error, .error_ms = e->error_ms
	};
	struct cert_facts *chain = NULL;
	struct tls_cred_info info;
	char sha256[65];

	if (e->cred != NULL) {
		tls_cred_info(e->cred, &info);
		hex_write(info.sha256, sizeof(info.sha256), sha256);
		c.not_before_ms = info.not_before * 1000;
		c.not_after_ms = info.not_after * 1000;
		c.sha256 = sha256;
		c.subject = info.subject;
		c.issuer = info.issuer;
		c.names = info.names;
		c.key = info.key;
		c.self_signed = info.self_signed;
		if (tls_cred_chain(e->cred, &chain, &c.chain_n) == 0)
			c.chain = chain;
	}
	t->fn(t->arg, &c);
	mem_free(chain);
}

static void
certificates(void *ctx, void (*fn)(void *, const struct control_certificate *),
    void *arg)
{
	struct daemon *d = ctx;
	struct telling t = { .fn = fn, .arg = arg };

	credentials_each(d->credentials, tell_certificate, &t);
}

static void
trusts(void *ctx, void (*fn)(void *, const char *, const struct tls_trust *,
    const char *), void *arg)
{
	struct daemon *d = ctx;

	credentials_trusts(d->credentials, fn, arg);
}

static enum control_phase
phase(void *ctx)
{
	struct daemon *d = ctx;

	if (atomic_load(&d->stopping))
		return CONTROL_STOPPING;
	return atomic_load(&d->ready) ? CONTROL_READY : CONTROL_STARTING;
}

static void
tell_upgrade(void *ctx, struct control_upgrade *ret)
{
	struct daemon *d = ctx;

	upgrade_tell(&d->upgrade, ret);
}

static void
replaced(void *ctx, void (*fn)(void *, const char *), void *arg)
{
	(void)ctx;
	/* Without /proc nothing is known, and nothing is said. */
	(void)replaced_each(REPLACED_MAPS, fn, arg);
}

/* ---- life: main thread ------------------------------------------------- */

void
daemon_control_path(const struct daemon *d, char *to, size_t cap)
{
	const char *path = conf_str(d->conf, "control", "socket");

	if (path != NULL && path[0] != '\0')
		(void)snprintf(to, cap, "%s", path);
	else
		(void)snprintf(to, cap, "%s/control.sock",
		    conf_str(d->conf, "daemon", "runtime_dir"));
}

int
daemon_control_open(struct daemon *d, char *why)
{
	char path[4096];
	struct control_deps deps = {
		.path = path, .version = daemon_version(), .epoch = d->epoch,
		.bus = d->bus, .store = d->store, .endpoints = d->endpoints,
		.commands = d->commands, .identity = d->identity,
		.telemetry = d->telemetry,
		.plugs = atomic_load(&d->plugs),
		.channels = &d->channel_counters,
		.hooks = { .ctx = d, .ask = ask, .certificates = certificates,
		    .trusts = trusts, .phase = phase,
		    .upgrade = tell_upgrade, .replaced = replaced }
	};
	const struct upgrade_start *former = d->upgrade.start;
	struct control_rules rules;
	struct control *c;
	int r;

	daemon_control_path(d, path, sizeof(path));
	/* Unless the configuration names another by now. */
	if (former != NULL && former->control >= 0 &&
	    strcmp(former->control_path, path) == 0) {
		deps.passed = true;
		deps.passed_fd = former->control;
	}
	r = control_rules_read(d->conf, why, &rules);
	if (r == 0)
		r = control_new(&deps, &rules, why, &c);
	if (r != 0)
		return r;
	control_lend(c, false);		/* the former is done with it */
	atomic_store(&d->control, c);
	return control_start(c);
}

void
daemon_control_hold(struct daemon *d, bool on)
{
	control_hold(atomic_load(&d->control), on);
}

void
daemon_control_stop(struct daemon *d)
{
	struct control *c = atomic_load(&d->control);

	if (c == NULL)
		return;
	control_refuse(c);
	mailbox_drain(&d->mailbox);	/* the last errands go back */
	control_stop(c);
}

void
daemon_control_free(struct daemon *d)
{
	struct control *c = atomic_exchange(&d->control, NULL);

	control_free(&c);
}
