/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges the leaf of a credential for a slot (RFC 5280 4.1.2.5, 4.2.1.9; RFC
 * 6125 section 6 through GnuTLS).
 */
#include "tls/cred_check.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "base/clock.h"
#include "cert/describe.h"
#include "tls/impl.h"
#include "tls/vendor.h"

static int
check_dates(gnutls_x509_crt_t leaf, int64_t now_s, char *why)
{
	int64_t from = gnutls_x509_crt_get_activation_time(leaf);
	int64_t to = gnutls_x509_crt_get_expiration_time(leaf);
	char text[CLOCK_TEXT_SIZE];

	if (now_s < from) {
		clock_text(from * 1000, text);
		return tls_why(why, -EINVAL,
		    "the certificate is not valid before %s", text);
	}
	if (now_s >= to) {
		clock_text(to * 1000, text);
		return tls_why(why, -EINVAL, "the certificate expired at %s",
		    text);
	}
	return 0;
}

/* GnuTLS matches names, not patterns: a wildcard must be there as it is. */
static bool
has_wildcard(gnutls_x509_crt_t leaf, const char *name)
{
	char san[256];
	size_t n;
	int type;

	for (unsigned i = 0; ; i++) {
		n = sizeof(san) - 1;
		type = gnutls_x509_crt_get_subject_alt_name(leaf, i, san, &n,
		    NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (type != GNUTLS_SAN_DNSNAME)
			continue;
		san[n] = '\0';
		if (strcasecmp(san, name) == 0)
			return true;
	}
}

static bool
covers(gnutls_x509_crt_t leaf, const char *name)
{
	if (strncmp(name, "*.", 2) == 0)
		return has_wildcard(leaf, name);
	return gnutls_x509_crt_check_hostname2(leaf, name, 0) != 0;
}

/* RFC 7633: clients end the handshake if it comes without a response. */
static int
check_staple(const struct tls_cred *c, gnutls_x509_crt_t leaf, int64_t now_s,
    char *why)
{
	struct cert_facts facts;
	int r = cert_describe(leaf, &facts);

	if (r < 0)
		return tls_why(why, r, "certificate: %s", strerror(-r));
	if (!facts.must_staple || tls_cred_staples(c, now_s))
		return 0;
	return tls_why(why, -EINVAL, "the certificate must be sent with an OCSP "
	    "response (Must-Staple), and %s", c->ocsp.response.data == NULL ?
	    "there is none: name its file" : now_s < c->staple_from ?
	    "the one there is not valid yet" : "the one there is out of date: "
	    "fetch it anew");
}

int
tls_cred_check(const struct tls_cred *c, const char *const *names,
    int64_t now_s, char *why)
{
	gnutls_x509_crt_t leaf = NULL;
	unsigned critical = 0;
	int r;

	r = gnutls_pcert_export_x509(
	    (gnutls_pcert_st *)(uintptr_t)&c->pcert[0], &leaf);
	if (r < 0)
		return tls_why(why, tls_vendor_errno(r), "certificate: %s",
		    gnutls_strerror(r));
	r = check_dates(leaf, now_s, why);
	if (r == 0 && gnutls_x509_crt_get_ca_status(leaf, &critical) > 0)
		r = tls_why(why, -EINVAL, "the certificate is a certificate "
		    "authority's (basicConstraints CA:TRUE), not a server's");
	if (r == 0)
		r = check_staple(c, leaf, now_s, why);
	for (; r == 0 && names != NULL && *names != NULL; names++) {
		if (!covers(leaf, *names))
			r = tls_why(why, -EINVAL, "the certificate is not for "
			    "the name %.200s", *names);
	}
	gnutls_x509_crt_deinit(leaf);
	return r;
}
