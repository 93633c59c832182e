/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP authentication as a client: challenges (RFC 7235), Basic (RFC 7617) and
 * Digest (RFC 7616) with SHA-256 or MD5 and qop "auth" or none.  What it cannot
 * do is passed over, never guessed.  Thread: any.
 */
#ifndef CT_CLIENT_PROXY_AUTH_H
#define CT_CLIENT_PROXY_AUTH_H

#include <stdbool.h>
#include <stddef.h>

/* The best of what was offered. */
struct auth_challenge {
	bool basic, digest;
	bool sha256, qop, stale, has_opaque;	/* of the digest */
	char realm[256], nonce[512], opaque[512];
};

/* Adds what one Proxy-Authenticate header offers; malformed or too long
 * challenges are left out. */
void auth_take(struct auth_challenge *, const char *value);

struct auth_digest {
	const char *user, *password, *method, *uri, *cnonce;
	unsigned nc;
};
#define AUTH_RESPONSE_SIZE 65
/* `response` of RFC 7616 3.4.1 into to[AUTH_RESPONSE_SIZE].  -ENOMEM, -EIO. */
int auth_response(const struct auth_challenge *, const struct auth_digest *,
    char *to);

/* The header's value; -EMSGSIZE; -EINVAL: the user cannot be written so; -EIO,
 * -ENOMEM.  It is a secret. */
int auth_write_digest(const struct auth_challenge *,
    const struct auth_digest *, char *to, size_t cap);
int auth_write_basic(const char *user, const char *password, char *to,
    size_t cap);

#endif
