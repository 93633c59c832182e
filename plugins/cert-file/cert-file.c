/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates from PEM files, for all slots that name the instance.  Looks at
 * the files now and then, and publishes a pair that has changed and come to
 * rest.  Without files it makes a self-signed certificate, unless forbidden.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cleat/host.h>

#include "pem.h"
#include "self_signed.h"

#define NAME "cert-file"
#define SETTLE_MS 1000			/* a pair is written in two steps */
#define RETRY_MS (3600u * 1000)		/* what was refused may become good */
#define HOST_NAME_SIZE 256

enum { CHAIN, KEY, OCSP, FILES };
static const char *const file_opts[FILES] = { "chain", "key", "ocsp" };

/* What the options say. */
struct config {
	char *path[FILES];		/* NULL: not given */
	bool self_signed;
	uint64_t poll_ms;
};

struct material {
	struct pem_file file[FILES];
	struct pem_stamp stamp[FILES];
};

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct config config;
	struct cleat_timer *timer;
	struct pem_stamp published[FILES];	/* or refused */
	struct pem_stamp seen[FILES];
	uint64_t tried_ms;
	bool refused;			/* the last publish, by somebody */
	bool told_mode;
};

struct staged {
	struct config config;
	struct material material;
};

static const struct cleat_opt opts[] = {
	{ "chain", CLEAT_OPT_PATH, 0, NULL, 0, 0,
	    "PEM file: the certificate, then its intermediates" },
	{ "key", CLEAT_OPT_PATH, 0, NULL, 0, 0,
	    "PEM file: the private key, not encrypted" },
	{ "ocsp", CLEAT_OPT_PATH, 0, NULL, 0, 0,
	    "DER file: OCSP response to staple" },
	{ "self_signed", CLEAT_OPT_BOOL, 0, "yes", 0, 0,
	    "without chain and key, make a self-signed certificate" },
	{ "poll", CLEAT_OPT_DURATION, 0, "15s", 1000, 86400000,
	    "how often to look whether the files have changed" },
	{ .name = NULL }
};

/* ---- options ------------------------------------------------------------- */

static void
config_fini(struct config *c)
{
	for (int i = 0; i < FILES; i++)
		free(c->path[i]);
	memset(c, 0, sizeof(*c));
}

static int
config_check(struct inst *in, struct config *c)
{
	bool files = c->path[CHAIN] != NULL || c->path[KEY] != NULL ||
	    c->path[OCSP] != NULL;

	if (files && (c->path[CHAIN] == NULL || c->path[KEY] == NULL)) {
		in->host->log(in->self, CLEAT_LOG_ERROR, "chain and key are "
		    "both needed");
		return -EINVAL;
	}
	if (!files && !c->self_signed) {
		in->host->log(in->self, CLEAT_LOG_ERROR, "chain and key are "
		    "needed, or self_signed = yes");
		return -EINVAL;
	}
	c->self_signed = !files;
	return 0;
}

static int
config_read(struct inst *in, const struct cleat_opts *o, struct config *ret)
{
	struct config c = { .self_signed = false };
	const char *path;
	int err;

	c.self_signed = in->host->opt_number(in->self, o, "self_signed") != 0;
	c.poll_ms = in->host->opt_number(in->self, o, "poll");
	for (int i = 0; i < FILES; i++) {
		path = in->host->opt_text(in->self, o, file_opts[i]);
		if (path == NULL || path[0] == '\0')
			continue;
		c.path[i] = strdup(path);
		if (c.path[i] == NULL) {
			config_fini(&c);
			return -ENOMEM;
		}
	}
	err = config_check(in, &c);
	if (err < 0)
		config_fini(&c);
	else
		*ret = c;
	return err;
}

/* ---- getting it ---------------------------------------------------------- */

static void
material_fini(struct material *m)
{
	for (int i = 0; i < FILES; i++)
		pem_fini(&m->file[i]);
}

static int
read_files(struct inst *in, const struct config *c, struct material *m,
    char *why)
{
	unsigned mode = 0;
	int err;

	for (int i = 0; i < FILES; i++) {
		if (c->path[i] == NULL)
			continue;
		err = pem_read(c->path[i], why, &m->file[i], &m->stamp[i],
		    &mode);
		if (err < 0)
			return err;
		if (i != KEY || (mode & 07) == 0 || in->told_mode)
			continue;
		in->told_mode = true;
		in->host->log(in->self, CLEAT_LOG_WARNING, "%s: everybody "
		    "on this machine may read the private key (mode %04o)",
		    c->path[i], mode);
	}
	return pem_check_pair(&m->file[CHAIN], &m->file[KEY], why);
}

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
static unsigned
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
		    slot, k)) != NULL && n < SELF_SIGNED_NAMES_MAX; k++) {
			if (!known(names, n, name))
				names[n++] = name;
		}
	}
	names[n] = NULL;
	return n;
}

static int
self_sign(struct inst *in, struct material *m, char *why)
{
	const char *names[SELF_SIGNED_NAMES_MAX + 1], *dir;
	char host_name[HOST_NAME_SIZE] = "";
	bool made = false;
	int err;

	if (gethostname(host_name, sizeof(host_name) - 1) < 0)
		host_name[0] = '\0';
	(void)own_names(in, host_name, names);
	dir = in->host->state_dir(in->self);
	err = self_signed_get(dir, names, in->host->wall_ms(in->self), why,
	    &m->file[CHAIN], &m->file[KEY], &made);
	if (made)
		in->host->log(in->self, CLEAT_LOG_NOTICE,
		    "made a self-signed certificate for %s in %s/%s",
		    names[0], dir, SELF_SIGNED_FILE);
	return err;
}

static int
get(struct inst *in, const struct config *c, struct material *m, char *why)
{
	int err;

	memset(m, 0, sizeof(*m));
	err = c->self_signed ? self_sign(in, m, why) :
	    read_files(in, c, m, why);
	if (err < 0)
		material_fini(m);
	return err;
}

/* ---- publishing ---------------------------------------------------------- */

static struct cleat_bytes
bytes(const struct pem_file *f)
{
	struct cleat_bytes b = { f->p, f->n };

	return b;
}

static int
publish_slot(struct inst *in, const struct material *m, const char *slot)
{
	struct cleat_cred c = {
		.size = sizeof(c),
		.chain_pem = bytes(&m->file[CHAIN]),
		.key_pem = bytes(&m->file[KEY]),
		.ocsp_der = bytes(&m->file[OCSP]),
	};

	return in->host->cred_publish(in->self, slot, &c);
}

/* 0 when at least one slot took it, or there is none. */
static int
publish(struct inst *in, const struct material *m)
{
	const char *slot;
	int err = 0, one;
	bool any = false;

	in->refused = false;
	in->tried_ms = in->host->mono_ms(in->self);
	memcpy(in->published, m->stamp, sizeof(in->published));
	memcpy(in->seen, m->stamp, sizeof(in->seen));
	for (unsigned i = 0; (slot = in->host->slot(in->self, i)) != NULL;
	    i++) {
		one = publish_slot(in, m, slot);
		if (one < 0) {
			in->refused = true;
			err = one;
		} else {
			any = true;
		}
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
	char why[PEM_WHY_SIZE] = "";
	struct material m;
	int err;

	for (int i = 0; i < FILES; i++) {
		if (in->config.path[i] != NULL)
			pem_stamp_of(in->config.path[i], &in->published[i]);
	}
	err = get(in, &in->config, &m, why);
	if (err < 0) {
		memcpy(in->seen, in->published, sizeof(in->seen));
		tell_failed(in, NULL, why);
		return err;
	}
	err = publish(in, &m);
	material_fini(&m);
	return err;
}

static void
on_timer(void *arg)
{
	struct inst *in = arg;
	struct pem_stamp now[FILES];
	bool changed, at_rest;

	memset(now, 0, sizeof(now));
	for (int i = 0; i < FILES; i++) {
		if (in->config.path[i] != NULL)
			pem_stamp_of(in->config.path[i], &now[i]);
	}
	changed = memcmp(now, in->published, sizeof(now)) != 0;
	at_rest = memcmp(now, in->seen, sizeof(now)) == 0;
	memcpy(in->seen, now, sizeof(now));
	if (changed && !at_rest) {
		in->host->timer_set(in->timer, SETTLE_MS);
		return;
	}
	/* What failed is told to the slots; there is nobody else to tell. */
	if (changed || (in->refused && in->host->mono_ms(in->self) -
	    in->tried_ms >= RETRY_MS))
		(void)load(in);
	in->host->timer_set(in->timer, in->config.poll_ms);
}

static void
on_refresh(void *inst, const char *slot)
{
	struct inst *in = inst;
	char why[PEM_WHY_SIZE] = "";
	struct material m;

	if (get(in, &in->config, &m, why) < 0) {
		tell_failed(in, slot, why);
		return;
	}
	if (publish_slot(in, &m, slot) < 0)
		in->refused = true;
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
	err = config_read(in, NULL, &in->config);
	if (err < 0)
		free(in);
	else
		*ret = in;
	return err;
}

static int
life_start(void *inst)
{
	struct inst *in = inst;
	int err;

	err = in->host->timer_new(in->self, on_timer, in, &in->timer);
	if (err < 0)
		return err;
	err = load(in);
	if (err < 0) {
		in->host->timer_free(in->timer);
		in->timer = NULL;
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
	char why[PEM_WHY_SIZE] = "";
	int err;

	if (st == NULL)
		return -ENOMEM;
	err = config_read(in, o, &st->config);
	if (err == 0) {
		err = get(in, &st->config, &st->material, why);
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
	/* A refusal has been logged and published; the last good stays. */
	(void)publish(in, &st->material);
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
	struct inst *in = inst;

	in->host->timer_free(in->timer);
	in->timer = NULL;
}

static void
life_close(void *inst)
{
	struct inst *in = inst;

	config_fini(&in->config);
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

CLEAT_PLUGIN(CLEAT_CERT_SOURCE, NAME, "1.0", opts, &life, &ops);
