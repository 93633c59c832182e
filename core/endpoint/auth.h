/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may be which endpoint (doc/security.md): here the static token file.  One
 * line an endpoint and token: "<endpoint id> <SHA-256 of the token, 64 hex
 * digits>"; empty lines and lines that start with # are skipped.  Several
 * tokens for one id are several lines.  Tokens themselves are never stored.
 *
 * An auth_file is immutable and reference-counted.  Thread: any.
 */
#ifndef CT_ENDPOINT_AUTH_H
#define CT_ENDPOINT_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth_file;

#define AUTH_TOKEN_MIN 16		/* bytes: 128 bits at the very most */
#define AUTH_TOKEN_MAX 512
#define AUTH_FILE_MAX (64 * 1024 * 1024)

/* Reads `path` (NULL: an empty file).  Blocking.  On failure why[256] says
 * file, line and what was expected.  -EINVAL, -ENOENT, -EACCES…, -ENOMEM. */
int auth_file_load(const char *path, char *why, struct auth_file **ret);
struct auth_file *auth_file_ref(struct auth_file *);
void auth_file_unref(struct auth_file **);
size_t auth_file_count(const struct auth_file *);	/* tests only */

/* Whether that is the digest of one of `endpoint`'s tokens.  The time it takes
 * does not depend on how much is right, nor on whether the endpoint exists. */
bool auth_file_has(const struct auth_file *, const char *endpoint,
    const uint8_t sha256[32]);
/* Entries are sorted by id: where those of `endpoint` begin, or would. */
size_t auth_file_find(const struct auth_file *, const char *endpoint);
/* False: behind the last. */
bool auth_file_entry(const struct auth_file *, size_t i, const char **ret_id,
    const uint8_t **ret_sha256);

/* SHA-256 of a token.  -EACCES: too short or too long for one; -EIO. */
int auth_token_digest(const char *token, uint8_t ret[32]);

#endif
