/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a judgement has seen, item by item, for a person who wants to know all
 * that is wrong and not only what was fatal first.  Written by the judgement
 * itself; nothing is decided by it.  Thread: any.
 */
#ifndef CT_TLS_REVIEW_H
#define CT_TLS_REVIEW_H

#include <stdbool.h>

enum tls_review_item {
	TLS_REVIEW_CHAIN,		/* issuers, signatures, purpose */
	TLS_REVIEW_DATES,
	TLS_REVIEW_NAME,
	TLS_REVIEW_REVOCATION,
	/* The criteria. */
	TLS_REVIEW_FIELDS, TLS_REVIEW_SANS, TLS_REVIEW_FINGERPRINT,
	TLS_REVIEW_PINS,
	TLS_REVIEW_ITEMS
};

enum tls_review_state {
	TLS_REVIEW_NOT_ASKED,		/* or it could not be looked at: text */
	TLS_REVIEW_MET,
	TLS_REVIEW_FORGIVEN,		/* not met, and a switch lets it pass */
	TLS_REVIEW_UNMET
};

#define TLS_REVIEW_TEXT 640
struct tls_review {
	bool judged;			/* the peer has shown a certificate */
	int error;			/* the judgement's: 0,
					 * -EACCES, -ENOMEM */
	char why[512];			/* of -EACCES: "is expired" */
	struct {
		enum tls_review_state state;
		/* What is not met: "is expired", several with "; "; or "". */
		char text[TLS_REVIEW_TEXT];
	} item[TLS_REVIEW_ITEMS];
};

#endif
