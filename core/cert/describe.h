/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told to people about a certificate.  All text is UTF-8 without
 * control characters, cut at a whole character.  Thread: any.
 */
#ifndef CT_CERT_DESCRIBE_H
#define CT_CERT_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gnutls_x509_crt_int;

struct cert_name {
	char cn[128], o[128], ou[128];	/* "": none */
	char dn[256];			/* RFC 4514 */
};

struct cert_facts {
	struct cert_name subject, issuer;
	char names[1024];		/* DNS, IP and URI, ", " between them */
	unsigned names_n;		/* also those that found no room */
	int64_t not_before, not_after;	/* seconds since 1970 */
	char key[32];			/* "EC/ECDSA 256 bits" */
	char signature[32];		/* "RSA-SHA256" */
	char serial[65];		/* hex */
	uint8_t sha256[32], sha1[20];	/* of the DER form */
	uint8_t spki_sha256[32];	/* what a pin is made of */
	bool self_signed, ca, must_staple;
};

/* -ENOMEM, -EINVAL (the library cannot encode what it has read). */
int cert_describe(struct gnutls_x509_crt_int *, struct cert_facts *ret);

/* Whether name stands in it as a DNS name, letter for letter in either case: a
 * pattern matches only itself.  For a name of at most 255 bytes. */
bool cert_has_san(struct gnutls_x509_crt_int *, const char *name);

/* Local time, "2024-06-11 15:59:16", into to[CERT_TIME_SIZE]. */
#define CERT_TIME_SIZE 32
void cert_time(int64_t s, char *to);

#endif
