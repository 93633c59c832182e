/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the makers of a priority string share: suites.c resolves what an
 * operator asked for, suites_priority.c narrows a string of GnuTLS's, and
 * suites_rectangle.c makes one of a cipher list.  Any thread.
 */
#ifndef CT_TLS_SUITES_PRIV_H
#define CT_TLS_SUITES_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "tls/suites.h"

#define SUITES_CIPHERS 3

/* The ciphers that we speak. */
struct suites_cipher {
	uint32_t enc;			/* ENC_* of tls/suite_table.h */
	const char *text;		/* in a priority string */
	gnutls_cipher_algorithm_t id;
};
extern const struct suites_cipher suites_ciphers[SUITES_CIPHERS];

/* A list of TLS_LIST_SIZE bytes: a full one ends with how many more there are.
 * Items are separated by ", ". */
struct suites_lister {
	char *to;
	unsigned more;
};
void suites_list_add(struct suites_lister *, const char *text);
void suites_list_end(struct suites_lister *);

/* Appends to to[cap], with `before` between unless it is empty; cut if need
 * be. */
void suites_text_add(char *to, size_t cap, const char *before,
    const char *text);

/* Whether the string really gives a suite of the cipher and the key exchange
 * (GNUTLS_KX_UNKNOWN: any). */
bool suites_speak(gnutls_priority_t, gnutls_cipher_algorithm_t,
    gnutls_kx_algorithm_t);

/* Of a priority string what our policy has, into ret->priority; the rest into
 * ret->dropped.  -EINVAL with why[TLS_WHY_SIZE], -ENOMEM. */
int suites_from_priority(const char *asked, char *why, struct tls_suites *ret);

/* The priority string that is nearest to a cipher list, what it leaves out and
 * what it has beyond.  Errors as above. */
int suites_from_list(const char *text, bool tls12, char *why,
    struct tls_suites *ret);
/* Whether the library gives all suites that the list has by name: its own
 * policy may have less.  Errors as above. */
int suites_check_named(gnutls_priority_t, const char *text, char *why);

#endif
