/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate of one's own for a first start: ECDSA P-256, signed by itself.
 */
#ifndef SELF_SIGNED_H
#define SELF_SIGNED_H

#include <stdbool.h>
#include <stdint.h>

#include "cert/bundle.h"

#define SELF_SIGNED_FILE "self-signed.pem"
#define SELF_SIGNED_NAMES_MAX 128

/*
 * Adds to the bundle what is in dir/self-signed.pem (key, then certificate), or
 * makes that anew (0600) when it is not there or no good, ends within 30 days,
 * lacks one of `names` (host names, "*.x" and addresses; NULL ends), or was made
 * on another machine, of which this one is a copy.  *ret_made is set to true when
 * it is new.  Negative errno with why[CERT_WHY_SIZE].
 */
int self_signed_get(const char *dir, const char *const *names,
    int64_t now_ms, char *why, struct cert_bundle *, bool *ret_made);

#endif
