/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small help with GnuTLS's types.  Only for files of core/tls, which alone may
 * know GnuTLS.  Thread: any.
 */
#ifndef CT_TLS_VENDOR_H
#define CT_TLS_VENDOR_H

#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

/* Older ones are not taken: security fixes, and calls that we need. */
#define TLS_GNUTLS_NEEDED "3.7.9"

/* GnuTLS has no const datum: bytes that it only reads.  n <= UINT_MAX. */
static inline gnutls_datum_t
tls_datum(const void *p, size_t n)
{
	gnutls_datum_t d;

	d.data = (unsigned char *)(uintptr_t)p;
	d.size = (unsigned int)n;
	return d;
}

/* Writes one line into why[TLS_WHY_SIZE] (NULL: nowhere); returns `error`. */
int tls_why(char *why, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* -ENOMEM for the library's memory error, else -EINVAL. */
int tls_vendor_errno(int gnutls_error);

#endif
