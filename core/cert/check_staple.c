/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCSP response that goes with a certificate (RFC 6960), which one with
 * Must-Staple (RFC 7633) has to have.
 */
#include "cert/check_priv.h"

#include <time.h>

#include <gnutls/ocsp.h>
#include <gnutls/x509.h>

/* NULL, or what is wrong with it whatever the time. */
static const char *
staple_fault(const struct cert_chain *ch, gnutls_ocsp_resp_t resp)
{
	unsigned status = 0, verify = 0;

	if (gnutls_ocsp_resp_check_crt(resp, 0, ch->crt[0]->crt) < 0)
		return "is for another certificate";
	if (gnutls_ocsp_resp_get_single(resp, 0, NULL, NULL, NULL, NULL,
	    &status, NULL, NULL, NULL, NULL) < 0)
		return "is damaged";
	if (status != GNUTLS_OCSP_CERT_GOOD)
		return "does not say that the certificate is good";
	if (ch->n > 1 && (gnutls_ocsp_resp_verify_direct(resp,
	    ch->crt[1]->crt, &verify, GNUTLS_VERIFY_DISABLE_TIME_CHECKS) < 0 ||
	    verify != 0))
		return "is not signed by the certificate's issuer";
	return NULL;
}

static const char *
staple_stale(gnutls_ocsp_resp_t resp, int64_t now_s)
{
	time_t from = -1, next = -1;

	if (gnutls_ocsp_resp_get_single(resp, 0, NULL, NULL, NULL, NULL, NULL,
	    &from, &next, NULL, NULL) < 0)
		return "is damaged";
	if (from > now_s + CERT_STAPLE_SKEW_S)
		return "is not valid yet";
	if ((next == (time_t)-1 ? from + CERT_STAPLE_AGE_S : next) <= now_s)
		return "is out of date";
	return NULL;
}

void
check_staple(struct checking *c)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)c->spec->staple,
	    (unsigned)c->spec->staple_n };
	gnutls_ocsp_resp_t resp = NULL;
	const char *fault = "cannot be read";

	if (c->spec->staple_n == 0) {
		if (c->leaf.must_staple)
			cert_found(c->to, "staple", CERT_ERROR, c->ch->crt[0],
			    "must be sent with an OCSP response (Must-Staple), "
			    "and there is none: name its file (ocsp of "
			    "cert-file, -ocsp of cleat-certmgr)");
		return;
	}
	if (gnutls_ocsp_resp_init(&resp) < 0)
		return;
	if (gnutls_ocsp_resp_import(resp, &d) >= 0)
		fault = staple_fault(c->ch, resp);
	if (fault == NULL)
		fault = staple_stale(resp, c->spec->now_s);
	gnutls_ocsp_resp_deinit(resp);
	if (fault != NULL && c->leaf.must_staple)
		cert_found(c->to, "staple", CERT_ERROR, c->ch->crt[0], "must "
		    "be sent with an OCSP response (Must-Staple), and the one "
		    "there %s: fetch it anew", fault);
	else if (fault != NULL)
		cert_found(c->to, "staple", CERT_WARNING, c->ch->crt[0], "has "
		    "an OCSP response that %s: fetch it anew", fault);
}

bool
cert_staple_fits(const struct cert_chain *ch, const void *der, size_t n)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)der, (unsigned)n };
	gnutls_ocsp_resp_t resp = NULL;
	bool fits;

	if (gnutls_ocsp_resp_init(&resp) < 0)
		return false;
	fits = gnutls_ocsp_resp_import(resp, &d) >= 0 &&
	    staple_fault(ch, resp) == NULL;
	gnutls_ocsp_resp_deinit(resp);
	return fits;
}
