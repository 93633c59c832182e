/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates from files of any format, for all slots that name the instance.
 * Looks at the files when inotify tells and now and then, and publishes what
 * has changed and come to rest.  Without files it makes a self-signed
 * certificate, unless forbidden.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cleat/host.h>

#include "cert/self.h"
#include "material.h"
#include "options.h"
#include "publish.h"
#include "watch.h"

#define NAME "cert-file"
#define SETTLE_MS 1000			/* a pair is written in two steps */
#define AGAIN_MS (3600u * 1000)		/* what was refused may become good */
#define HOST_NAME_SIZE 256
#define PASSPHRASE "key_passphrase"

struct inst {
	struct cleat_self *self;
	const struct cleat_host *host;
	struct config config;
	struct cleat_timer *timer;
	struct watch *watch;
	struct publisher out;
	uint64_t published;		/* print_now() of it, or refused */
	uint64_t seen;
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

/* ---- looking ------------------------------------------------------------- */

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
		publish_failed(&in->out, NULL, why);
		return err;
	}
	err = publish(&in->out, &in->config, &m);
	material_fini(&m);
	return err;
}

/* Time alone changes what is right: of what was refused, of several in a
 * directory, of one that is to be made anew. */
static bool
is_due(struct inst *in)
{
	return (in->out.refused || in->config.self_signed ||
	    in->config.directory != NULL) &&
	    in->host->mono_ms(in->self) - in->out.tried_ms >= AGAIN_MS;
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
		publish_failed(&in->out, slot, why);
		return;
	}
	/* A failure has been told. */
	(void)publish_slot(&in->out, &in->config, &m, slot);
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
	in->out.self = self;
	in->out.host = host;
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
		live_load(&in->out.live, in->host->state_dir(in->self));
		in->out.starting = true;
		err = load(in);
		in->out.starting = false;
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
	publish_forget(&in->out);	/* other files, other expectations */
	watch_set(in->watch, &in->config);
	in->seen = in->published = print_now(in);
	/* A refusal has been logged and published; the last good stays. */
	(void)publish(&in->out, &in->config, &st->material);
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
	publish_forget(&in->out);
	live_fini(&in->out.live);
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
