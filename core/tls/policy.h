/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cleat is willing to speak: the default priority string, and the check of
 * any other.  Shared by server and client.  Thread: any.
 */
#ifndef CT_TLS_POLICY_H
#define CT_TLS_POLICY_H

#include <gnutls/gnutls.h>

/*
 * Resolves a priority string (NULL or "": the default) and checks it as
 * tls_policy_check() says.  The caller frees with gnutls_priority_deinit().
 * -EINVAL with why[TLS_WHY_SIZE], -ENOMEM.
 */
int tls_policy_resolve(const char *priority, char *why,
    gnutls_priority_t *ret);

#endif
