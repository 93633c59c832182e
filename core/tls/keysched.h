/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the TLS 1.3 key schedule that lives on after the handshake:
 * traffic keys from a traffic secret, and the next secret (RFC 8446 7.1 to
 * 7.3).  Pure functions, any thread.  Hashes are numbered as GnuTLS numbers its
 * MACs.
 */
#ifndef CT_TLS_KEYSCHED_H
#define CT_TLS_KEYSCHED_H

#include <stddef.h>
#include <stdint.h>

#define KEYSCHED_SECRET_MAX 48
#define KEYSCHED_IV_SIZE 12

/* Bytes of a secret under this hash: 32, 48; 0 for any other hash. */
size_t keysched_secret_size(int prf);

/* HKDF-Expand-Label with an empty context; `label` without "tls13 ", at most 12
 * characters.  -ENOMEM when the library fails (to[] is then wiped). */
int keysched_expand(int prf, const uint8_t *secret, const char *label,
    uint8_t *to, size_t n);

/* The record key and IV that belong to `secret`.  -ENOMEM. */
int keysched_traffic(int prf, const uint8_t *secret, uint8_t *key,
    size_t key_n, uint8_t iv[KEYSCHED_IV_SIZE]);

/* Replaces `secret` by the one after a KeyUpdate.  -ENOMEM: it is as before. */
int keysched_next(int prf, uint8_t *secret);

#endif
