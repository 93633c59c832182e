/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain as TLS sends it: the certificate of a key, then each one's issuer, in
 * whatever order the files had them.  Thread: one at a time for one bundle.
 */
#ifndef CT_CERT_CHAIN_H
#define CT_CERT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/bundle.h"

#define CERT_CHAIN_MAX 16

struct cert_chain {
	/* All are the bundle's, which has to live longer. */
	const struct cert_key *key;	/* NULL: external */
	const struct cert_item *crt[CERT_CHAIN_MAX];
	size_t n;			/* at least 1 */
	bool rooted;			/* the last one names
					 * itself as issuer */
	bool anchored;			/* leads to one of the anchors */
	bool too_long;			/* goes on after the last one */
};

/*
 * The chain of one key of the bundle, or, with key NULL, of its first
 * certificate (for keys that are elsewhere).  Several certificates of the key:
 * the one that is valid at now_s and ends last.  Of several ways up that one is
 * taken whose signatures are right, that leads to an anchor (NULL: none were
 * named), whose certificates are all valid at now_s, that leads to a root; then
 * the one by the issuers that end later.  24 signatures are looked at.  -ENOKEY
 * no certificate of that key, with why[CERT_WHY_SIZE].
 */
int cert_chain_build(const struct cert_bundle *,
    const struct cert_bundle *anchors, const struct cert_key *, int64_t now_s,
    char *why, struct cert_chain *ret);

/*
 * For each key that has a certificate its chain, at most `max`; RSA and others
 * side by side.  *ret_n is at least 1, or -ENOKEY with why: no key, no
 * certificate, or they do not belong together.
 */
int cert_chain_all(const struct cert_bundle *,
    const struct cert_bundle *anchors, int64_t now_s, size_t max, char *why,
    struct cert_chain *ret, size_t *ret_n);

/* Whether an anchor is in the chain, or has signed one of it. */
bool cert_chain_reaches(const struct cert_chain *,
    const struct cert_bundle *anchors);

/* Whether a certificate of the bundle is in none of these chains (a stray). */
bool cert_chain_lacks(const struct cert_chain *, size_t n,
    const struct cert_item *);

/* PEM of the chain, and of its key (PKCS#8, not encrypted).  To be freed with
 * cert_blob_free().  -ENOMEM, -EIO. */
int cert_chain_pem(const struct cert_chain *, struct cert_blob *ret);
int cert_key_pem(const struct cert_key *, struct cert_blob *ret);

/*
 * 0 if the issuer's key verifies the signature and its name constraints allow
 * the names; else GnuTLS's gnutls_certificate_status_t.  How strong the
 * signature is, the dates, whether the issuer may sign and unknown extensions
 * are not looked at.
 */
unsigned cert_sign_status(const struct cert_item *,
    const struct cert_item *issuer);

/* Whether the key is an RSA key (also RSA-PSS): the other kind of a slot. */
bool cert_chain_is_rsa(const struct cert_chain *);

#endif
