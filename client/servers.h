/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers, best first: those a server has named (hello, drain, set-server),
 * then those of the configuration, so that a wrong list cannot lock a device
 * out.  Thread: the client's.
 */
#ifndef CT_CLIENT_SERVERS_H
#define CT_CLIENT_SERVERS_H

#include <stddef.h>

#include "url.h"

#define SERVERS_MAX 16			/* of each kind */

struct servers {
	struct url *own, *named;
	unsigned own_n, named_n;
	unsigned at;			/* the one to be tried next */
};

/* Reads `own`, and the named ones from `file` if it is there (NULL: none).  0;
 * 1: the file does not hold a list that servers_name() would take, and was
 * removed; -EINVAL `own` is none; -ENOMEM, -errno of the file. */
int servers_init(struct servers *, const char *own, const char *file);
void servers_fini(struct servers *);

unsigned servers_count(const struct servers *);
/* The one to be tried now; lives until the list is changed. */
const struct url *servers_now(const struct servers *);
/* Another round starts with the best. */
void servers_first(struct servers *);
/* The next; returns whether the round is over (and the best is next). */
int servers_next(struct servers *);

/* Replaces the named ones (text as above; "" none) and writes them to `file`
 * (NULL: kept in memory only).  -EINVAL, -ENOMEM, -errno of the file: the list
 * in memory has changed then. */
int servers_name(struct servers *, const char *text, const char *file);

#endif
