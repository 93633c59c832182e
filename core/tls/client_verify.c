/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the server is the right one: asks the trust, in its words. */
#include <errno.h>
#include <stdio.h>

#include "cert/limit.h"
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

/* Before GnuTLS checks a signature with it. */
int
tls_client_look(gnutls_session_t s, unsigned type, unsigned when,
    unsigned incoming, const gnutls_datum_t *msg)
{
	struct tls_client *c = gnutls_session_get_ptr(s);

	(void)when;
	if (!incoming || type != GNUTLS_HANDSHAKE_CERTIFICATE_PKT ||
	    !cert_message_too_dear(msg, gnutls_protocol_get_version(s) ==
	    GNUTLS_TLS1_3))
		return 0;
	(void)snprintf(c->distrust, sizeof(c->distrust), "the server's "
	    "certificate cannot be read, or has a key that is too large to be "
	    "checked");
	return GNUTLS_E_CERTIFICATE_ERROR;
}
