/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was read goes to the slots: to each the best chain of each kind of key.
 * What cannot be used is said, and what is in service stays.
 */
#include "publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cert/choose.h"

#define SLOT_NAMES_MAX 64		/* as [slot.*] names */
#define SLOT_SIZE 128

/* What a slot was given last. */
struct given {
	char slot[SLOT_SIZE];
	bool whole[CERT_KINDS];		/* with its issuers, or needed none */
	bool had[CERT_KINDS];
	struct given *next;
};

static struct given *
given_of(struct publisher *p, const char *slot)
{
	struct given *g;

	for (g = p->given; g != NULL; g = g->next) {
		if (strcmp(g->slot, slot) == 0)
			return g;
	}
	g = strlen(slot) < SLOT_SIZE ? calloc(1, sizeof(*g)) : NULL;
	if (g == NULL)
		return NULL;
	memcpy(g->slot, slot, strlen(slot) + 1);
	g->next = p->given;
	p->given = g;
	return g;
}

void
publish_forget(struct publisher *p)
{
	struct given *g;

	while ((g = p->given) != NULL) {
		p->given = g->next;
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
put(struct publisher *p, const char *slot, const struct cert_choice *c,
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
		err = p->host->cred_publish(p->self, slot, &cred);
	} else {
		p->host->cred_failed(p->self, slot, strerror(-err));
	}
	cert_blob_free(&chain);
	cert_blob_free(&key);
	return err;
}

/* The first error is what failed; all the others have a line each. */
static void
tell(struct publisher *p, const char *slot, const struct cert_findings *f)
{
	bool first = f->errors > 0;

	for (size_t i = 0; i < f->n; i++) {
		if (first)
			p->host->cred_failed(p->self, slot, f->f[i].text);
		else
			p->host->log(p->self, f->f[i].level == CERT_NOTE ?
			    CLEAT_LOG_INFO : CLEAT_LOG_WARNING, "slot=%s %s",
			    slot, f->f[i].text);
		first = false;
	}
}

/* The daemon would serve it still, had it not been restarted: nothing but time
 * has changed. */
static bool
is_again(const struct publisher *p, const char *slot,
    const struct cert_choice *c)
{
	const struct cert_findings *f = &c->found;
	unsigned of_time = 0;

	for (size_t i = 0; i < f->n; i++)
		of_time += f->f[i].level == CERT_ERROR &&
		    (strcmp(f->f[i].check, "dates") == 0 ||
		    strcmp(f->f[i].check, "staple") == 0);
	return p->starting && f->errors > 0 && of_time == f->errors &&
	    live_knows(&p->live, slot, c->chain->crt[0]->sha256);
}

static void
remember(struct publisher *p, const char *slot, const struct cert_chain *ch)
{
	struct given *g = given_of(p, slot);
	int err;

	if (g != NULL)
		g->whole[cert_chain_is_rsa(ch)] = ch->n > 1 || ch->rooted;
	if (g != NULL)
		g->had[cert_chain_is_rsa(ch)] = true;
	err = live_put(&p->live, p->host->state_dir(p->self), slot,
	    cert_chain_is_rsa(ch), ch->crt[0]->sha256);
	if (err < 0)
		p->host->log(p->self, CLEAT_LOG_WARNING, "slot=%s: after a "
		    "restart it will not be known that this certificate was in "
		    "service: %s", slot, strerror(-err));
}

static int
publish_choice(struct publisher *p, const struct cert_choose_spec *spec,
    const char *slot, const struct cert_choice *c, bool beside)
{
	bool again = is_again(p, slot, c);
	int err = -EINVAL;

	if (c->found.errors == 0 || again)
		err = put(p, slot, c, cert_choose_staple(spec, c->chain),
		    (beside ? CLEAT_CRED_BESIDE : 0) |
		    (again ? CLEAT_CRED_AGAIN : 0));
	if (err == 0)
		remember(p, slot, c->chain);
	if (err == 0 && again)
		p->host->log(p->self, CLEAT_LOG_ERROR, "slot=%s serves what "
		    "was in service before the restart, though it would be "
		    "refused now", slot);
	tell(p, slot, &c->found);
	p->refused = p->refused || err < 0 || again;
	return err;
}

static void
fill_spec(struct publisher *p, const struct config *c, const struct material *m,
    const char *slot, const char **names, struct cert_choose_spec *spec)
{
	struct given *g = given_of(p, slot);
	unsigned n = 0;

	while (n < SLOT_NAMES_MAX && (names[n] = p->host->slot_name(p->self,
	    slot, n)) != NULL)
		n++;
	names[n] = NULL;
	*spec = (struct cert_choose_spec){
		.check = {
			.checks = CERT_CHECK_ALL, .names = names,
			.now_s = p->host->wall_ms(p->self) / 1000,
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
tell_gone(struct publisher *p, const char *slot,
    const struct cert_choice *choice)
{
	struct given *g = given_of(p, slot);

	for (int k = 0; g != NULL && k < CERT_KINDS; k++) {
		if (choice[k].chain != NULL || !g->had[k])
			continue;
		g->had[k] = false;
		p->host->log(p->self, CLEAT_LOG_WARNING, "slot=%s there is "
		    "no certificate with %s key any more: clients that need "
		    "one are refused", slot, k == CERT_KIND_RSA ? "an RSA" :
		    "an EC or Ed25519");
	}
}

int
publish_slot(struct publisher *p, const struct config *c,
    const struct material *m, const char *slot)
{
	const char *names[SLOT_NAMES_MAX + 1];
	struct cert_choice *choice = calloc(CERT_KINDS, sizeof(*choice));
	struct cert_choose_spec spec;
	int err = -ENOMEM, one;
	bool any = false, both;

	fill_spec(p, c, m, slot, names, &spec);
	if (choice != NULL)
		err = cert_choose(m->chain, m->chain_n, &spec, choice);
	if (err < 0) {
		p->host->cred_failed(p->self, slot, strerror(-err));
		p->refused = true;
		free(choice);
		return err;
	}
	both = choice[CERT_KIND_OTHER].chain != NULL &&
	    choice[CERT_KIND_RSA].chain != NULL;
	for (int k = 0; k < CERT_KINDS; k++) {
		if (choice[k].chain == NULL)
			continue;
		one = publish_choice(p, &spec, slot, &choice[k], both);
		if (one < 0)
			err = one;
		else
			any = true;
	}
	if (any)
		tell_gone(p, slot, choice);
	free(choice);
	return any ? 0 : err;
}

static void
warn_open_key(struct publisher *p, const struct material *m)
{
	if (m->open_key[0] == '\0' || strcmp(m->open_key, p->told_open) == 0)
		return;
	memcpy(p->told_open, m->open_key, sizeof(p->told_open));
	p->host->log(p->self, CLEAT_LOG_WARNING, "%s: everybody on this "
	    "machine may read the private key: chmod 0600", m->open_key);
}

int
publish(struct publisher *p, const struct config *c, const struct material *m)
{
	const char *slot;
	int err = 0, one;
	bool any = false;

	p->refused = false;
	p->tried_ms = p->host->mono_ms(p->self);
	warn_open_key(p, m);
	if (m->no_staple[0] != '\0')
		p->host->log(p->self, CLEAT_LOG_WARNING, "%s: is not there: "
		    "no OCSP response of it is sent", m->no_staple);
	for (unsigned i = 0; i < m->limited_n && i < LIMITED_MAX; i++)
		p->host->log(p->self, CLEAT_LOG_WARNING, "passed over, "
		    "because of a limit: %s", m->limited[i]);
	if (m->skipped_n > 0)
		p->host->log(p->self, CLEAT_LOG_INFO, "passed over %u "
		    "files, the last one because %s", m->skipped_n,
		    m->skipped);
	for (unsigned i = 0; (slot = p->host->slot(p->self, i)) != NULL;
	    i++) {
		one = publish_slot(p, c, m, slot);
		if (one < 0)
			err = one;
		else
			any = true;
	}
	return any ? 0 : err;
}

void
publish_failed(struct publisher *p, const char *only, const char *why)
{
	const char *slot;

	p->refused = true;
	p->tried_ms = p->host->mono_ms(p->self);
	for (unsigned i = 0; (slot = p->host->slot(p->self, i)) != NULL;
	    i++) {
		if (only == NULL || strcmp(only, slot) == 0)
			p->host->cred_failed(p->self, slot, why);
	}
}
