/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ticket master in service: the node's own, which is replaced when it is
 * old, or one that several nodes share, which only its operator replaces.
 */
#include "daemon/credentials_priv.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"

static const char *
shared(const struct conf *conf)
{
	const char *where = conf_str(conf, "tls", "ticket_master_file");

	return where == NULL || where[0] == '\0' ? NULL : where;
}

int
credentials_ticket(const struct credentials *c, const struct conf *conf,
    uint64_t rotate_s, char *why, uint8_t ret[TLS_TICKET_MASTER_SIZE])
{
	if (shared(conf) != NULL)
		return tls_ticket_master_share(shared(conf), why, ret);
	return tls_ticket_master_load(c->ticket_path, rotate_s, why, ret);
}

/* Under the lock. */
static int
rotate(struct credentials *c, char *why)
{
	uint8_t fresh[TLS_TICKET_MASTER_SIZE], old[TLS_TICKET_MASTER_SIZE];
	int r;

	r = credentials_ticket(c, c->policy->conf, conf_ms(c->policy->conf,
	    "tls", "ticket_master_rotate") / 1000, why, fresh);
	if (r == 0 && memcmp(fresh, c->ticket, sizeof(fresh)) != 0) {
		memcpy(old, c->ticket, sizeof(old));
		memcpy(c->ticket, fresh, sizeof(fresh));
		r = credentials_swap(c, c->policy, NULL, why);
		if (r == 0)
			log_notice("the ticket master was replaced");
		else		/* so that the next look sees it again */
			memcpy(c->ticket, old, sizeof(old));
		mem_wipe(old, sizeof(old));
	}
	mem_wipe(fresh, sizeof(fresh));
	return r;
}

void
credentials_rotate(struct credentials *c)
{
	char why[CREDENTIALS_WHY_SIZE] = "";
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (shared(c->policy->conf) == NULL)
		r = rotate(c, why);
	pthread_mutex_unlock(&c->lock);
	if (r != 0)
		log_error("the ticket master was not replaced error=%s %s",
		    strerror(-r), why);
}
