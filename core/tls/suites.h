/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is spoken, from what an operator asked for: a profile, a priority string
 * of GnuTLS's, or a cipher list of OpenSSL's.  Each is resolved against what
 * the library has (its own policy file included) and what ours allows
 * (tls/policy.h).  What does not fit is dropped and told; an error is only what
 * was asked for by its own name and cannot be had, and when nothing is left.
 * Shared by server and client.  Any thread.
 */
#ifndef CT_TLS_SUITES_H
#define CT_TLS_SUITES_H

#include <stdbool.h>

#define TLS_PRIORITY_SIZE 4096
#define TLS_LIST_SIZE 1024

struct tls_suites_spec {
	/* "modern": TLS 1.3.  "intermediate": also 1.2.  "custom": what the
	 * priority says.  NULL or "": custom with a priority, else
	 * intermediate. */
	const char *profile;
	const char *priority;		/* GnuTLS; only with custom */
	/* OpenSSL; narrows modern or intermediate, and orders them. */
	const char *cipher_suite;
};

struct tls_suites {
	char priority[TLS_PRIORITY_SIZE];	/* for GnuTLS */
	char list[TLS_LIST_SIZE];	/* "TLS1.3, TLS1.2: TLS_AES_..., ..." */
	/* What was asked for, but is not spoken; "" nothing. */
	char dropped[TLS_LIST_SIZE];
	/* Spoken, not asked for: GnuTLS cannot have the others without them. */
	char extra[TLS_LIST_SIZE];
};

/* -EINVAL with why[TLS_WHY_SIZE], -ENOMEM. */
int tls_suites_resolve(const struct tls_suites_spec *, char *why,
    struct tls_suites *ret);

/*
 * On: resumption without a key exchange, when the client offers it (psk_ke;
 * psk_dhe_ke stays for the others).  Off: PSK is taken out, and told as dropped
 * if it was asked for.  For servers.  -EINVAL with why[TLS_WHY_SIZE], -ENOMEM.
 */
int tls_suites_psk_ke(struct tls_suites *, bool on, char *why);

#endif
