/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing with keys that a certificate source holds.  A handshake on a worker
 * asks; the request goes to the instance's thread by mail and is answered by
 * host->sign_done() with its number.  Each is answered exactly once: by the
 * plugin, by the time limit, or by the end of the instance; whoever takes it
 * out of `waiting` answers.  No callback is made under the lock.
 */
#include "plug/cert.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plug/host.h"
#include "plug/inst.h"
#include "plug/kinds.h"
#include "plug/plug_priv.h"

#define SCHEME_ED25519 0x0807		/* RFC 8446 4.2.3 */

struct sign {
	struct mail mail;
	struct list link;		/* linked to itself: answered */
	struct cert_part *part;
	struct tls_sign_job *job;
	uint64_t request, due_ms;
	uint32_t scheme;
	bool busy;			/* the mail or ops.sign has it */
	size_t n;
	char *key_id;			/* behind data */
	uint8_t data[];
};

static struct sign *
sign_new(struct cert_part *p, const char *key_id, const void *data, size_t n)
{
	size_t id_n = strlen(key_id) + 1;
	struct sign *s = mem_alloc(sizeof(*s) + n + id_n);

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof(*s));
	list_init(&s->link);
	s->part = p;
	s->n = n;
	s->busy = true;
	s->due_ms = clock_mono_ms() + PLUG_SIGN_TIMEOUT_MS;
	if (n > 0)
		memcpy(s->data, data, n);
	s->key_id = (char *)s->data + n;
	memcpy(s->key_id, key_id, id_n);
	return s;
}

static void
lock(struct cert_part *p)
{
	(void)pthread_mutex_lock(&p->lock);
}

static void
unlock(struct cert_part *p)
{
	(void)pthread_mutex_unlock(&p->lock);
}

/* Under the lock. */
static void
take_out(struct cert_part *p, struct sign *s, bool failed)
{
	list_remove(&s->link);
	p->waiting_n--;
	if (failed)
		p->failures++;
}

/* The mail or the op is done with it: true when nobody else needs it. */
static bool
leave(struct cert_part *p, struct sign *s)
{
	bool gone;

	lock(p);
	s->busy = false;
	gone = list_empty(&s->link);
	unlock(p);
	return gone;
}

/* Instance's thread. */
static void
on_sign(struct mail *m)
{
	struct sign *s = CT_CONTAINER(m, struct sign, mail);
	struct cert_part *p = s->part;
	struct cleat_self *self = &p->inst->self[0];
	struct cleat_sign_request r = {
		.size = sizeof(r),
		.scheme = s->scheme,
		.request = s->request,
		.key_id = s->key_id,
		.data = { s->data, s->n },
		.is_hash = s->scheme != SCHEME_ED25519,
	};
	bool wanted;

	lock(p);
	wanted = !list_empty(&s->link);
	unlock(p);
	if (self_arrived(self) && wanted)
		p->inst->module->ops.cert.sign(self->data, &r);
	if (leave(p, s))
		mem_free(s);
}

/* Worker's thread, inside of a handshake. */
static int
request(void *ctx, const char *key_id, int scheme, const void *data,
    size_t n, struct tls_sign_job *job)
{
	struct cert_part *p = ctx;
	struct sign *s = sign_new(p, key_id, data, n);
	int err = 0;

	if (s == NULL)
		return -ENOMEM;
	s->mail.fn = on_sign;
	s->job = job;
	s->scheme = (uint32_t)scheme;
	lock(p);
	if (p->stopped)
		err = -ESHUTDOWN;
	else if (p->waiting_n >= CERT_SIGN_MAX)
		err = -EBUSY;
	if (err == 0) {
		s->request = ++p->last_request;
		list_append(&p->waiting, &s->link);
		p->waiting_n++;
		p->signs++;
	}
	unlock(p);
	if (err == 0) {
		err = self_post(&p->inst->self[0], &s->mail);
		if (err == 0) {
			plugs_watch(p->inst->plugs);
			return 0;
		}
		/* It ends just now; if it has answered already, that counts. */
		lock(p);
		if (list_empty(&s->link))
			err = 0;
		else
			take_out(p, s, true);
		unlock(p);
	}
	mem_free(s);
	return err;
}

int
cert_sign_done(struct cleat_self *self, uint64_t number, int error,
    struct cleat_bytes sig)
{
	struct cert_part *p = self->inst->cert;
	struct sign *s = NULL;
	struct tls_sign_job *job = NULL;
	struct list *it;
	bool mine = false;

	if (p == NULL)
		return -ENOTSUP;
	if (error > 0)
		error = -EIO;
	if (error == 0 && (sig.p == NULL || sig.n == 0))
		error = -EINVAL;
	lock(p);
	LIST_FOREACH(it, &p->waiting) {
		s = CT_CONTAINER(it, struct sign, link);
		if (s->request != number)
			continue;
		job = s->job;
		take_out(p, s, error < 0);
		mine = !s->busy;
		break;
	}
	unlock(p);
	if (job == NULL)
		return -ENOENT;
	tls_sign_done(job, error, sig.p, sig.n);
	if (mine)
		mem_free(s);
	return 0;
}

/* Answers those that are due at now_ms with an error; UINT64_MAX: all. */
static unsigned
refuse(struct cert_part *p, uint64_t now_ms, int error)
{
	struct tls_sign_job *job;
	struct sign *s;
	unsigned n = 0;
	bool mine;

	for (;; n++) {
		lock(p);
		s = list_empty(&p->waiting) ? NULL :
		    CT_CONTAINER(list_first(&p->waiting), struct sign, link);
		if (s != NULL && s->due_ms > now_ms)
			s = NULL;
		if (s == NULL) {
			unlock(p);
			return n;
		}
		take_out(p, s, true);
		job = s->job;
		mine = !s->busy;
		unlock(p);
		tls_sign_done(job, error, NULL, 0);
		if (mine)
			mem_free(s);
	}
}

void
cert_part_expire(struct plug_inst *in, uint64_t now_ms)
{
	unsigned n = refuse(in->cert, now_ms, -ETIMEDOUT);

	if (n > 0)
		log_warning("plugin %s: did not sign in %u s, the handshakes "
		    "were ended count=%u", in->name,
		    PLUG_SIGN_TIMEOUT_MS / 1000, n);
}

bool
cert_part_waits(struct plug_inst *in)
{
	bool waits;

	lock(in->cert);
	waits = in->cert->waiting_n > 0;
	unlock(in->cert);
	return waits;
}

void
cert_part_stop(struct plug_inst *in)
{
	struct cert_part *p = in->cert;

	lock(p);
	p->stopped = true;
	unlock(p);
	(void)refuse(p, UINT64_MAX, -ESHUTDOWN);	/* how many:
							 * nobody asks */
}

void
cert_part_info(struct plug_inst *in, struct plug_info *ret)
{
	struct cert_part *p = in->cert;

	lock(p);
	ret->signs = p->signs;
	ret->sign_failures = p->failures;
	unlock(p);
}

void
cert_sign_init(struct cert_part *p)
{
	list_init(&p->waiting);
	(void)pthread_mutex_init(&p->lock, NULL);	/* always 0 on Linux */
	p->signer.request = request;
	p->signer.ctx = p;
}
