/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a credential must be beyond its cryptography to be put in service for a
 * slot: valid now, not a certificate authority's, and for the slot's names.
 * And what is told about its chain.
 */
#ifndef CT_TLS_CRED_CHECK_H
#define CT_TLS_CRED_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cert_chain;
struct cert_check_spec;
struct cert_facts;
struct tls_cred;

/* `names` (NULL ends; may be NULL) may hold "*.x", for which the certificate
 * needs the same wildcard.  now_s: seconds since 1970.  again: it was in
 * service before, and its dates and its staple are not looked at.  Any thread.
 * -EINVAL with why[TLS_WHY_SIZE], -ENOMEM. */
int tls_cred_check(const struct tls_cred *, const char *const *names,
    int64_t now_s, bool again, char *why);

/* The certificates as they are sent, the leaf first: *ret_n of them, to be
 * freed with mem_free().  Any thread.  -ENOMEM, -EINVAL (the library cannot
 * encode what it has read). */
int tls_cred_chain(const struct tls_cred *, struct cert_facts **ret,
    size_t *ret_n);

/* The chain as it is sent, judged by core/cert.  Any thread.  -EINVAL with
 * why[TLS_WHY_SIZE], which tells the first error; -ENOMEM. */
int tls_cred_judge(const struct cert_chain *, const struct cert_check_spec *,
    char *why);

#endif
