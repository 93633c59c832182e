/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the workers: everything that is in service becomes one snapshot,
 * and one mail to each worker hands it over.
 */
#include "daemon/credentials_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/worker.h"
#include "channel/channel.h"
#include "conf/conf.h"
#include "net/net.h"

struct published *
credentials_published(const struct credentials *c, const char *slot)
{
	for (struct published *p = c->published; p != NULL; p = p->next)
		if (strcmp(p->slot, slot) == 0)
			return p;
	return NULL;
}

/* What a slot shows: what its sources published, and until they have what
 * former ones did. */
static void
fill_creds(const struct credentials *c, struct policy *p, size_t slot)
{
	const char *section = conf_section(p->conf, "slot", (unsigned)slot);
	const struct published *pub = credentials_published(c,
	    p->slot[slot].name);
	struct tls_cred **to = p->slot[slot].cred;
	bool any = false;

	for (int k = 0; k < TLS_SLOT_CREDS; k++) {
		to[k] = NULL;
		if (pub == NULL || pub->cred[k] == NULL ||
		    !conf_has_item(p->conf, section, "source", pub->source[k]))
			continue;
		to[k] = pub->cred[k];
		any = true;
	}
	for (int k = 0; pub != NULL && k < TLS_SLOT_CREDS; k++) {
		p->slot[slot].number[k] = pub->number[k];
		if (!any)
			to[k] = pub->cred[k];
	}
}

int
credentials_build(struct credentials *c, struct policy *p, char *why,
    struct tls_snapshot **ret)
{
	struct tls_challenge_spec alpn[TLS_CHALLENGES_MAX];
	struct tls_snapshot_spec spec = {
		.slots = p->slot, .slots_n = p->slots,
		.listeners = p->listener, .listeners_n = p->listeners,
		.challenges = alpn,
		.priority = p->suites.priority,
		.ticket_master = c->ticket,
		.ticket_lifetime_s = (uint32_t)(conf_ms(p->conf, "tls",
		    "ticket_lifetime") / 1000)
	};

	for (size_t i = 0; i < p->slots; i++)
		fill_creds(c, p, i);
	for (struct challenge *ch = c->alpn; ch != NULL; ch = ch->next)
		alpn[spec.challenges_n++] = (struct tls_challenge_spec){
			.name = ch->key, .cred = ch->cred
		};
	return tls_snapshot_new(&spec, why, ret);
}

static int
build_answers(struct credentials *c, struct net_answers **ret)
{
	struct net_answer_spec spec[CREDENTIALS_HTTP_MAX];
	size_t n = 0;

	for (struct challenge *ch = c->http; ch != NULL; ch = ch->next)
		spec[n++] = (struct net_answer_spec){
			.token = ch->key, .body = ch->body
		};
	return net_answers_new(spec, n, ret);
}

/* Done when the last worker serves it. */
struct serving {
	_Atomic unsigned left;
	void (*done)(void *arg, int result);
	void *arg;
};

struct delivery {
	struct mail mail;
	struct net_worker *to;
	struct channel_worker *channels;	/* NULL none */
	struct tls_snapshot *snapshot;	/* or */
	struct net_answers *answers;
	struct serving *serving;	/* may be NULL */
};

static void
deliver(struct mail *m)
{
	struct delivery *d = CT_CONTAINER(m, struct delivery, mail);
	struct serving *s = d->serving;

	if (d->snapshot != NULL)
		net_worker_set_snapshot(d->to, d->snapshot);
	/* After net: nobody is let in by the old one any more. */
	if (d->snapshot != NULL && d->channels != NULL)
		channel_worker_set_trust(d->channels, d->snapshot);
	if (d->answers != NULL)
		net_worker_set_answers(d->to, d->answers);
	tls_snapshot_unref(&d->snapshot);
	net_answers_unref(&d->answers);
	mem_free(d);
	if (s != NULL && atomic_fetch_sub(&s->left, 1) == 1) {
		s->done(s->arg, 0);
		mem_free(s);
	}
}

static struct serving *
serving_new(const struct plug_challenge *ch, unsigned workers)
{
	struct serving *s = mem_alloc(sizeof(*s));

	if (s != NULL) {
		atomic_init(&s->left, workers);
		s->done = ch->done;
		s->arg = ch->arg;
	}
	return s;
}

/*
 * Sends one of snapshot and answers to every worker: to all or to none.  Under
 * the lock, so that a later one never overtakes an earlier one.
 */
static int
send_all(struct credentials *c, struct tls_snapshot *snapshot,
    struct net_answers *answers, const struct plug_challenge *ch)
{
	struct delivery *d[CONF_WORKERS_MAX];
	struct serving *serving = NULL;
	unsigned n = c->workers.n;

	CT_ASSERT(n <= CONF_WORKERS_MAX);
	if (!c->open)
		return 0;
	for (unsigned i = 0; i < n; i++)
		d[i] = mem_calloc(1, sizeof(*d[i]));
	if (ch != NULL && ch->done != NULL)
		serving = serving_new(ch, n);
	for (unsigned i = 0; i < n; i++)
		if (d[i] == NULL || (ch != NULL && ch->done != NULL &&
		    serving == NULL)) {
			for (unsigned k = 0; k < n; k++)
				mem_free(d[k]);
			mem_free(serving);
			return -ENOMEM;
		}
	for (unsigned i = 0; i < n; i++) {
		d[i]->mail.fn = deliver;
		d[i]->to = c->workers.net[i];
		d[i]->channels = c->workers.channels == NULL ? NULL :
		    c->workers.channels[i];
		d[i]->snapshot = snapshot == NULL ? NULL :
		    tls_snapshot_ref(snapshot);
		d[i]->answers = answers == NULL ? NULL :
		    net_answers_ref(answers);
		d[i]->serving = serving;
		mailbox_post(&c->workers.worker[i]->mailbox, &d[i]->mail);
	}
	return 0;
}

int
credentials_swap(struct credentials *c, struct policy *p,
    const struct plug_challenge *ch, char *why)
{
	struct tls_snapshot *snapshot = NULL;
	int r = credentials_build(c, p, why, &snapshot);

	if (r == 0)
		r = send_all(c, snapshot, NULL, ch);
	tls_snapshot_unref(&snapshot);
	return r;
}

int
credentials_send_answers(struct credentials *c, const struct plug_challenge *ch)
{
	struct net_answers *answers = NULL;
	int r = build_answers(c, &answers);

	if (r == 0)
		r = send_all(c, NULL, answers, ch);
	net_answers_unref(&answers);
	return r;
}
