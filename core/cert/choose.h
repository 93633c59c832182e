/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several chains is served: of each kind of key the best one,
 * as a slot has one place for RSA and one for the others.  Thread: any.
 */
#ifndef CT_CERT_CHOOSE_H
#define CT_CERT_CHOOSE_H

#include "cert/check.h"

enum cert_kind { CERT_KIND_OTHER, CERT_KIND_RSA, CERT_KINDS };

struct cert_choice {
	const struct cert_chain *chain;	/* NULL: none of this kind */
	struct cert_findings found;	/* with errors: it cannot be used */
};

/* What they are judged by. */
struct cert_choose_spec {
	struct cert_check_spec check;	/* without staple; strays are told once,
					 * with `strays` also what lost */
	bool whole[CERT_KINDS];		/* has to come with its issuers */
	const struct cert_blob *staples;
	size_t staples_n;
};

/* The staple of a chain, or NULL. */
const struct cert_blob *cert_choose_staple(const struct cert_choose_spec *,
    const struct cert_chain *);

/* Of each kind the one that passes all checks and began last; if none passes,
 * the one that began last.  -ENOMEM. */
int cert_choose(const struct cert_chain *, size_t n,
    const struct cert_choose_spec *, struct cert_choice ret[CERT_KINDS]);

#endif
