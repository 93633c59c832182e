/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate of one's own for a first start: ECDSA P-256, signed by itself.
 * cert-file and cleat-certmgr keep theirs by this.  Blocking:
 * never on a worker.  Thread: any.
 */
#ifndef CT_CERT_SELF_H
#define CT_CERT_SELF_H

#include <stdbool.h>
#include <stdint.h>

#include "cert/bundle.h"

#define CERT_SELF_FILE "self-signed.pem"
#define CERT_SELF_NAMES_MAX 128

/*
 * A bundle of what is in dir/self-signed.pem (key, then certificate), or
 * makes that anew (0600) when it is not there or no good, ends within 30 days,
 * lacks one of `names` (host names, "*.x" and addresses; NULL ends), or was
 * made on another machine, of which this one is a copy.  *ret_made is set to
 * true when it is new.  Only a file of our own, or of root's, is taken: whoever
 * owns the directory could name any other there, and would be given its key.
 * Negative errno with why[CERT_WHY_SIZE].
 */
int cert_self_get(const char *dir, const char *const *names, int64_t now_s,
    char *why, struct cert_bundle **ret, bool *ret_made);

#endif
