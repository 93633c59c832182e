/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the bundle share: one call of cert_bundle_add() under way.
 * Every function returns 0 or negative errno with the line already written.
 * Thread: the caller's.
 */
#ifndef CT_CERT_BUNDLE_PRIV_H
#define CT_CERT_BUNDLE_PRIV_H

#include <stdbool.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "cert/bundle.h"

struct gather {
	struct cert_bundle *b;
	const char *file;		/* the bundle's copy */
	const char *password;		/* NULL: none */
	const char *other;		/* what was passed over;
					 * NULL: nothing */
	char *why;
	bool certs_only;		/* keys are passed over */
	unsigned certs, keys;		/* found, also those known before */
	unsigned work;			/* of CERT_WORK_MAX, spent */
	int attempt;			/* which password its MAC told; -1 */
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
/* … about how it is encrypted; oid: of what it does not know, or NULL. */
int gather_cipher(struct gather *, const char *what, const char *oid,
    int gnutls_error);

/* Whether a private key is nothing that is looked for; then it is noted. */
bool gather_passes_keys(struct gather *);
/* Take the object in any case. */
int gather_cert(struct gather *, gnutls_x509_crt_t, const char *format);
int gather_key(struct gather *, gnutls_x509_privkey_t, bool was_encrypted,
    const char *format);

/*
 * bundle_pbe.c: before a password is tried.  -E2BIG when that takes too long,
 * -ENOTSUP for a hash that nobody here knows the price of.  gather_work() is
 * for every encryption that stands in the bytes, each tried `times` times;
 * gather_work_mac() for the MAC of a whole PKCS#12 (`rounds`: what GnuTLS has
 * read, SHA-384 and SHA-512 are long); gather_rounds() for one that the bytes
 * may have hidden.
 */
int gather_work(struct gather *, const uint8_t *, size_t n, unsigned times);
int gather_work_mac(struct gather *, const uint8_t *, size_t n, bool is_long,
    unsigned rounds, unsigned times);
int gather_rounds(struct gather *, unsigned rounds);
int gather_password_wrong(struct gather *, const char *what);

/* bundle_pem.c: text with PEM blocks in it. */
bool pem_is(const uint8_t *, size_t n);
int gather_pem(struct gather *, const uint8_t *, size_t n);
/* base64 without armour. */
bool base64_is(const uint8_t *, size_t n);
int gather_base64(struct gather *, const uint8_t *, size_t n);

/* bundle_der.c: one DER (or BER) object of any kind. */
#define DER_SEQUENCE 0x30
#define DER_INTEGER 0x02
#define DER_BITS 0x03
#define DER_OCTETS 0x04
#define DER_OID 0x06

struct tlv {
	uint8_t tag;
	bool open;			/* indefinite length (BER) */
	const uint8_t *p;
	size_t n;			/* what there is of it */
	size_t missing;			/* of what was announced */
	const uint8_t *next;
};

/* The element at p; one of indefinite length goes to the end. */
bool tlv_read(const uint8_t *p, const uint8_t *end, struct tlv *ret);
bool der_is(const uint8_t *, size_t n);
int gather_der(struct gather *, const uint8_t *, size_t n, bool in_pem);
/* Any number of them, one after the other. */
int gather_ders(struct gather *, const uint8_t *, size_t n);

/* bundle_key.c: keys as the kinds that they come in. */
int gather_key_plain(struct gather *, const uint8_t *, size_t n, bool pkcs8,
    const char *format);
int gather_key_pkcs8(struct gather *, const uint8_t *, size_t n,
    const char *format);
/*
 * bundle_ec.c: of a key that GnuTLS could not read (PKCS#8, or ECPrivateKey by
 * itself; encrypted).  1 when it has nothing to say about it.  gather_halves()
 * puts together what has found its certificate.
 */
int gather_key_ec(struct gather *, const uint8_t *, size_t n, bool pkcs8,
    bool was_encrypted, const char *format);
int gather_key_ec_encrypted(struct gather *, const uint8_t *, size_t n,
    const char *format);
int gather_halves(struct gather *);
/* A whole PEM block with DEK-Info. */
int gather_key_openssl(struct gather *, const uint8_t *, size_t n);

/* bundle_pkcs12.c */
int gather_pkcs12(struct gather *, const uint8_t *, size_t n);

#endif
