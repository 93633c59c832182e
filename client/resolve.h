/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses without waiting, by c-ares.  Its sockets are in an epoll
 * descriptor, which is the one that the caller's loop watches.  One thread.
 */
#ifndef CT_CLIENT_RESOLVE_H
#define CT_CLIENT_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

struct resolve;
struct ares_addrinfo;

/* Starts; the answer may be there at once.  -ENOMEM, -EIO. */
int resolve_new(const char *host, const char *port, struct resolve **ret);
void resolve_free(struct resolve **);		/* NULL is fine */

int resolve_fd(const struct resolve *);		/* readable: go on */
int resolve_timeout_ms(const struct resolve *);	/* -1: no such need */
/* Goes on: 0 the addresses are there, -EAGAIN, -EHOSTUNREACH with words. */
int resolve_step(struct resolve *);
const char *resolve_why(const struct resolve *);
/* Owned by the resolver. */
const struct ares_addrinfo *resolve_answer(const struct resolve *);

#endif
