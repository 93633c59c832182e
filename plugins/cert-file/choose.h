/* SPDX-License-Identifier: Apache-2.0 */
/* Which of several certificates: the option `choose`, and the best of each kind
 * of key for the names of a slot. */
#ifndef CHOOSE_H
#define CHOOSE_H

#include "cert/check.h"

enum { OTHER, RSA, KINDS };		/* kinds of keys side by side */

/* NULL, or why the option cannot be understood. */
const char *choose_fault(const char *choose);
/* Whether a chain may be chosen at all. */
bool choose_allows(const char *choose, const struct cert_chain *);

struct choice {
	const struct cert_chain *chain;	/* NULL: none of this kind */
	struct cert_findings found;	/* with errors: it cannot be used */
};

/* What a slot is judged by. */
struct choose_spec {
	struct cert_check_spec check;	/* without staple */
	bool whole[KINDS];		/* has to come with its issuers */
	const struct cert_blob *staples;
	size_t staples_n;
};

/* The staple of a chain, or NULL. */
const struct cert_blob *choose_staple(const struct choose_spec *,
    const struct cert_chain *);

/* Of each kind the one that passes all checks and began last; if none passes,
 * the one that began last.  -ENOMEM. */
int choose(const struct cert_chain *, size_t n, const struct choose_spec *,
    struct choice ret[KINDS]);

#endif
