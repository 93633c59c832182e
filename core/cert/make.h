/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New certificates and keys (RFC 5280): self-signed ones, a small authority and
 * what it issues, its revocation list, PKCS#12 files.  Keys are ECDSA P-256,
 * signatures SHA-256, serial numbers 126 random bits.  Thread: any.
 */
#ifndef CT_CERT_MAKE_H
#define CT_CERT_MAKE_H

#include <stddef.h>
#include <stdint.h>

#include "cert/chain.h"
#include "cert/file.h"

enum cert_make_kind {
	CERT_MAKE_SELF,			/* a server, signed by itself; no CA */
	CERT_MAKE_CA,			/* signed by itself, issues others */
	CERT_MAKE_SERVER,
	CERT_MAKE_CLIENT
};

#define CERT_SERIAL_N 16

struct cert_make_spec {
	enum cert_make_kind kind;
	const char *cn, *o, *ou;	/* cn needed and cut at 64 characters */
	/* DNS names ("*.x" allowed), addresses, URIs (with "://" or "urn:");
	 * NULL ends; NULL: none. */
	const char *const *names;
	int64_t from_s, to_s;		/* since 1970 */
	/* SERVER and CLIENT: the leaf of this chain, and its key, sign. */
	const struct cert_chain *issuer;
};

/* A key and its certificate, both PEM; the key is PKCS#8, encrypted (AES-256)
 * with a password if there is one.  Freed with cert_blob_free().  -EINVAL (a
 * name cannot stand in a certificate), -EIO, -ENOMEM,
 * with why[CERT_WHY_SIZE]. */
int cert_make(const struct cert_make_spec *, const char *password, char *why,
    struct cert_blob *ret_crt, struct cert_blob *ret_key);

struct cert_revoked {
	uint8_t serial[32];
	size_t serial_n;
	int64_t when_s;
};

/* A list (RFC 5280 5, PEM) signed by the leaf of the chain.  As above. */
int cert_make_crl(const struct cert_chain *issuer, const struct cert_revoked *,
    size_t n, uint64_t number, int64_t from_s, int64_t next_s, char *why,
    struct cert_blob *ret);

/* Key and chain as PKCS#12 (DER; AES-256, MAC with SHA-256).  As above. */
int cert_make_pkcs12(const struct cert_chain *, const char *password,
    const char *friendly, char *why, struct cert_blob *ret);

#endif
