/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a public key costs whoever checks a signature with it.  Its size is
 * chosen by who sends it: with 64 kbit one RSA signature takes half a minute of
 * CPU, and GnuTLS 3.7.9 has no limit.  Thread: any.
 */
#ifndef CT_CERT_LIMIT_H
#define CT_CERT_LIMIT_H

#include <stdbool.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define CERT_KEY_BITS_MAX 8192		/* RSA's n, or another kind's whole */
#define CERT_KEY_EXPONENT_BITS_MAX 64	/* RSA's e */

/* True also for a key that cannot be read, or of a kind that is not RSA, EC or
 * EdDSA. */
bool cert_key_too_dear(gnutls_x509_crt_t);

/* The Certificate message of a handshake (RFC 8446 4.4.2 with tls13, RFC 5246
 * 7.4.2 without): one of the keys in it is too dear, or it cannot be read. */
bool cert_message_too_dear(const gnutls_datum_t *message, bool tls13);

#endif
