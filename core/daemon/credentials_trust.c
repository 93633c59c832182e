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
		p->trust[i].tried = p->trust[i].used;	/* once more */
		return r;
	}
	p->trust[i].trust = fresh;
	p->trust[i].used = p->trust[i].tried;
	tls_trust_unref(&old);
	return 0;
}

static void
tell(const char *section, struct tls_trust *fresh, int error, const char *why)
{
	struct tls_trust_info info;

	tls_trust_info(fresh, &info);
	if (error == 0)
		log_notice("[%s] new CAs or revocation lists in service "
		    "cas=%u lists=%u revoked=%zu", section, info.anchors,
		    info.crls, info.revoked);
	else
		log_error("[%s] new CAs or revocation lists are not in "
		    "service error=%s %s", section, strerror(-error), why);
}

/* The policy changes on this thread only; a file system that hangs must not
 * hold the lock. */
static void
look_at(struct credentials *c, size_t i)
{
	const struct policy *p = c->policy;
	const char *section = conf_section(p->conf, "listener", (unsigned)i);
	struct listener_trust t = p->trust[i];
	struct tls_trust *fresh = NULL;
	char why[CREDENTIALS_WHY_SIZE] = "";
	int r = 0;

	if (t.trust == NULL)
		return;
	(void)listener_trust_look(p->conf, section, &t, &fresh);
	pthread_mutex_lock(&c->lock);
	c->policy->trust[i] = t;
	if (fresh != NULL) {
		r = put(c, i, fresh, why);
		tell(section, fresh, r, why);
	}
	pthread_mutex_unlock(&c->lock);
	if (r != 0)
		tls_trust_unref(&fresh);
}

void
credentials_look(struct credentials *c)
{
	for (size_t i = 0; i < c->policy->listeners; i++)
		look_at(c, i);
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
