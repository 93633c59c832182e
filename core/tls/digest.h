/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, random bytes, base64 and comparisons, from GnuTLS.  Thread: any. */
#ifndef CT_TLS_DIGEST_H
#define CT_TLS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int digest_sha256(const void *p, size_t n, uint8_t ret[32]);
int digest_sha1(const void *p, size_t n, uint8_t ret[20]);
/* Unpredictable bytes; -EIO when the library has none. */
int digest_random(void *p, size_t n);
/* Constant time in the contents. */
bool digest_equal(const void *a, const void *b, size_t n);
/* Standard base64 with padding into to[4 * ((n + 2) / 3) + 1]. */
void digest_base64(const void *p, size_t n, char *to);

#endif
