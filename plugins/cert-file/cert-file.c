/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates from files of any format, for all slots that name the instance.
 * Looks at the files when inotify tells and now and then, and publishes what
 * has changed and come to rest: for each slot the best chain of each kind of
 * key.  What cannot be used is said, and what is in service stays.  Without
 * files it makes a self-signed certificate, unless forbidden.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cleat/host.h>

#include "cert/choose.h"
#include "cert/self.h"
#include "live.h"
#include "material.h"
#include "options.h"
#include "watch.h"

#define NAME "cert-file"
#define SETTLE_MS 1000			/* a pair is written in two steps */
#define AGAIN_MS (3600u * 1000)		/* what was refused may become good */
#define HOST_NAME_SIZE 256
#define PASSPHRASE "key_passphrase"
#define SLOT_NAMES_MAX 128
#define SLOT_SIZE 128

/* What a slot was given last. */
struct given {
	char slot[SLOT_SIZE];
	bool whole[CERT_KINDS];		/* with its issuers, or needed none */
	bool had[CERT_KINDS];
	struct given *next;
};

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct config config;
	struct cleat_timer *timer;
	struct watch *watch;
	struct given *given;
	struct live live;
	bool starting;
	uint64_t published;		/* print_now() of it, or refused */
	uint64_t seen;
	uint64_t tried_ms;
	bool refused;			/* the last publish, by somebody */
	char told_open[256];		/* the key file that was warned of */
};

struct staged {
	struct config config;
	struct material material;
};

/* ---- self-signed --------------------------------------------------------- */

static bool
known(const char *const *names, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* This host, the loopback, and every name of every slot. */
static void
own_names(struct inst *in, const char *host_name, const char **names)
{
	const char *slot, *name;
	unsigned n = 0;

	if (host_name[0] != '\0')
		names[n++] = host_name;
	if (!known(names, n, "localhost"))
		names[n++] = "localhost";
	names[n++] = "127.0.0.1";
	names[n++] = "::1";
	for (unsigned i = 0; (slot = in->host->slot(in->self, i)) != NULL;
	    i++) {
		for (unsigned k = 0; (name = in->host->slot_name(in->self,
		    slot, k)) != NULL && n < CERT_SELF_NAMES_MAX; k++) {
			if (!known(names, n, name))
				names[n++] = name;
		}
	}
	names[n] = NULL;
}

static int
self_sign(struct inst *in, struct material *m, char *why)
{
	const char *names[CERT_SELF_NAMES_MAX + 1], *dir;
	int64_t now_ms = in->host->wall_ms(in->self);
	char host_name[HOST_NAME_SIZE] = "";
	bool made = false;
	int err;

	memset(m, 0, sizeof(*m));
	if (gethostname(host_name, sizeof(host_name) - 1) < 0)
		host_name[0] = '\0';
	own_names(in, host_name, names);
	dir = in->host->state_dir(in->self);
	err = cert_self_get(dir, names, now_ms / 1000, why, &m->bundle,
	    &made);
	if (err == 0)
		err = material_chains(m, NULL, now_ms / 1000, why);
	if (err < 0)
		material_fini(m);
	if (made)
		in->host->log(in->self, CLEAT_LOG_NOTICE,
		    "made a self-signed certificate for %s in %s/%s",
		    names[0], dir, CERT_SELF_FILE);
	return err;
}

struct reading {
	struct inst *in;
	const struct config *config;
	struct material *material;
	char *why;
	int error;
};

static void
read_with(void *ctx, const char *password, const char *why)
{
	struct reading *rd = ctx;
	int64_t now_s = rd->in->host->wall_ms(rd->in->self) / 1000;

	rd->error = password == NULL ?
	    cert_why(rd->why, -EKEYREJECTED, "key_passphrase: %s", why) :
	    material_read(rd->config, password[0] != '\0' ? password : NULL,
	    now_s, rd->why, rd->material);
}

/* By the options `o`, of which c is made; NULL: those in force. */
static int
get(struct inst *in, const struct config *c, const struct cleat_opts *o,
    struct material *m, char *why)
{
	struct reading rd = {
		.in = in, .config = c, .material = m, .why = why
	};

	if (c->self_signed)
		return self_sign(in, m, why);
	(void)in->host->opt_secret(in->self, o, PASSPHRASE, read_with, &rd);
	return rd.error;
}

static void
add_print(void *ctx, const char *password, const char *why)
{
	uint64_t *sum = ctx;

	(void)why;
	*sum = watch_print_add(*sum, password != NULL ? password : "");
}

/* Another number when a file or the password in force is another one. */
static uint64_t
print_now(struct inst *in)
{
	uint64_t sum = watch_print(&in->config);

	(void)in->host->opt_secret(in->self, NULL, PASSPHRASE, add_print,
	    &sum);
	return sum;
}

/* ---- publishing ---------------------------------------------------------- */

static struct given *
given_of(struct inst *in, const char *slot)
{
	struct given *g;

	for (g = in->given; g != NULL; g = g->next) {
		if (strcmp(g->slot, slot) == 0)
			return g;
	}
	g = strlen(slot) < SLOT_SIZE ? calloc(1, sizeof(*g)) : NULL;
	if (g == NULL)
		return NULL;
	memcpy(g->slot, slot, strlen(slot) + 1);
	g->next = in->given;
	in->given = g;
	return g;
}

static void
given_free(struct inst *in)
{
	struct given *g;

	while ((g = in->given) != NULL) {
		in->given = g->next;
		free(g);
	}
}

static struct cleat_bytes
bytes(const struct cert_blob *b)
{
	struct cleat_bytes v = { b->p, b->n };

	return v;
}

static int
put(struct inst *in, const char *slot, const struct cert_choice *c,
    const struct cert_blob *staple, uint32_t flags)
{
	struct cert_blob chain = { NULL, 0 }, key = { NULL, 0 };
	struct cleat_cred cred = {
		.size = sizeof(cred), .flags = flags
	};
	int err;

	err = cert_chain_pem(c->chain, &chain);
	if (err == 0)
		err = cert_key_pem(c->chain->key, &key);
	if (err == 0) {
		cred.chain_pem = bytes(&chain);
		cred.key_pem = bytes(&key);
		if (staple != NULL)
			cred.ocsp_der = bytes(staple);
		err = in->host->cred_publish(in->self, slot, &cred);
	} else {
		in->host->cred_failed(in->self, slot, strerror(-err));
	}
	cert_blob_free(&chain);
	cert_blob_free(&key);
	return err;
}

/* The first error is what failed; all the others have a line each. */
static void
tell(struct inst *in, const char *slot, const struct cert_findings *f)
{
	bool first = f->errors > 0;

	for (size_t i = 0; i < f->n; i++) {
		if (first)
			in->host->cred_failed(in->self, slot, f->f[i].text);
		else
			in->host->log(in->self, f->f[i].level == CERT_NOTE ?
			    CLEAT_LOG_INFO : CLEAT_LOG_WARNING, "slot=%s %s",
			    slot, f->f[i].text);
		first = false;
	}
}

/* The daemon would serve it still, had it not been restarted: nothing but time
 * has changed. */
static bool
is_again(const struct inst *in, const char *slot, const struct cert_choice *c)
{
	const struct cert_findings *f = &c->found;
	unsigned of_time = 0;

	for (size_t i = 0; i < f->n; i++)
		of_time += f->f[i].level == CERT_ERROR &&
		    (strcmp(f->f[i].check, "dates") == 0 ||
		    strcmp(f->f[i].check, "staple") == 0);
	return in->starting && f->errors > 0 && of_time == f->errors &&
	    live_knows(&in->live, slot, c->chain->crt[0]->sha256);
}

static void
remember(struct inst *in, const char *slot, const struct cert_chain *ch)
{
	struct given *g = given_of(in, slot);
	int err;

	if (g != NULL)
		g->whole[cert_chain_is_rsa(ch)] = ch->n > 1 || ch->rooted;
	if (g != NULL)
		g->had[cert_chain_is_rsa(ch)] = true;
	err = live_put(&in->live, in->host->state_dir(in->self), slot,
	    cert_chain_is_rsa(ch), ch->crt[0]->sha256);
	if (err < 0)
		in->host->log(in->self, CLEAT_LOG_WARNING, "slot=%s: after a "
		    "restart it will not be known that this certificate was in "
		    "service: %s", slot, strerror(-err));
}

static int
publish_choice(struct inst *in, const struct cert_choose_spec *spec,
    const char *slot, const struct cert_choice *c, bool beside)
{
	bool again = is_again(in, slot, c);
	int err = -EINVAL;

	if (c->found.errors == 0 || again)
		err = put(in, slot, c, cert_choose_staple(spec, c->chain),
		    (beside ? CLEAT_CRED_BESIDE : 0) |
		    (again ? CLEAT_CRED_AGAIN : 0));
	if (err == 0)
		remember(in, slot, c->chain);
	if (err == 0 && again)
		in->host->log(in->self, CLEAT_LOG_ERROR, "slot=%s serves what "
		    "was in service before the restart, though it would be "
		    "refused now", slot);
	tell(in, slot, &c->found);
	in->refused = in->refused || err < 0 || again;
	return err;
}

static void
fill_spec(struct inst *in, const struct config *c, const struct material *m,
    const char *slot, const char **names, struct cert_choose_spec *spec)
{
	struct given *g = given_of(in, slot);
	unsigned n = 0;

	while (n < SLOT_NAMES_MAX && (names[n] = in->host->slot_name(in->self,
	    slot, n)) != NULL)
		n++;
	names[n] = NULL;
	*spec = (struct cert_choose_spec){
		.check = {
			.checks = CERT_CHECK_ALL, .names = names,
			.now_s = in->host->wall_ms(in->self) / 1000,
			.anchors = m->anchors,
			.strays = c->directory == NULL ? m->bundle : NULL,
			.all = m->chain, .all_n = m->chain_n,
		},
		.staples = m->staple, .staples_n = m->staple_n,
	};
	if (g != NULL)
		memcpy(spec->whole, g->whole, sizeof(spec->whole));
}

/* What was served beside the other and is in the files no more: clients that
 * know this kind alone come in no longer. */
static void
tell_gone(struct inst *in, const char *slot, const struct cert_choice *choice)
{
	struct given *g = given_of(in, slot);

	for (int k = 0; g != NULL && k < CERT_KINDS; k++) {
		if (choice[k].chain != NULL || !g->had[k])
			continue;
		g->had[k] = false;
		in->host->log(in->self, CLEAT_LOG_WARNING, "slot=%s there is "
		    "no certificate with %s key any more: clients that need "
		    "one are refused", slot, k == CERT_KIND_RSA ? "an RSA" :
		    "an EC or Ed25519");
	}
}

/* 0 when the slot got something. */
static int
publish_slot(struct inst *in, const struct config *c, const struct material *m,
    const char *slot)
{
	const char *names[SLOT_NAMES_MAX + 1];
	struct cert_choice *choice = calloc(CERT_KINDS, sizeof(*choice));
	struct cert_choose_spec spec;
	int err = -ENOMEM, one;
	bool any = false, both;

	fill_spec(in, c, m, slot, names, &spec);
	if (choice != NULL)
		err = cert_choose(m->chain, m->chain_n, &spec, choice);
	if (err < 0) {
		in->host->cred_failed(in->self, slot, strerror(-err));
		in->refused = true;
		free(choice);
		return err;
	}
	both = choice[CERT_KIND_OTHER].chain != NULL &&
	    choice[CERT_KIND_RSA].chain != NULL;
	for (int k = 0; k < CERT_KINDS; k++) {
		if (choice[k].chain == NULL)
			continue;
		one = publish_choice(in, &spec, slot, &choice[k], both);
		if (one < 0)
			err = one;
		else
			any = true;
	}
	if (any)
		tell_gone(in, slot, choice);
	free(choice);
	return any ? 0 : err;
}

static void
warn_open_key(struct inst *in, const struct material *m)
{
	if (m->open_key[0] == '\0' || strcmp(m->open_key, in->told_open) == 0)
		return;
	memcpy(in->told_open, m->open_key, sizeof(in->told_open));
	in->host->log(in->self, CLEAT_LOG_WARNING, "%s: everybody on this "
	    "machine may read the private key: chmod 0600", m->open_key);
}

/* 0 when at least one slot took it, or there is none. */
static int
publish(struct inst *in, const struct config *c, const struct material *m)
{
	const char *slot;
	int err = 0, one;
	bool any = false;

	in->refused = false;
	in->tried_ms = in->host->mono_ms(in->self);
	warn_open_key(in, m);
	if (m->no_staple[0] != '\0')
		in->host->log(in->self, CLEAT_LOG_WARNING, "%s: is not there: "
		    "no OCSP response of it is sent", m->no_staple);
	for (unsigned i = 0; i < m->limited_n && i < LIMITED_MAX; i++)
		in->host->log(in->self, CLEAT_LOG_WARNING, "passed over, "
		    "because of a limit: %s", m->limited[i]);
	if (m->skipped_n > 0)
		in->host->log(in->self, CLEAT_LOG_INFO, "passed over %u "
		    "files, the last one because %s", m->skipped_n,
		    m->skipped);
	for (unsigned i = 0; (slot = in->host->slot(in->self, i)) != NULL;
	    i++) {
		one = publish_slot(in, c, m, slot);
		if (one < 0)
			err = one;
		else
			any = true;
	}
	return any ? 0 : err;
}

/* Nothing to publish: every slot hears why. */
static void
tell_failed(struct inst *in, const char *only, const char *why)
{
	const char *slot;

	in->refused = true;
	in->tried_ms = in->host->mono_ms(in->self);
	for (unsigned i = 0; (slot = in->host->slot(in->self, i)) != NULL;
	    i++) {
		if (only == NULL || strcmp(only, slot) == 0)
			in->host->cred_failed(in->self, slot, why);
	}
}

static int
load(struct inst *in)
{
	char why[CERT_WHY_SIZE] = "";
	struct material m;
	int err;

	/* Before it is read: what changes meanwhile is another change. */
	watch_set(in->watch, &in->config);
	in->seen = in->published = print_now(in);
	err = get(in, &in->config, NULL, &m, why);
	if (err < 0) {
		tell_failed(in, NULL, why);
		return err;
	}
	err = publish(in, &in->config, &m);
	material_fini(&m);
	return err;
}

/* Time alone changes what is right: of what was refused, of several in a
 * directory, of one that is to be made anew. */
static bool
is_due(struct inst *in)
{
	return (in->refused || in->config.self_signed ||
	    in->config.directory != NULL) &&
	    in->host->mono_ms(in->self) - in->tried_ms >= AGAIN_MS;
}

static void
look(void *arg)
{
	struct inst *in = arg;
	uint64_t now = print_now(in);
	bool changed = now != in->published, at_rest = now == in->seen;

	in->seen = now;
	if (changed && !at_rest) {
		in->host->timer_set(in->timer, SETTLE_MS);
		return;
	}
	/* What failed is told to the slots; there is nobody else to tell. */
	if (changed || is_due(in))
		(void)load(in);
	in->host->timer_set(in->timer, in->config.poll_ms);
}

/* The timer says whether it has come to rest, so the first event starts that,
 * and those that follow do not hurry it. */
static void
on_change(void *arg)
{
	struct inst *in = arg;

	if (print_now(in) != in->seen)
		look(in);
}

static void
on_refresh(void *inst, const char *slot)
{
	struct inst *in = inst;
	char why[CERT_WHY_SIZE] = "";
	struct material m;

	if (get(in, &in->config, NULL, &m, why) < 0) {
		tell_failed(in, slot, why);
		return;
	}
	/* A failure has been told. */
	(void)publish_slot(in, &in->config, &m, slot);
	material_fini(&m);
}

/* ---- life ---------------------------------------------------------------- */

static int
life_open(struct cleat_self *self, const struct cleat_host *host, void **ret)
{
	struct inst *in = calloc(1, sizeof(*in));
	int err;

	if (in == NULL)
		return -ENOMEM;
	in->self = self;
	in->host = host;
	err = config_read(self, host, NULL, &in->config);
	if (err < 0)
		free(in);
	else
		*ret = in;
	return err;
}

static void
stop(struct inst *in)
{
	in->host->timer_free(in->timer);
	in->timer = NULL;
	watch_free(&in->watch);
}

static int
life_start(void *inst)
{
	struct inst *in = inst;
	int err;

	err = in->host->timer_new(in->self, look, in, &in->timer);
	if (err == 0)
		err = watch_new(in->self, in->host, on_change, in, &in->watch);
	if (err == 0) {
		live_load(&in->live, in->host->state_dir(in->self));
		in->starting = true;
		err = load(in);
		in->starting = false;
	}
	if (err < 0) {
		stop(in);
		return err;
	}
	in->host->timer_set(in->timer, in->config.poll_ms);
	return 0;
}

static int
life_prepare(void *inst, const struct cleat_opts *o, void **ret_staged)
{
	struct inst *in = inst;
	struct staged *st = calloc(1, sizeof(*st));
	char why[CERT_WHY_SIZE] = "";
	int err;

	if (st == NULL)
		return -ENOMEM;
	err = config_read(in->self, in->host, o, &st->config);
	if (err == 0) {
		err = get(in, &st->config, o, &st->material, why);
		if (err < 0)
			in->host->log(in->self, CLEAT_LOG_ERROR, "%s", why);
	}
	if (err < 0) {
		config_fini(&st->config);
		free(st);
		return err;
	}
	*ret_staged = st;
	return 0;
}

static void
life_commit(void *inst, void *staged)
{
	struct inst *in = inst;
	struct staged *st = staged;

	config_fini(&in->config);
	in->config = st->config;
	given_free(in);			/* other files, other expectations */
	watch_set(in->watch, &in->config);
	in->seen = in->published = print_now(in);
	/* A refusal has been logged and published; the last good stays. */
	(void)publish(in, &in->config, &st->material);
	material_fini(&st->material);
	free(st);
	in->host->timer_set(in->timer, in->config.poll_ms);
}

static void
life_discard(void *inst, void *staged)
{
	struct staged *st = staged;

	(void)inst;
	config_fini(&st->config);
	material_fini(&st->material);
	free(st);
}

static void
life_stop(void *inst)
{
	stop(inst);
}

static void
life_close(void *inst)
{
	struct inst *in = inst;

	config_fini(&in->config);
	given_free(in);
	live_fini(&in->live);
	free(in);
}

static const struct cleat_life life = {
	.size = sizeof(life),
	.open = life_open,
	.start = life_start,
	.prepare = life_prepare,
	.commit = life_commit,
	.discard = life_discard,
	.stop = life_stop,
	.close = life_close,
};

static const struct cleat_cert_source_ops ops = {
	.size = sizeof(ops),
	.refresh = on_refresh,
};

CLEAT_PLUGIN(CLEAT_CERT_SOURCE, NAME, "1.1", config_opts, &life, &ops);
