/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials in service.  Two things are kept apart: the policy that comes from
 * the configuration (replaced as a whole by a reload) and what the sources
 * published meanwhile (kept across reloads, by slot name).
 */
#include "daemon/credentials.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/worker.h"
#include "conf/conf.h"
#include "event/event.h"
#include "net/net.h"
#include "tls/snapshot.h"

#define CA_FILE_MAX (4 * 1024 * 1024)
#define NAMES_MAX 64			/* of one slot */
#define HTTP_CHALLENGES_MAX 64
#define WHY_SIZE 512

struct ca {
	uint8_t *pem;
	size_t n;
};

/* From the configuration. */
struct policy {
	struct conf *conf;
	struct tls_slot_spec *slot;
	size_t slots;
	struct tls_listener_spec *listener;
	struct ca *ca;			/* by listener */
	size_t listeners;
};

/* What a source published for a slot: one of each key type. */
struct published {
	char *slot;
	struct tls_cred *cred[TLS_SLOT_CREDS];
	struct published *next;
};

struct challenge {
	char *key, *body;		/* body: http */
	struct tls_cred *cred;		/* cred: alpn */
	struct challenge *next;
};

struct credentials {
	pthread_mutex_t lock;		/* guards all below */
	struct event_bus *bus;
	struct credentials_workers workers;
	bool open;
	struct policy *policy;
	struct published *published;
	struct challenge *http, *alpn;
	char *ticket_path;
	uint8_t ticket[TLS_TICKET_MASTER_SIZE];
};

struct credentials_staged {
	struct policy *policy;
};

/* ---- policy ---------------------------------------------------------------- */

static void
policy_free(struct policy **pp)
{
	struct policy *p = *pp;

	if (p == NULL)
		return;
	for (size_t i = 0; p->slot != NULL && i < p->slots; i++)
		mem_free((void *)(uintptr_t)p->slot[i].names);
	for (size_t i = 0; p->ca != NULL && i < p->listeners; i++)
		mem_free(p->ca[i].pem);
	mem_free(p->slot);
	mem_free(p->ca);
	mem_free(p->listener);
	conf_unref(&p->conf);
	mem_free(p);
	*pp = NULL;
}

static size_t
count_sections(const struct conf *conf, const char *kind)
{
	size_t n = 0;

	while (conf_section(conf, kind, (unsigned)n) != NULL)
		n++;
	return n;
}

static int
fill_slot(const struct conf *conf, unsigned i, struct tls_slot_spec *slot)
{
	const char *section = conf_section(conf, "slot", i), *name;
	const char **names = mem_calloc(NAMES_MAX + 1, sizeof(*names));
	unsigned n = 0;

	if (names == NULL)
		return -ENOMEM;
	while (n < NAMES_MAX &&
	    (name = conf_item(conf, section, "names", n)) != NULL)
		names[n++] = name;
	slot->name = conf_instance(section);
	slot->names = names;
	slot->is_default = conf_bool(conf, section, "default");
	return 0;
}

static enum tls_client_auth
client_auth_of(const char *word)
{
	if (strcmp(word, "required") == 0)
		return TLS_CLIENT_REQUIRED;
	return strcmp(word, "optional") == 0 ? TLS_CLIENT_OPTIONAL :
	    TLS_CLIENT_OFF;
}

static int
fill_listener(const struct conf *conf, unsigned i, struct ca *ca,
    struct tls_listener_spec *l, char *why)
{
	const char *section = conf_section(conf, "listener", i);
	const char *path = conf_str(conf, section, "ca_file");
	int r;

	l->client_auth = client_auth_of(conf_str(conf, section,
	    "client_auth"));
	if (l->client_auth == TLS_CLIENT_OFF)
		return 0;
	if (path == NULL) {
		(void)snprintf(why, WHY_SIZE, "[%s] client_auth needs ca_file",
		    section);
		return -EINVAL;
	}
	r = file_read(path, CA_FILE_MAX, &ca->pem, &ca->n);
	if (r != 0) {
		(void)snprintf(why, WHY_SIZE, "[%s] ca_file %s: %s", section,
		    path, strerror(-r));
		return r;
	}
	l->ca_pem = ca->pem;
	l->ca_n = ca->n;
	return 0;
}

static int
policy_new(struct conf *conf, char *why, struct policy **ret)
{
	struct policy *p = mem_calloc(1, sizeof(*p));
	int r = 0;

	if (p == NULL)
		return -ENOMEM;
	p->conf = conf_ref(conf);
	p->slots = count_sections(conf, "slot");
	p->listeners = count_sections(conf, "listener");
	p->slot = mem_calloc(p->slots + 1, sizeof(*p->slot));
	p->listener = mem_calloc(p->listeners + 1, sizeof(*p->listener));
	p->ca = mem_calloc(p->listeners + 1, sizeof(*p->ca));
	if (p->slot == NULL || p->listener == NULL || p->ca == NULL)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < p->slots; i++)
		r = fill_slot(conf, (unsigned)i, &p->slot[i]);
	for (size_t i = 0; r == 0 && i < p->listeners; i++)
		r = fill_listener(conf, (unsigned)i, &p->ca[i],
		    &p->listener[i], why);
	if (r == 0 && (r = tls_policy_check(conf_str(conf, "tls", "priority"),
	    why)) != 0)
		r = -EINVAL;
	if (r != 0) {
		policy_free(&p);
		return r;
	}
	*ret = p;
	return 0;
}

/* ---- snapshot and its way to the workers ------------------------------------- */

static struct published *
find_published(const struct credentials *c, const char *slot)
{
	for (struct published *p = c->published; p != NULL; p = p->next)
		if (strcmp(p->slot, slot) == 0)
			return p;
	return NULL;
}

static size_t
count_challenges(const struct challenge *ch)
{
	size_t n = 0;

	for (; ch != NULL; ch = ch->next)
		n++;
	return n;
}

/* Under the lock. */
static int
build(struct credentials *c, struct policy *p, char *why,
    struct tls_snapshot **ret)
{
	struct tls_challenge_spec alpn[TLS_CHALLENGES_MAX];
	struct tls_snapshot_spec spec = {
		.slots = p->slot, .slots_n = p->slots,
		.listeners = p->listener, .listeners_n = p->listeners,
		.challenges = alpn,
		.priority = conf_str(p->conf, "tls", "priority"),
		.ticket_master = c->ticket,
		.ticket_lifetime_s = (uint32_t)(conf_ms(p->conf, "tls",
		    "ticket_lifetime") / 1000)
	};
	const struct published *pub;

	for (size_t i = 0; i < p->slots; i++) {
		pub = find_published(c, p->slot[i].name);
		for (int k = 0; k < TLS_SLOT_CREDS; k++)
			p->slot[i].cred[k] = pub == NULL ? NULL : pub->cred[k];
	}
	for (struct challenge *ch = c->alpn; ch != NULL; ch = ch->next)
		alpn[spec.challenges_n++] = (struct tls_challenge_spec){
			.name = ch->key, .cred = ch->cred
		};
	return tls_snapshot_new(&spec, why, ret);
}

static int
build_answers(struct credentials *c, struct net_answers **ret)
{
	struct net_answer_spec spec[HTTP_CHALLENGES_MAX];
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
	struct delivery *d[64];
	struct serving *serving = NULL;
	unsigned n = c->workers.n;

	CT_ASSERT(n <= 64);
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
		d[i]->snapshot = snapshot == NULL ? NULL :
		    tls_snapshot_ref(snapshot);
		d[i]->answers = answers == NULL ? NULL :
		    net_answers_ref(answers);
		d[i]->serving = serving;
		mailbox_post(&c->workers.worker[i]->mailbox, &d[i]->mail);
	}
	return 0;
}

/* Under the lock. */
static int
swap(struct credentials *c, struct policy *p, const struct plug_challenge *ch,
    char *why)
{
	struct tls_snapshot *snapshot = NULL;
	int r = build(c, p, why, &snapshot);

	if (r == 0)
		r = send_all(c, snapshot, NULL, ch);
	tls_snapshot_unref(&snapshot);
	return r;
}

/* ---- life -------------------------------------------------------------------- */

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
	if (c->ticket_path == NULL) {
		credentials_free(&c);
		return -ENOMEM;
	}
	(void)snprintf(c->ticket_path, n, "%s/ticket.master", state_dir);
	r = policy_new(conf, why, &c->policy);
	if (r == 0)
		r = tls_ticket_master_load(c->ticket_path, conf_ms(conf, "tls",
		    "ticket_master_rotate") / 1000, why, c->ticket);
	if (r != 0) {
		credentials_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

int
credentials_open(struct credentials *c, char *why)
{
	int r;

	pthread_mutex_lock(&c->lock);
	c->open = true;
	r = swap(c, c->policy, NULL, why);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void
challenge_free(struct challenge *ch)
{
	if (ch == NULL)
		return;
	tls_cred_unref(&ch->cred);
	mem_free(ch->key);
	mem_free(ch->body);
	mem_free(ch);
}

void
credentials_free(struct credentials **pc)
{
	struct credentials *c = *pc;
	struct published *pub;
	struct challenge *ch;

	if (c == NULL)
		return;
	while ((pub = c->published) != NULL) {
		c->published = pub->next;
		for (int k = 0; k < TLS_SLOT_CREDS; k++)
			tls_cred_unref(&pub->cred[k]);
		mem_free(pub->slot);
		mem_free(pub);
	}
	while ((ch = c->http) != NULL) {
		c->http = ch->next;
		challenge_free(ch);
	}
	while ((ch = c->alpn) != NULL) {
		c->alpn = ch->next;
		challenge_free(ch);
	}
	policy_free(&c->policy);
	mem_free(c->ticket_path);
	mem_wipe(c->ticket, sizeof(c->ticket));
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
	*pc = NULL;
}

/* ---- what sources publish ------------------------------------------------------ */

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
	for (int i = 0; i < 32; i++)
		(void)snprintf(sha256 + 2 * i, 3, "%02x", info.sha256[i]);
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

int
credentials_put(void *ctx, const char *slot, struct tls_cred *cred)
{
	struct credentials *c = ctx;
	struct published *pub, *fresh = NULL;
	unsigned k = place_of(cred);
	struct tls_cred *old = NULL;
	char why[WHY_SIZE] = "";
	int r = -ENOENT;

	pthread_mutex_lock(&c->lock);
	if (slot_known(c, slot)) {
		pub = find_published(c, slot);
		if (pub == NULL && (pub = fresh = published_new(slot)) != NULL) {
			pub->next = c->published;
			c->published = pub;
		}
		r = pub == NULL ? -ENOMEM : 0;
	}
	if (r == 0) {
		old = pub->cred[k];
		pub->cred[k] = tls_cred_ref(cred);
		r = swap(c, c->policy, NULL, why);
		if (r != 0) {		/* the last good one stays */
			tls_cred_unref(&pub->cred[k]);
			pub->cred[k] = old;
			old = NULL;
		}
	}
	pthread_mutex_unlock(&c->lock);
	tls_cred_unref(&old);
	if (r == 0)
		tell_live(c, slot, cred);
	else
		log_error("certificate was not put in service slot=%s "
		    "error=%s %s", slot, strerror(-r), why);
	return r;
}

/* plug/ has logged and published it; nothing in service changes. */
void
credentials_failed(void *ctx, const char *slot, const char *why)
{
	(void)ctx;
	log_debug("a source has nothing slot=%s why=%s", slot, why);
}

/* ---- ACME challenges ------------------------------------------------------------- */

static struct challenge *
challenge_new(const struct plug_challenge *from)
{
	struct challenge *ch = mem_calloc(1, sizeof(*ch));

	if (ch == NULL)
		return NULL;
	ch->key = mem_strdup(from->key);
	if (from->body != NULL)
		ch->body = mem_strdup(from->body);
	if (from->cred != NULL)
		ch->cred = tls_cred_ref(from->cred);
	if (ch->key == NULL || (from->body != NULL && ch->body == NULL)) {
		challenge_free(ch);
		return NULL;
	}
	return ch;
}

static struct challenge *
take_out(struct challenge **list, const char *key)
{
	struct challenge *ch;

	for (; (ch = *list) != NULL; list = &ch->next)
		if (strcmp(ch->key, key) == 0) {
			*list = ch->next;
			return ch;
		}
	return NULL;
}

/* Under the lock: sends what a changed list of one kind means. */
static int
send_kind(struct credentials *c, bool http, const struct plug_challenge *ch)
{
	struct net_answers *answers = NULL;
	char why[WHY_SIZE];
	int r;

	if (!http)
		return swap(c, c->policy, ch, why);
	r = build_answers(c, &answers);
	if (r == 0)
		r = send_all(c, NULL, answers, ch);
	net_answers_unref(&answers);
	return r;
}

int
credentials_challenge(void *ctx, const struct plug_challenge *from)
{
	struct credentials *c = ctx;
	bool http = from->kind == PLUG_CHALLENGE_HTTP;
	struct challenge *ch = challenge_new(from), *old, **list;
	size_t max = http ? HTTP_CHALLENGES_MAX : TLS_CHALLENGES_MAX;
	int r;

	if (ch == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&c->lock);
	list = http ? &c->http : &c->alpn;
	old = take_out(list, from->key);
	if (count_challenges(*list) >= max) {
		r = -ENOSPC;
	} else {
		ch->next = *list;
		*list = ch;
		r = send_kind(c, http, from);
		if (r != 0)
			*list = ch->next;
	}
	if (r != 0) {
		challenge_free(ch);
		if (old != NULL) {
			old->next = *list;
			*list = old;
			old = NULL;
		}
	}
	pthread_mutex_unlock(&c->lock);
	challenge_free(old);
	return r;
}

void
credentials_challenge_remove(void *ctx, const char *key)
{
	struct credentials *c = ctx;
	struct challenge *http, *alpn;

	pthread_mutex_lock(&c->lock);
	http = take_out(&c->http, key);
	alpn = take_out(&c->alpn, key);
	/* Out of memory: it is served until the next change; harmless. */
	if (http != NULL)
		(void)send_kind(c, true, NULL);
	if (alpn != NULL)
		(void)send_kind(c, false, NULL);
	pthread_mutex_unlock(&c->lock);
	challenge_free(http);
	challenge_free(alpn);
}

/* ---- reload and rotation ----------------------------------------------------------- */

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
	if (r == 0) {
		pthread_mutex_lock(&c->lock);
		r = build(c, s->policy, why, &trial);
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
	char why[WHY_SIZE] = "";
	struct policy *old;
	int r;

	pthread_mutex_lock(&c->lock);
	old = c->policy;
	c->policy = (*ps)->policy;
	(*ps)->policy = NULL;
	r = swap(c, c->policy, NULL, why);
	pthread_mutex_unlock(&c->lock);
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
	mem_free(*ps);
	*ps = NULL;
}

void
credentials_rotate(struct credentials *c)
{
	uint8_t fresh[TLS_TICKET_MASTER_SIZE];
	char why[WHY_SIZE] = "";
	uint64_t rotate_s;
	int r;

	pthread_mutex_lock(&c->lock);
	rotate_s = conf_ms(c->policy->conf, "tls", "ticket_master_rotate") /
	    1000;
	r = tls_ticket_master_load(c->ticket_path, rotate_s, why, fresh);
	if (r == 0 && memcmp(fresh, c->ticket, sizeof(fresh)) != 0) {
		memcpy(c->ticket, fresh, sizeof(fresh));
		r = swap(c, c->policy, NULL, why);
		if (r == 0)
			log_notice("the ticket master was replaced");
	}
	pthread_mutex_unlock(&c->lock);
	mem_wipe(fresh, sizeof(fresh));
	if (r != 0)
		log_error("the ticket master was not replaced error=%s %s",
		    strerror(-r), why);
}

const char *
credentials_missing(struct credentials *c)
{
	const struct published *pub;
	const char *name = NULL;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; name == NULL && i < c->policy->slots; i++) {
		pub = find_published(c, c->policy->slot[i].name);
		if (pub == NULL || (pub->cred[0] == NULL &&
		    pub->cred[1] == NULL))
			name = c->policy->slot[i].name;
	}
	pthread_mutex_unlock(&c->lock);
	return name;
}
