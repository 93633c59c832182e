/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials in service.  Two things are kept apart: the policy that comes
 * from the configuration (replaced as a whole by a reload) and what the sources
 * published meanwhile (kept across reloads, by slot name).
 */
#include "daemon/credentials_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "channel/channel.h"
#include "conf/conf.h"
#include "event/event.h"

struct credentials_staged {
	struct policy *policy;
	uint8_t ticket[TLS_TICKET_MASTER_SIZE];
};

/* ---- life -------------------------------------------------------------- */

int
credentials_new(struct conf *conf, const char *state_dir,
    struct event_bus *bus, const struct credentials_workers *workers,
    char *why, struct credentials **ret)
{
	struct credentials *c = mem_calloc(1, sizeof(*c));
	size_t n = strlen(state_dir) + sizeof("/ticket.master");
	int r;

	why[0] = '\0';
	if (c == NULL)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	c->bus = bus;
	c->workers = *workers;
	c->ticket_path = mem_alloc(n);
	c->began = mem_calloc(CHANNEL_BEGAN_MAX, sizeof(*c->began));
	c->began_n = 1;
	if (c->ticket_path == NULL || c->began == NULL) {
		credentials_free(&c);
		return -ENOMEM;
	}
	(void)snprintf(c->ticket_path, n, "%s/ticket.master", state_dir);
	r = policy_new(conf, why, &c->policy);
	/* Never replaced here: after a start the devices come back, and
	 * with their tickets they are cheap. */
	if (r == 0)
		r = credentials_ticket(c, conf, 0, why, c->ticket);
	if (r != 0) {
		credentials_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

static void
tell_suites(const char *whose, const struct tls_suites *s)
{
	log_notice("%s: %s", whose, s->list);
	if (s->dropped[0] != '\0')
		log_notice("%s: not spoken, though asked for: %s", whose,
		    s->dropped);
	if (s->extra[0] != '\0')
		log_notice("%s: spoken, though not asked for, as the library "
		    "combines all: %s", whose, s->extra);
}

static bool
same_suites(const struct tls_suites *a, const struct tls_suites *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a->priority, b->priority) == 0;
}

/* What is other than it was.  A reload does not change the listeners. */
static void
tell_policy(const struct policy *is, const struct policy *was)
{
	if (was == NULL || !same_suites(&is->suites, &was->suites))
		tell_suites("tls", &is->suites);
	for (size_t i = 0; i < is->listeners; i++) {
		const struct tls_suites *old = was == NULL ||
		    i >= was->listeners ? NULL : was->own[i];

		if (is->own[i] != NULL && !same_suites(is->own[i], old))
			tell_suites(conf_section(is->conf, "listener",
			    (unsigned)i), is->own[i]);
		else if (is->own[i] == NULL && old != NULL)
			log_notice("%s: as tls", conf_section(is->conf,
			    "listener", (unsigned)i));
	}
}

int
credentials_open(struct credentials *c, char *why)
{
	int r;

	tell_policy(c->policy, NULL);
	pthread_mutex_lock(&c->lock);
	c->open = true;
	r = credentials_swap(c, c->policy, NULL, why);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void
published_drop(struct published *pub, int k)
{
	tls_cred_unref(&pub->cred[k]);
	mem_free(pub->source[k]);
	pub->source[k] = NULL;
}

void
credentials_free(struct credentials **pc)
{
	struct credentials *c = *pc;
	struct published *pub;

	if (c == NULL)
		return;
	while ((pub = c->published) != NULL) {
		c->published = pub->next;
		for (int k = 0; k < TLS_SLOT_CREDS; k++)
			published_drop(pub, k);
		mem_free(pub->slot);
		mem_free(pub->error);
		mem_free(pub);
	}
	challenges_free(&c->http);
	challenges_free(&c->alpn);
	policy_free(&c->policy);
	mem_free(c->ticket_path);
	mem_free(c->began);
	mem_wipe(c->ticket, sizeof(c->ticket));
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
	*pc = NULL;
}

/* ---- what sources publish ---------------------------------------------- */

/* RSA and everything else stand side by side in a slot. */
static unsigned
place_of(const struct tls_cred *cred)
{
	struct tls_cred_info info;

	tls_cred_info(cred, &info);
	return strncmp(info.key, "RSA", 3) == 0;
}

static struct published *
published_new(const char *slot)
{
	struct published *p = mem_calloc(1, sizeof(*p));

	if (p != NULL && (p->slot = mem_strdup(slot)) == NULL) {
		mem_free(p);
		p = NULL;
	}
	return p;
}

static bool
slot_known(const struct credentials *c, const char *slot)
{
	for (size_t i = 0; i < c->policy->slots; i++)
		if (strcmp(c->policy->slot[i].name, slot) == 0)
			return true;
	return false;
}

/* Tells that a slot serves a new certificate from now on. */
static void
tell_live(struct credentials *c, const char *slot, const struct tls_cred *cred)
{
	uint8_t area[1024];
	struct outbuf out = { .p = area, .cap = sizeof(area) };
	char sha256[65], not_after[CLOCK_TEXT_SIZE];
	struct tls_cred_info info;
	struct json_out j;

	tls_cred_info(cred, &info);
	hex_write(info.sha256, sizeof(info.sha256), sha256);
	clock_text(info.not_after * 1000, not_after);
	jout_init(&j, &out);
	jout_object(&j, NULL);
	jout_string(&j, "sha256", sha256);
	jout_string(&j, "subject", info.subject);
	jout_string(&j, "not_after", not_after);
	jout_object_end(&j);
	log_notice("certificate in service slot=%s sha256=%s not_after=%s "
	    "key=\"%s\"", slot, sha256, not_after, info.key);
	event_emit(c->bus, &(struct event){
		.type = EVENT_CERTIFICATE_LIVE, .text = slot,
		.detail = (char *)area, .detail_n = jout_ok(&j) ? out.n : 0
	});
	event_kick(c->bus);
}

/* Under the lock.  Replaces what `source` had in the slot, whatever kind of key
 * that was unless `beside`; on failure all is as before. */
static int
put(struct credentials *c, struct published *pub, const char *source,
    struct tls_cred *cred, bool beside, char *why)
{
	struct published old = *pub;
	unsigned at = place_of(cred);
	char *name = mem_strdup(source);
	int r;

	if (name == NULL)
		return -ENOMEM;
	for (unsigned k = 0; k < TLS_SLOT_CREDS; k++) {
		if (k != at && (beside || pub->source[k] == NULL ||
		    strcmp(pub->source[k], source) != 0))
			continue;
		pub->cred[k] = k == at ? tls_cred_ref(cred) : NULL;
		pub->source[k] = k == at ? name : NULL;
		pub->number[k] = k == at ? began_number(c, pub, cred) : 0;
	}
	r = credentials_swap(c, c->policy, NULL, why);
	if (r != 0) {			/* the last good one stays */
		published_drop(pub, (int)at);
		old.next = pub->next;
		*pub = old;
		return r;
	}
	for (int k = 0; k < TLS_SLOT_CREDS; k++) {
		if (pub->source[k] != old.source[k])
			published_drop(&old, k);
	}
	return 0;
}

/* Under the lock.  NULL: no memory. */
static struct published *
published_of(struct credentials *c, const char *slot)
{
	struct published *pub = credentials_published(c, slot);

	if (pub == NULL && (pub = published_new(slot)) != NULL) {
		pub->next = c->published;
		c->published = pub;
	}
	return pub;
}

static bool
same_certificate(const struct tls_cred *a, const struct tls_cred *b)
{
	struct tls_cred_info of_a, of_b;

	if (a == NULL)
		return false;
	tls_cred_info(a, &of_a);
	tls_cred_info(b, &of_b);
	return memcmp(of_a.sha256, of_b.sha256, sizeof(of_a.sha256)) == 0;
}

int
credentials_put(void *ctx, const char *slot, const char *source,
    struct tls_cred *cred, bool beside)
{
	struct credentials *c = ctx;
	struct published *pub;
	bool known = false;
	char why[CREDENTIALS_WHY_SIZE] = "";
	int r = -ENOENT;

	pthread_mutex_lock(&c->lock);
	if (slot_known(c, slot)) {
		pub = published_of(c, slot);
		known = pub != NULL &&
		    same_certificate(pub->cred[place_of(cred)], cred);
		/* A known one, too: its chain or OCSP response may be new. */
		r = pub == NULL ? -ENOMEM : put(c, pub, source, cred,
		    beside, why);
		if (r == 0 && !known)
			pub->live_ms[place_of(cred)] = clock_wall_ms();
	}
	pthread_mutex_unlock(&c->lock);
	if (r == 0 && !known)
		tell_live(c, slot, cred);
	else if (r != 0)
		log_error("certificate was not put in service slot=%s "
		    "error=%s %s", slot, strerror(-r), why);
	return r;
}

/* plug/ has logged and published it; nothing in service changes.  It is kept
 * for who asks; without memory the one before stays. */
void
credentials_failed(void *ctx, const char *slot, const char *why)
{
	struct credentials *c = ctx;
	char *error = mem_strdup(why);
	struct published *pub;

	pthread_mutex_lock(&c->lock);
	pub = error != NULL && slot_known(c, slot) ? published_of(c, slot) :
	    NULL;
	if (pub != NULL) {
		mem_free(pub->error);
		pub->error = error;
		pub->error_ms = clock_wall_ms();
		error = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	mem_free(error);
}

/* ---- reload ----------------------------------------------------------- */

int
credentials_prepare(struct credentials *c, struct conf *conf, char *why,
    struct credentials_staged **ret)
{
	struct credentials_staged *s = mem_calloc(1, sizeof(*s));
	struct tls_snapshot *trial = NULL;
	int r;

	if (s == NULL)
		return -ENOMEM;
	r = policy_new(conf, why, &s->policy);
	if (r == 0)
		r = credentials_ticket(c, conf, 0, why, s->ticket);
	if (r == 0) {
		pthread_mutex_lock(&c->lock);
		r = credentials_build(c, s->policy, why, &trial);
		pthread_mutex_unlock(&c->lock);
		tls_snapshot_unref(&trial);
	}
	if (r != 0) {
		credentials_discard(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void
credentials_commit(struct credentials *c, struct credentials_staged **ps)
{
	char why[CREDENTIALS_WHY_SIZE] = "";
	struct policy *old;
	int r;

	pthread_mutex_lock(&c->lock);
	old = c->policy;
	c->policy = (*ps)->policy;
	(*ps)->policy = NULL;
	if (memcmp(c->ticket, (*ps)->ticket, sizeof(c->ticket)) != 0)
		log_notice("another ticket master is in service");
	memcpy(c->ticket, (*ps)->ticket, sizeof(c->ticket));
	r = credentials_swap(c, c->policy, NULL, why);
	pthread_mutex_unlock(&c->lock);
	tell_policy(c->policy, old);
	policy_free(&old);
	credentials_discard(ps);
	/* It could be built a moment ago: this is memory. */
	if (r != 0)
		log_error("new handshakes keep the old policy error=%s %s",
		    strerror(-r), why);
}

void
credentials_discard(struct credentials_staged **ps)
{
	if (*ps == NULL)
		return;
	policy_free(&(*ps)->policy);
	mem_wipe((*ps)->ticket, sizeof((*ps)->ticket));
	mem_free(*ps);
	*ps = NULL;
}

void
credentials_each(struct credentials *c, void (*fn)(void *,
    const struct credentials_entry *), void *arg)
{
	const struct published *pub;
	struct credentials_entry e;
	bool any;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->policy->slots; i++) {
		e = (struct credentials_entry){
			.slot = c->policy->slot[i].name };
		pub = credentials_published(c, e.slot);
		if (pub != NULL) {
			e.error = pub->error;
			e.error_ms = pub->error_ms;
			e.channels_before = began_before(c, pub);
		}
		any = false;
		for (int k = 0; pub != NULL && k < TLS_SLOT_CREDS; k++) {
			if (pub->cred[k] == NULL)
				continue;
			e.cred = pub->cred[k];
			e.source = pub->source[k];
			e.live_ms = pub->live_ms[k];
			e.channels = began_now(c, pub, k);
			fn(arg, &e);
			any = true;
		}
		if (!any)
			fn(arg, &e);
	}
	pthread_mutex_unlock(&c->lock);
}

const char *
credentials_missing(struct credentials *c)
{
	const struct published *pub;
	const char *name = NULL;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; name == NULL && i < c->policy->slots; i++) {
		pub = credentials_published(c, c->policy->slot[i].name);
		if (pub == NULL || (pub->cred[0] == NULL &&
		    pub->cred[1] == NULL))
			name = c->policy->slot[i].name;
	}
	pthread_mutex_unlock(&c->lock);
	return name;
}
