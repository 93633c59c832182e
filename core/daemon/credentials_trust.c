/* SPDX-License-Identifier: Apache-2.0 */
/* Whom listeners believe, while the daemon runs. */
#include "daemon/credentials_priv.h"

#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "tls/trust.h"

/* Under the lock: the listener's from now on, or nothing changes. */
static int
put(struct credentials *c, size_t i, struct tls_trust *fresh, char *why)
{
	struct policy *p = c->policy;
	struct tls_trust *old = p->trust[i].trust;
	int r;

	p->listener[i].trust = fresh;
	r = credentials_swap(c, p, NULL, why);
	if (r != 0) {
		p->listener[i].trust = old;
		return r;
	}
	p->trust[i].trust = fresh;
	p->trust[i].used = p->trust[i].tried;
	tls_trust_unref(&old);
	return 0;
}

static void
look_at(struct credentials *c, size_t i)
{
	struct listener_trust *t = &c->policy->trust[i];
	const char *section = conf_section(c->policy->conf, "listener",
	    (unsigned)i);
	struct tls_trust *fresh = NULL;
	struct tls_trust_info info;
	char why[CREDENTIALS_WHY_SIZE] = "";
	int r;

	if (!listener_trust_look(c->policy->conf, section, t, &fresh))
		return;
	tls_trust_info(fresh, &info);
	r = put(c, i, fresh, why);
	if (r != 0) {
		tls_trust_unref(&fresh);
		t->tried = t->used;	/* once more */
		log_error("[%s] new CAs or revocation lists are not in "
		    "service error=%s %s", section, strerror(-r), why);
		return;
	}
	log_notice("[%s] new CAs or revocation lists in service cas=%u "
	    "lists=%u revoked=%zu", section, info.anchors, info.crls,
	    info.revoked);
}

void
credentials_look(struct credentials *c)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->policy->listeners; i++)
		look_at(c, i);
	pthread_mutex_unlock(&c->lock);
}

void
credentials_warn(struct credentials *c)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->policy->listeners; i++)
		listener_trust_warn(conf_section(c->policy->conf, "listener",
		    (unsigned)i), &c->policy->trust[i]);
	pthread_mutex_unlock(&c->lock);
}

void
credentials_trusts(struct credentials *c, void (*fn)(void *, const char *,
    const struct tls_trust *, const char *), void *arg)
{
	const struct listener_trust *t;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->policy->listeners; i++) {
		t = &c->policy->trust[i];
		if (t->trust != NULL)
			fn(arg, conf_instance(conf_section(c->policy->conf,
			    "listener", (unsigned)i)), t->trust, t->error);
	}
	pthread_mutex_unlock(&c->lock);
}
