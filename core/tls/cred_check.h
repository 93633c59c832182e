/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a credential must be beyond its cryptography to be put in service for a
 * slot: valid now, not a certificate authority's, and for the slot's names.
 */
#ifndef CT_TLS_CRED_CHECK_H
#define CT_TLS_CRED_CHECK_H

#include <stdint.h>

struct tls_cred;

/* `names` (NULL ends; may be NULL) may hold "*.x", for which the certificate
 * needs the same wildcard.  now_s: seconds since 1970.  Any thread.  -EINVAL
 * with why[TLS_WHY_SIZE], -ENOMEM. */
int tls_cred_check(const struct tls_cred *, const char *const *names,
    int64_t now_s, char *why);

#endif
