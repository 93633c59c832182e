/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the server is the right one: asks the trust, in its words. */
#include <errno.h>
#include <stdio.h>

#include "tls/client_priv.h"

int
tls_client_judge(struct tls_client *c)
{
	struct tls_judgement j;

	tls_trust_judge(c->policy->trust, c->session, c->policy->xcred,
	    c->host, c->review, &j);
	if (j.error == -EACCES && c->go_on)
		return 0;
	if (j.error == -EACCES)
		(void)snprintf(c->distrust, sizeof(c->distrust),
		    "the server's certificate %s", j.why);
	return j.error;
}

int
tls_client_verify(gnutls_session_t s)
{
	int r = tls_client_judge(gnutls_session_get_ptr(s));

	return r == 0 ? 0 : r == -ENOMEM ? GNUTLS_E_MEMORY_ERROR :
	    GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}
