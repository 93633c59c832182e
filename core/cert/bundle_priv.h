/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the bundle share: one call of cert_bundle_add() under way.
 * Every function returns 0 or negative errno with the line already written.
 */
#ifndef CT_CERT_BUNDLE_PRIV_H
#define CT_CERT_BUNDLE_PRIV_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "cert/bundle.h"

struct gather {
	struct cert_bundle *b;
	const char *file;		/* the bundle's copy */
	const char *password;		/* NULL: none */
	const char *other;		/* what was passed over; NULL: nothing */
	char *why;
	unsigned certs, keys;		/* found, also those known before */
};

/* GnuTLS has no const datum: bytes that it only reads. */
static inline gnutls_datum_t
cert_datum(const void *p, size_t n)
{
	gnutls_datum_t d;

	d.data = (unsigned char *)(uintptr_t)p;
	d.size = (unsigned)n;
	return d;
}

/* "FILE: " and the rest into why; returns `error`. */
int gather_fail(struct gather *, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what GnuTLS answered about `what`. */
int gather_vendor(struct gather *, const char *what, int gnutls_error);

/* Take the object in any case. */
int gather_cert(struct gather *, gnutls_x509_crt_t, const char *format);
int gather_key(struct gather *, gnutls_x509_privkey_t, bool was_encrypted,
    const char *format);

/* Before a password is hashed `rounds` times: -E2BIG when that is too much. */
int gather_rounds(struct gather *, unsigned rounds);
int gather_password_wrong(struct gather *, const char *what);

/* bundle_pem.c: text with PEM blocks in it. */
bool pem_is(const uint8_t *, size_t n);
int gather_pem(struct gather *, const uint8_t *, size_t n);
/* base64 without armour. */
bool base64_is(const uint8_t *, size_t n);
int gather_base64(struct gather *, const uint8_t *, size_t n);

/* bundle_der.c: one DER (or BER) object of any kind. */
bool der_is(const uint8_t *, size_t n);
int gather_der(struct gather *, const uint8_t *, size_t n, bool in_pem);

/* bundle_key.c: keys as the kinds that they come in. */
int gather_key_plain(struct gather *, const uint8_t *, size_t n, bool pkcs8,
    const char *format);
int gather_key_pkcs8(struct gather *, const uint8_t *, size_t n,
    const char *format);
/* A whole PEM block with DEK-Info. */
int gather_key_openssl(struct gather *, const uint8_t *, size_t n);

/* bundle_pkcs12.c */
int gather_pkcs12(struct gather *, const uint8_t *, size_t n);

#endif
