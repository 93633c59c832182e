/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to tell about a connection; nothing is decided here. */
#include <errno.h>
#include <stdio.h>

#include <gnutls/ocsp.h>

#include "tls/client_priv.h"

void
tls_client_review(struct tls_client *c, struct tls_review *review, bool go_on)
{
	c->review = review;
	c->go_on = go_on;
}

static void
put(char *to, size_t n, const char *text)
{
	(void)snprintf(to, n, "%s", text == NULL ? "" : text);
}

void
tls_client_facts(const struct tls_client *c, struct tls_client_facts *ret)
{
	gnutls_session_t s = c->session;

	put(ret->version, sizeof(ret->version), gnutls_protocol_get_name(
	    gnutls_protocol_get_version(s)));
	put(ret->suite, sizeof(ret->suite), gnutls_ciphersuite_get(s));
	put(ret->group, sizeof(ret->group), gnutls_group_get_name(
	    gnutls_group_get(s)));
	ret->asked = gnutls_certificate_client_get_request_status(s) != 0;
}

int
tls_client_sent(const struct tls_client *c, unsigned i, const void **ret,
    size_t *ret_n)
{
	unsigned n = 0;
	const gnutls_datum_t *raw = gnutls_certificate_get_peers(c->session,
	    &n);

	if (raw == NULL || i >= n)
		return -ENOENT;
	*ret = raw[i].data;
	*ret_n = raw[i].size;
	return 0;
}

int
tls_client_staple(const struct tls_client *c, const void **ret, size_t *ret_n)
{
	gnutls_datum_t d = { NULL, 0 };

	if (gnutls_ocsp_status_request_get(c->session, &d) < 0 ||
	    d.data == NULL)
		return -ENOENT;
	*ret = d.data;
	*ret_n = d.size;
	return 0;
}

void
tls_client_policy_trust_info(const struct tls_client_policy *p,
    struct tls_trust_info *ret)
{
	tls_trust_info(p->trust, ret);
}
