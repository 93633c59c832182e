/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the server is the right one: its chain and name (RFC 5280, RFC 6125),
 * and pins of public keys (as RFC 7469 2.4 makes them, without its header).
 * Must never accept because something could not be looked at.
 */
#include "tls/client_priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tls/digest.h"
#include "tls/vendor.h"

#define PATH_MAX_CERTS 8

static const char *
distrust(unsigned status)
{
	static const struct {
		unsigned flag;
		const char *text;
	} list[] = {
		{GNUTLS_CERT_REVOKED, "is revoked"},
		{GNUTLS_CERT_SIGNER_NOT_FOUND, "has an unknown issuer"},
		{GNUTLS_CERT_SIGNER_NOT_CA, "has an issuer that is no CA"},
		{GNUTLS_CERT_SIGNATURE_FAILURE, "has a wrong signature"},
		{GNUTLS_CERT_EXPIRED, "is expired"},
		{GNUTLS_CERT_NOT_ACTIVATED, "is not valid yet"},
		{GNUTLS_CERT_UNEXPECTED_OWNER, "is for another name"},
		{GNUTLS_CERT_INSECURE_ALGORITHM, "is weakly signed"},
		{GNUTLS_CERT_PURPOSE_MISMATCH, "is not for TLS servers"},
	};
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(*list); i++)
		if ((status & list[i].flag) != 0)
			return list[i].text;
	return "is not trusted";
}

/* `by` signed `what`; dates are the chain verification's business. */
static bool
signed_by(gnutls_x509_crt_t what, gnutls_x509_crt_t by)
{
	unsigned status = 0;

	return gnutls_x509_crt_verify(what, &by, 1,
	    GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS, &status) >= 0 &&
	    (status & (GNUTLS_CERT_INVALID | GNUTLS_CERT_SIGNATURE_FAILURE)) ==
	    0;
}

static int
import_chain(gnutls_session_t s, gnutls_x509_crt_t *to, unsigned *ret_n)
{
	unsigned n = 0, i;
	const gnutls_datum_t *raw = gnutls_certificate_get_peers(s, &n);

	if (raw == NULL || n == 0)
		return GNUTLS_E_NO_CERTIFICATE_FOUND;
	if (n > PATH_MAX_CERTS)
		n = PATH_MAX_CERTS;
	for (i = 0; i < n; i++) {
		int r = gnutls_x509_crt_init(&to[i]);

		if (r < 0)
			return r;
		*ret_n = i + 1;
		r = gnutls_x509_crt_import(to[i], &raw[i],
		    GNUTLS_X509_FMT_DER);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
pin_of(gnutls_x509_crt_t crt, char *to)
{
	uint8_t spki[32];
	size_t n = sizeof(spki);
	int r = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, spki,
	    &n);

	if (r < 0)
		return r;
	memcpy(to, "sha256/", 7);
	digest_base64(spki, sizeof(spki), to + 7);
	return 0;
}

static bool
pinned(const struct tls_client_policy *p, const char *text, bool ca)
{
	for (unsigned i = 0; i < p->pins_n; i++)
		if (p->pins[i].ca == ca && strcmp(p->pins[i].text, text) == 0)
			return true;
	return false;
}

/* Whether a pinned CA stands above chain[0]: each step upwards is a signature
 * that was verified, whatever else the server has sent. */
static bool
ca_pinned(const struct tls_client *c, gnutls_x509_crt_t *chain, unsigned n)
{
	gnutls_x509_crt_t at = chain[0], root = NULL;
	char text[TLS_PIN_TEXT + 1];
	bool found = false;
	unsigned used = 1, i;		/* bits of chain[] on the path */

	while (!found) {
		for (i = 0; i < n; i++)
			if ((used & 1u << i) == 0 && signed_by(at, chain[i]))
				break;
		if (i == n)
			break;
		used |= 1u << i;
		at = chain[i];
		found = pin_of(at, text) >= 0 && pinned(c->policy, text, true);
	}
	if (!found && gnutls_certificate_get_issuer(c->policy->xcred, at, &root,
	    GNUTLS_TL_GET_COPY) >= 0) {
		found = signed_by(at, root) && pin_of(root, text) >= 0 &&
		    pinned(c->policy, text, true);
		gnutls_x509_crt_deinit(root);
	}
	return found;
}

static void
say_pins(struct tls_client *c, const char *seen)
{
	const struct tls_client_policy *p = c->policy;
	size_t at = (size_t)snprintf(c->distrust, sizeof(c->distrust),
	    "the server's key does not match the pins: seen %s, expected",
	    seen);

	for (unsigned i = 0; i < p->pins_n && at < sizeof(c->distrust); i++)
		at += (size_t)snprintf(c->distrust + at,
		    sizeof(c->distrust) - at, "%s%s%s", i == 0 ? " " : " or ",
		    p->pins[i].ca ? "ca:" : "", p->pins[i].text);
}

static int
check_pins(struct tls_client *c, gnutls_x509_crt_t *chain, unsigned n)
{
	char seen[TLS_PIN_TEXT + 1];
	int r;

	if (c->policy->pins_n == 0)
		return 0;
	r = pin_of(chain[0], seen);
	if (r < 0)
		return r;
	if (pinned(c->policy, seen, false) || ca_pinned(c, chain, n))
		return 0;
	say_pins(c, seen);
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* What may be left of the verification's verdict by the switches. */
static unsigned
forgiven(const struct tls_client *c, unsigned status, gnutls_x509_crt_t leaf)
{
	const unsigned issuer = GNUTLS_CERT_SIGNER_NOT_FOUND |
	    GNUTLS_CERT_SIGNER_NOT_CA;

	if (c->policy->any_chain)
		return status & GNUTLS_CERT_UNEXPECTED_OWNER;
	if (c->policy->self_signed && gnutls_x509_crt_check_issuer(leaf,
	    leaf) != 0 && signed_by(leaf, leaf))
		return status & ~(issuer | GNUTLS_CERT_INVALID);
	return status;
}

/* The library stops looking at a chain that has no issuer, so that what is
 * forgiven is no verdict about the name and the dates. */
static unsigned
look_again(const struct tls_client *c, gnutls_x509_crt_t leaf)
{
	time_t now = time(NULL);
	unsigned status = 0;

	if (!c->policy->any_name && gnutls_x509_crt_check_hostname(leaf,
	    c->host) == 0)
		status |= GNUTLS_CERT_UNEXPECTED_OWNER;
	if (c->policy->any_chain)
		return status;
	if (gnutls_x509_crt_get_expiration_time(leaf) < now)
		status |= GNUTLS_CERT_EXPIRED;
	if (gnutls_x509_crt_get_activation_time(leaf) > now)
		status |= GNUTLS_CERT_NOT_ACTIVATED;
	return status;
}

static int
check_chain(struct tls_client *c, gnutls_x509_crt_t leaf)
{
	gnutls_typed_vdata_st data[2] = {
		{.type = GNUTLS_DT_KEY_PURPOSE_OID,
		    .data = tls_datum(GNUTLS_KP_TLS_WWW_SERVER, 0).data},
		{.type = GNUTLS_DT_DNS_HOSTNAME,
		    .data = (unsigned char *)c->host},
	};
	unsigned status = 0;
	int r = gnutls_certificate_verify_peers(c->session, data,
	    c->policy->any_name ? 1 : 2, &status);

	if (r < 0)
		return r;
	if (status != 0) {
		status = forgiven(c, status, leaf);
		if (status == 0)
			status = look_again(c, leaf);
	}
	if (status == 0)
		return 0;
	(void)snprintf(c->distrust, sizeof(c->distrust),
	    "the server's certificate %s", distrust(status));
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

int
tls_client_verify(gnutls_session_t s)
{
	struct tls_client *c = gnutls_session_get_ptr(s);
	gnutls_x509_crt_t chain[PATH_MAX_CERTS];
	unsigned n = 0;
	int r = import_chain(s, chain, &n);

	if (r >= 0)
		r = check_chain(c, chain[0]);
	if (r >= 0)
		r = check_pins(c, chain, n);
	while (n > 0)
		gnutls_x509_crt_deinit(chain[--n]);
	return r < 0 ? r : 0;
}
