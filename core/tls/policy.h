/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cleat is willing to speak: the default priority string, and the check of
 * any other.  Shared by server and client.  Thread: any.
 */
#ifndef CT_TLS_POLICY_H
#define CT_TLS_POLICY_H

#include <stdbool.h>

#include <gnutls/gnutls.h>

/*
 * Resolves a priority string (NULL or "": the default) and checks it as
 * tls_policy_check() says.  The caller frees with gnutls_priority_deinit().
 * -EINVAL with why[TLS_WHY_SIZE], -ENOMEM.
 */
int tls_policy_resolve(const char *priority, char *why,
    gnutls_priority_t *ret);

/* Whether the policy has it at all; numbers are GnuTLS's. */
bool tls_policy_version(unsigned int version);
bool tls_policy_cipher(unsigned int cipher);
bool tls_policy_mac(unsigned int mac);
bool tls_policy_kx(unsigned int kx);
bool tls_policy_sign(unsigned int sign);

/* The end of every priority string of our own: groups, signatures, order. */
#define TLS_POLICY_TAIL \
	":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1" \
	":+GROUP-SECP521R1" \
	":-SIGN-ALL" \
	":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256" \
	":+SIGN-EDDSA-ED25519" \
	":+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SHA384" \
	":+SIGN-ECDSA-SECP521R1-SHA512:+SIGN-ECDSA-SHA512" \
	":+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384" \
	":+SIGN-RSA-PSS-RSAE-SHA512:+SIGN-RSA-PSS-SHA256" \
	":+SIGN-RSA-PSS-SHA384:+SIGN-RSA-PSS-SHA512" \
	":+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512" \
	":%SERVER_PRECEDENCE"

#endif
