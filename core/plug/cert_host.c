/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate sources: what they publish is checked here, on their thread,
 * before daemon/ gets it; what they cannot publish is logged and said on the
 * bus once. A credential that fails leaves the one in service where it is.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "event/event.h"
#include "plug/cert.h"
#include "plug/host.h"
#include "plug/inst.h"
#include "plug/kinds.h"
#include "plug/plug_priv.h"
#include "plug/settings.h"
#include "tls/cred_check.h"

#define WHY_MAX 512
#define TOKEN_MAX 256			/* RFC 8555 8.3: base64url */
#define BODY_MAX 1024

struct done {
	struct mail mail;
	struct cleat_self *self;
	uint64_t request;
	int result;
};

struct refresh {
	struct mail mail;
	struct cleat_self *self;
	char slot[];
};

const char *
cert_slot(struct cleat_self *s, unsigned i)
{
	return settings_slot(s->settings, i);
}

const char *
cert_slot_name(struct cleat_self *s, const char *slot, unsigned i)
{
	return slot == NULL ? NULL : settings_slot_name(s->settings, slot, i);
}

void
cert_failed(struct cleat_self *s, const char *slot, const char *why)
{
	const struct plug_hooks *h = &s->inst->plugs->deps.hooks;
	uint8_t room[WHY_MAX * 6 + 256];
	struct outbuf out = { .p = room, .cap = sizeof(room) };
	struct event ev = { .type = EVENT_CERTIFICATE_FAILED, .text = slot };
	struct json_out j;
	size_t n;

	if (s->inst->cert == NULL || slot == NULL || why == NULL)
		return;
	n = strnlen(why, WHY_MAX);
	pthread_mutex_lock(&s->inst->cert->lock);
	(void)plug_why(s->inst->cert->why, 0, "%.*s", (int)n, why);
	pthread_mutex_unlock(&s->inst->cert->lock);
	log_warning("plugin %s: no new certificate slot=%s: %.*s",
	    s->inst->name, slot, (int)n, why);
	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_string(&j, "source", s->inst->name);
	jout_string_n(&j, "why", why, n);
	jout_object_end(&j);
	CT_ASSERT(jout_ok(&j));		/* room is for the longest escapes */
	ev.detail = (const char *)room;
	ev.detail_n = out.n;
	event_emit(s->inst->plugs->deps.bus, &ev);
	event_kick(s->inst->plugs->deps.bus);
	if (h->cred_failed != NULL)
		h->cred_failed(h->ctx, slot, why);
}

/* ---- publishing ---------------------------------------------------------- */

static int
make_cred(struct cleat_self *s, const struct cleat_cred *c, char *why,
    struct tls_cred **ret)
{
	bool has_key = c->key_pem.n > 0;
	bool has_id = c->key_id != NULL && c->key_id[0] != '\0';

	if (c->size < sizeof(*c))
		return plug_why(why, -EINVAL, "struct cleat_cred is too small");
	if (has_key == has_id)
		return plug_why(why, -EINVAL, "there must be either a key or "
		    "the id of an external one");
	if (has_key)
		return tls_cred_new(c->chain_pem.p, c->chain_pem.n,
		    c->key_pem.p, c->key_pem.n, c->ocsp_der.p, c->ocsp_der.n,
		    why, ret);
	if (s->inst->module->ops.cert.sign == NULL)
		return plug_why(why, -EINVAL, "the key is external, but "
		    "ops.sign is missing");
	return tls_cred_new_external(c->chain_pem.p, c->chain_pem.n,
	    &s->inst->cert->signer, c->key_id, c->ocsp_der.p, c->ocsp_der.n,
	    why, ret);
}

static int
check_cred(struct cleat_self *s, const char *slot,
    const struct tls_cred *cred, bool again, char *why)
{
	const char *names[CONF_SLOT_NAMES_MAX + 1] = { NULL };

	for (unsigned i = 0; i < CONF_SLOT_NAMES_MAX; i++) {
		names[i] = settings_slot_name(s->settings, slot, i);
		if (names[i] == NULL)
			break;
	}
	return tls_cred_check(cred, names, clock_wall_ms() / 1000, again,
	    why);
}

int
cert_publish(struct cleat_self *s, const char *slot,
    const struct cleat_cred *c)
{
	const struct plug_hooks *h = &s->inst->plugs->deps.hooks;
	struct tls_cred *cred = NULL;
	char why[PLUG_WHY_SIZE] = "";
	int err;

	if (s->inst->cert == NULL)
		return -ENOTSUP;
	if (slot == NULL || c == NULL)
		return -EINVAL;
	if (!settings_has_slot(s->settings, slot)) {
		cert_failed(s, slot, "this instance is not the source of the "
		    "slot");
		return -ENOENT;
	}
	err = make_cred(s, c, why, &cred);
	if (err == 0)
		err = check_cred(s, slot, cred,
		    (c->flags & CLEAT_CRED_AGAIN) != 0, why);
	if (err == 0) {
		err = h->cred_put(h->ctx, slot, s->inst->name, cred,
		    (c->flags & CLEAT_CRED_BESIDE) != 0);
		if (err < 0)
			(void)plug_why(why, 0, "it cannot be put in service: "
			    "%s", strerror(-err));
	}
	tls_cred_unref(&cred);
	if (err < 0)
		cert_failed(s, slot, why);
	return err;
}

/* ---- challenges ---------------------------------------------------------- */

static void
on_done(struct mail *m)
{
	struct done *d = CT_CONTAINER(m, struct done, mail);
	struct cleat_self *s = d->self;
	const struct cleat_cert_source_ops *ops = &s->inst->module->ops.cert;

	if (self_arrived(s) && ops->challenge_done != NULL)
		ops->challenge_done(s->data, d->request, d->result);
	mem_free(d);
}

/* Any thread, once. */
static void
challenge_done(void *arg, int result)
{
	struct done *d = arg;

	d->result = result;
	d->mail.fn = on_done;
	if (self_post(d->self, &d->mail) < 0)
		mem_free(d);
}

static int
challenge_put(struct cleat_self *s, uint64_t request,
    struct plug_challenge *c)
{
	const struct plug_hooks *h = &s->inst->plugs->deps.hooks;
	struct done *d;
	int err;

	if (h->challenge_put == NULL)
		return -ENOTSUP;
	d = mem_calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->self = s;
	d->request = request;
	c->done = challenge_done;
	c->arg = d;
	err = h->challenge_put(h->ctx, c);
	if (err < 0)
		mem_free(d);
	return err;
}

static bool
token_ok(const char *t)
{
	size_t n = t == NULL ? 0 : strlen(t);

	return n > 0 && n <= TOKEN_MAX && strspn(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

int
cert_challenge_http(struct cleat_self *s, uint64_t request,
    const char *token, const char *body)
{
	struct plug_challenge c = { .kind = PLUG_CHALLENGE_HTTP,
	    .key = token, .body = body };

	if (s->inst->cert == NULL)
		return -ENOTSUP;
	if (!token_ok(token) || body == NULL || strlen(body) > BODY_MAX)
		return -EINVAL;
	return challenge_put(s, request, &c);
}

int
cert_challenge_alpn(struct cleat_self *s, uint64_t request,
    const char *name, const struct cleat_cred *cred)
{
	struct plug_challenge c = { .kind = PLUG_CHALLENGE_ALPN,
	    .key = name };
	char why[PLUG_WHY_SIZE] = "";
	int err;

	if (s->inst->cert == NULL)
		return -ENOTSUP;
	if (name == NULL || name[0] == '\0' || cred == NULL)
		return -EINVAL;
	err = make_cred(s, cred, why, &c.cred);
	if (err < 0) {
		log_warning("plugin %s: challenge certificate refused name=%s: "
		    "%s", s->inst->name, name, why);
		return err;
	}
	err = challenge_put(s, request, &c);
	tls_cred_unref(&c.cred);
	return err;
}

void
cert_challenge_remove(struct cleat_self *s, const char *key)
{
	const struct plug_hooks *h = &s->inst->plugs->deps.hooks;

	if (s->inst->cert != NULL && key != NULL &&
	    h->challenge_remove != NULL)
		h->challenge_remove(h->ctx, key);
}

/* ---- refresh, life ------------------------------------------------------- */

static void
on_refresh(struct mail *m)
{
	struct refresh *r = CT_CONTAINER(m, struct refresh, mail);
	struct cleat_self *s = r->self;

	if (self_arrived(s))
		s->inst->module->ops.cert.refresh(s->data, r->slot);
	mem_free(r);
}

int
cert_part_refresh(struct plug_inst *in, const char *slot)
{
	size_t n = strlen(slot) + 1;
	struct refresh *r = mem_calloc(1, sizeof(*r) + n);
	int err;

	if (r == NULL)
		return -ENOMEM;
	r->mail.fn = on_refresh;
	r->self = &in->self[0];
	memcpy(r->slot, slot, n);
	err = self_post(&in->self[0], &r->mail);
	if (err < 0)
		mem_free(r);
	return err;
}

int
cert_part_new(struct plug_inst *in)
{
	struct cert_part *p = mem_calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->inst = in;
	cert_sign_init(p);
	in->cert = p;
	return 0;
}

void
cert_part_free(struct plug_inst *in)
{
	if (in->cert == NULL)
		return;
	(void)pthread_mutex_destroy(&in->cert->lock);
	mem_free(in->cert);
	in->cert = NULL;
}
