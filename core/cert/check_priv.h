/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of one chain that have a file of their own; check.c calls them.
 * What they find goes into c->to (cert_found()).
 */
#ifndef CT_CERT_CHECK_PRIV_H
#define CT_CERT_CHECK_PRIV_H

#include "cert/check.h"
#include "cert/describe.h"

struct checking {
	const struct cert_chain *ch;
	const struct cert_check_spec *spec;
	struct cert_facts leaf;
	struct cert_findings *to;
};

void check_chain(struct checking *);	/* check_chain.c */
void check_ca(struct checking *);	/* check_usage.c, as the next */
void check_usage(struct checking *);
void check_names(struct checking *);	/* check_names.c */
void check_staple(struct checking *);	/* check_staple.c */

#endif
