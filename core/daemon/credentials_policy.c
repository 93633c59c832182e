/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the credentials that comes from the configuration. */
#include "daemon/credentials_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "daemon/options.h"

void
policy_free(struct policy **pp)
{
	struct policy *p = *pp;

	if (p == NULL)
		return;
	for (size_t i = 0; p->slot != NULL && i < p->slots; i++)
		mem_free((void *)(uintptr_t)p->slot[i].names);
	for (size_t i = 0; p->trust != NULL && i < p->listeners; i++)
		listener_trust_free(&p->trust[i]);
	for (size_t i = 0; p->own != NULL && i < p->listeners; i++)
		mem_free(p->own[i]);
	mem_free(p->own);
	mem_free(p->slot);
	mem_free(p->trust);
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
	const char **names = mem_calloc(CONF_SLOT_NAMES_MAX + 1,
	    sizeof(*names));
	unsigned n = 0;

	if (names == NULL)
		return -ENOMEM;
	while (n < CONF_SLOT_NAMES_MAX &&
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
fill_listener(const struct conf *conf, unsigned i, struct listener_trust *t,
    struct tls_listener_spec *l, char *why)
{
	const char *section = conf_section(conf, "listener", i);
	int r = listener_trust_read(conf, section, t, why);

	l->client_auth = client_auth_of(conf_str(conf, section,
	    "client_auth"));
	l->trust = t->trust;
	return r;
}

/* What this listener speaks, if it has its own. */
static int
fill_suites(struct policy *p, size_t i, char *why)
{
	struct tls_suites *s = mem_calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return -ENOMEM;
	r = options_listener_tls(p->conf, conf_section(p->conf, "listener",
	    (unsigned)i), why, s);
	if (r != 0) {
		mem_free(s);
		return r < 0 ? r : 0;
	}
	p->own[i] = s;
	p->listener[i].priority = s->priority;
	return 0;
}

int
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
	p->trust = mem_calloc(p->listeners + 1, sizeof(*p->trust));
	p->own = mem_calloc(p->listeners + 1, sizeof(*p->own));
	if (p->slot == NULL || p->listener == NULL || p->trust == NULL ||
	    p->own == NULL)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < p->slots; i++)
		r = fill_slot(conf, (unsigned)i, &p->slot[i]);
	for (size_t i = 0; r == 0 && i < p->listeners; i++)
		r = fill_listener(conf, (unsigned)i, &p->trust[i],
		    &p->listener[i], why);
	for (size_t i = 0; r == 0 && i < p->listeners; i++)
		r = fill_suites(p, i, why);
	if (r == 0)
		r = options_tls(conf, why, &p->suites);
	if (r == 0)
		r = options_expiry(conf, why, p->expiry, &p->expiry_n);
	if (r != 0) {
		policy_free(&p);
		return r;
	}
	*ret = p;
	return 0;
}
