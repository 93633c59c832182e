/* SPDX-License-Identifier: Apache-2.0 */
/* Rows about what proves an identity; as in endpoints.h.
 * Tokens are never stored, only their SHA-256. */
#ifndef CT_STORE_CREDENTIALS_H
#define CT_STORE_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

struct store_db;

enum store_cred_kind { STORE_CRED_TOKEN = 1, STORE_CRED_KEY, STORE_CRED_CERT };

struct store_credential {
	uint64_t number;		/* given by the store,
					 * never used again */
	const char *endpoint;
	enum store_cred_kind kind;
	uint8_t value[32];		/* SHA-256 of token or certificate;
					 * Ed25519 public key */
	const char *label;		/* the operator's; "" none */
	int64_t created_ms, expires_ms;	/* 0 never */
	int64_t used_ms;		/* last; 0 never */
	bool revoked;
};
/* ->number is given.  -EEXIST the endpoint has it (revoked ones count). */
int store_credential_add(struct store_db *, const struct store_credential *,
    uint64_t *ret_number);
/* That very one, expired or not.  -ENOENT, -EACCES it was revoked. */
int store_credential_find(struct store_db *, const char *endpoint,
    enum store_cred_kind, const uint8_t value[32], uint64_t *ret_number);
/* How many it has that are not revoked. */
int store_credential_count(struct store_db *, const char *endpoint,
    uint64_t *ret);
int store_credential_revoke(struct store_db *, uint64_t number);
int store_credential_used(struct store_db *, uint64_t number, int64_t at_ms);
/* endpoint NULL: of all. */
int store_credential_each(struct store_db *, const char *endpoint,
    void (*fn)(void *, const struct store_credential *), void *ctx);

/* One-time tokens for enrolment. */
struct store_enrolment {
	uint64_t number;
	uint8_t sha256[32];
	const char *endpoint;		/* only for this id; "" any */
	const char *group;		/* given to who enrols; "" none */
	int64_t created_ms, expires_ms;
	uint32_t uses_left;
};
int store_enrolment_add(struct store_db *, const struct store_enrolment *,
    uint64_t *ret_number);
/* Takes one use.  -ENOENT unknown, -ETIME expired, -EDQUOT used up, -EACCES for
 * another id.  group[65] gets the group. */
int store_enrolment_take(struct store_db *, const uint8_t sha256[32],
    const char *endpoint, int64_t now_ms, char *ret_group);
int store_enrolment_remove(struct store_db *, uint64_t number);
int store_enrolment_each(struct store_db *,
    void (*fn)(void *, const struct store_enrolment *), void *ctx);

#endif
