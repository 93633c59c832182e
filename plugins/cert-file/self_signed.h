/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate of one's own for a first start: ECDSA P-256, signed by itself.
 */
#ifndef SELF_SIGNED_H
#define SELF_SIGNED_H

#include <stdint.h>

#include "pem.h"

#define SELF_SIGNED_FILE "self-signed.pem"
#define SELF_SIGNED_NAMES_MAX 128

/*
 * Reads dir/self-signed.pem (key, then certificate), or makes it anew (0600)
 * when it is not there, ends within 30 days, or lacks one of `names` (host
 * names, "*.x" and addresses; NULL ends).  chain and key are two parts to be
 * freed with pem_fini().  *ret_made tells whether it is new.  Negative errno
 * with why[PEM_WHY_SIZE].
 */
int self_signed_get(const char *dir, const char *const *names,
    int64_t now_ms, char *why, struct pem_file *ret_chain,
    struct pem_file *ret_key, bool *ret_made);

#endif
