/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a listener believes of client certificates, from its section of the
 * configuration and the files that it names.  The files are looked at again and
 * again; a change that cannot be used leaves what is in service.
 */
#ifndef CT_DAEMON_TRUST_H
#define CT_DAEMON_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "tls/snapshot.h"

struct conf;

#define TRUST_WHY_SIZE 512

struct listener_trust {
	struct tls_trust *trust;	/* NULL: client_auth = off */
	uint64_t used, seen, tried;	/* stamps of the files */
	bool late;			/* that a list is, was said */
	char error[TRUST_WHY_SIZE];	/* why the files are not used; "" */
};

/* Blocking.  -errno with why[TRUST_WHY_SIZE]. */
int listener_trust_read(const struct conf *, const char *section,
    struct listener_trust *ret, char *why);
void listener_trust_free(struct listener_trust *);

/*
 * Looks at the files.  True: they have changed, and since the last look no
 * more, and *ret_fresh is what they say.  Says what cannot be used, once for
 * each state of the files, and lists that are overdue.  Blocking.
 */
bool listener_trust_look(const struct conf *, const char *section,
    struct listener_trust *, struct tls_trust **ret_fresh);

/* A loud line for each weakening. */
void listener_trust_warn(const char *section, const struct listener_trust *);

#endif
