/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and private keys out of any number of files.  The format is
 * recognised by the content, never by the name: PKCS#12, PKCS#7 (PEM, CMS
 * armour, DER), X.509 (PEM, DER), any PEM blocks one after the other, PKCS#8
 * plain and encrypted, traditional RSA and EC keys plain and encrypted
 * (DEK-Info).
 *
 * No file costs more than a few seconds, whatever it asks for: how often a
 * password is to be hashed, and how, is read and limited before it is tried,
 * and keys with which a signature takes long are refused.  Blocking: never on a
 * worker.  Thread: one at a time.
 */
#ifndef CT_CERT_BUNDLE_H
#define CT_CERT_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/file.h"

#define CERT_BUNDLE_CERTS 1024		/* of all files together */
#define CERT_BUNDLE_KEYS 128
#define CERT_BUNDLE_FILES 256
#define CERT_BUNDLE_HALVES 16
/* For the passwords of one file: rounds of PBKDF2 with HMAC-SHA256, or what
 * takes as long, one or two seconds. */
#define CERT_WORK_MAX 8000000u

/* These are GnuTLS's gnutls_x509_crt_t and gnutls_x509_privkey_t. */
struct gnutls_x509_crt_int;
struct gnutls_x509_privkey_int;

/* Where something came from, for people. */
struct cert_origin {
	const char *file;		/* as it was named; "": not a file */
	const char *format;		/* "PKCS#12", "PEM", … */
	unsigned at;			/* the how manieth of its
					 * kind there: 1 … */
};

struct cert_item {
	struct gnutls_x509_crt_int *crt;
	uint8_t sha256[32];		/* of the DER form */
	struct cert_origin from;
};

struct cert_key {
	struct gnutls_x509_privkey_int *key;
	uint8_t id[32];			/* SHA-256 of its public half (SPKI) */
	bool was_encrypted;
	struct cert_origin from;
};

/* Of an EC key that came without its public half; private to bundle*.c. */
struct cert_half {
	uint8_t scalar[66];
	size_t n;
	int curve;			/* GnuTLS's */
	bool was_encrypted;
	struct cert_origin from;
};

struct cert_bundle {
	struct cert_item *certs;	/* each one once */
	size_t certs_n;
	struct cert_key *keys;		/* each one once */
	size_t keys_n;
	size_t duplicates;		/* certificates dropped for that */
	/* private to bundle*.c */
	char *files[CERT_BUNDLE_FILES];
	size_t files_n;
	/* keys that wait for a certificate */
	struct cert_half halves[CERT_BUNDLE_HALVES];
	size_t halves_n;
};

int cert_bundle_new(struct cert_bundle **ret);	/* -ENOMEM */
void cert_bundle_free(struct cert_bundle **);	/* keys are wiped */

/*
 * Adds everything that is in n bytes; `file` is their name for people ("" if
 * there is none).  password: NULL for none; an empty one is also tried when
 * there is none.  What is neither certificate nor key (CRL, parameters, text)
 * is passed over, but a file without either is refused.  -EINVAL (what it is
 * and what is wrong with it), -EKEYREJECTED (password missing or wrong),
 * -E2BIG (over a limit above), -ENOTSUP (known, but the library cannot),
 * -ENOMEM, each with why[CERT_WHY_SIZE]; then nothing of it was added.
 */
int cert_bundle_add(struct cert_bundle *, const char *file, const void *p,
    size_t n, const char *password, char *why);
/* The same for certificates alone: private keys are passed over, no password is
 * known.  -ENODATA: it is not damaged, but there is no certificate in it. */
int cert_bundle_add_certs(struct cert_bundle *, const char *file,
    const void *p, size_t n, char *why);
/* As cert_bundle_add(), with cert_file_read();
 * ret_stamp and ret_mode may be NULL. */
int cert_bundle_add_file(struct cert_bundle *, const char *path,
    const char *password, char *why, struct cert_stamp *ret_stamp,
    unsigned *ret_mode);

#endif
