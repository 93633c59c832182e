/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what a judgement says beside its verdict; decides nothing. */
#include <stdio.h>
#include <string.h>

#include "tls/trust_priv.h"

void
tls_review_fault(struct tls_review *r, enum tls_review_item item,
    enum tls_review_state state, const char *text)
{
	size_t n;

	if (r == NULL)
		return;
	n = strlen(r->item[item].text);
	(void)snprintf(r->item[item].text + n, TLS_REVIEW_TEXT - n, "%s%s",
	    n == 0 ? "" : "; ", text);
	if (state > r->item[item].state)
		r->item[item].state = state;
}

void
tls_review_met(struct tls_review *r, enum tls_review_item item)
{
	if (r != NULL && r->item[item].state == TLS_REVIEW_NOT_ASKED &&
	    r->item[item].text[0] == '\0')
		r->item[item].state = TLS_REVIEW_MET;
}
