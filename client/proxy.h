/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP proxy on the way (CONNECT, RFC 9110 9.3.6): which one, what is asked
 * of it and what its answer means.  No I/O.  Thread: the client's.
 */
#ifndef CT_CLIENT_PROXY_H
#define CT_CLIENT_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy_auth.h"
#include "url.h"

#define PROXY_HEAD_MAX 16384		/* of its answer */
#define PROXY_REQUEST_MAX 4096
#define PROXY_WHY_SIZE 512

enum proxy_auth { PROXY_AUTH_ANY, PROXY_AUTH_NONE, PROXY_AUTH_BASIC,
	PROXY_AUTH_DIGEST };

struct proxy {
	bool used;			/* false: there is none */
	bool from_env;			/* then no_proxy counts */
	struct url where;
	char *user, *password;		/* or NULL */
	enum proxy_auth allowed;
	struct auth_challenge challenge;
	bool asked;			/* it wants credentials */
	unsigned sent;			/* refused with credentials so often */
	unsigned nc;
};

/* `url` NULL: from the environment; "none".  `user` and `password` (or NULL)
 * come before those in the URL; `auth` "none", "basic", "digest" or NULL.
 * -EINVAL, with one line in why[PROXY_WHY_SIZE] that has no secret; -ENOMEM. */
int proxy_init(struct proxy *, const char *url, const char *user,
    const char *password, const char *auth, char *why);
void proxy_fini(struct proxy *);

/* Whether this server is reached through it. */
bool proxy_wanted(const struct proxy *, const struct url *server);
/* "host", ".example.org", "*", "10.0.0.1", "host:443", separated by commas. */
bool proxy_excluded(const char *no_proxy, const struct url *server);

/* The CONNECT request into to[PROXY_REQUEST_MAX]; a secret.  Its length or
 * -EINVAL, -EMSGSIZE, -EIO, -ENOMEM. */
int proxy_request(struct proxy *, const struct url *server, char *to);
/*
 * The head of the answer, NUL-terminated; its line ends are changed.  0 the way
 * is open; -EAGAIN connect again, with credentials; -EACCES it wants other
 * credentials, or ones that we may not send; -ECONNREFUSED it will not;
 * -EPROTO that is no proxy.  why[PROXY_WHY_SIZE] has a line.
 */
int proxy_answer(struct proxy *, char *head, char *why);

#endif
