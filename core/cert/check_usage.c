/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what: basic constraints, key usage, extended key usage, and
 * critical extensions (RFC 5280 4.2, 4.2.1.3, 4.2.1.9, 4.2.1.12).
 */
#include "cert/check_priv.h"

#include <string.h>

#include <gnutls/x509.h>

#define EXTENSIONS_MAX 64

static void
check_issuer(struct checking *c, const struct cert_item *it, unsigned below)
{
	unsigned critical, ca = 0, usage;
	int path = -1, r;

	r = gnutls_x509_crt_get_basic_constraints(it->crt, &critical, &ca,
	    &path);
	/* Old roots (version 1) cannot say that they are authorities. */
	if (r < 0 && gnutls_x509_crt_get_version(it->crt) < 3)
		return;
	if (r < 0 || ca == 0) {
		cert_found(c->to, "ca", CERT_ERROR, it, "issued another one, "
		    "but is no authority's (basicConstraints): get the chain "
		    "anew");
		return;
	}
	if (path >= 0 && below > (unsigned)path)
		cert_found(c->to, "ca", CERT_ERROR, it, "allows %d authorities "
		    "below it (pathLenConstraint), and there are %u: get the "
		    "chain anew", path, below);
	if (gnutls_x509_crt_get_key_usage(it->crt, &usage, &critical) >= 0 &&
	    (usage & GNUTLS_KEY_KEY_CERT_SIGN) == 0)
		cert_found(c->to, "ca", CERT_ERROR, it, "issued another one, "
		    "but its key usage lacks keyCertSign: get the chain anew");
}

void
check_ca(struct checking *c)
{
	if (c->leaf.ca)
		cert_found(c->to, "ca", CERT_ERROR, c->ch->crt[0], "is a "
		    "certificate authority's (basicConstraints CA:TRUE), not a "
		    "%s's: use the one that it issued for this host",
		    c->spec->client ? "client" : "server");
	for (size_t i = 1; i < c->ch->n; i++)
		check_issuer(c, c->ch->crt[i], (unsigned)i - 1);
}

/* Clients ask it of issuers that have an extended key usage, too. */
static void
check_purpose(struct checking *c, const struct cert_item *it, bool leaf)
{
	const char *kind = c->spec->client ? "client" : "server";

	if (gnutls_x509_crt_check_key_purpose(it->crt, c->spec->client ?
	    GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0) != 0)
		return;
	if (leaf)
		cert_found(c->to, "usage", CERT_ERROR, it, "is not for TLS "
		    "%ss (extended key usage lacks %sAuth): ask for one that "
		    "is", kind, kind);
	else
		cert_found(c->to, "usage", CERT_ERROR, it, "is of an "
		    "authority that may not certify TLS %ss (extended key "
		    "usage lacks %sAuth): have it issued by another", kind,
		    kind);
}

/* What RFC 5280 defines, with AIA and TLS features (RFC 7633).  The library
 * knows fewer; most clients know all. */
static bool
is_known(const char *oid)
{
	static const char *const known[] = {
		"2.5.29.14", "2.5.29.15", "2.5.29.16", "2.5.29.17",
		"2.5.29.18", "2.5.29.19", "2.5.29.30", "2.5.29.31",
		"2.5.29.32", "2.5.29.33", "2.5.29.35", "2.5.29.36",
		"2.5.29.37", "2.5.29.46", "2.5.29.54",
		"1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.1.24"
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(oid, known[i]) == 0)
			return true;
	}
	return false;
}

/* RFC 5280 4.2: who does not know a critical extension refuses. */
static void
check_extensions(struct checking *c, const struct cert_item *it)
{
	char oid[128];
	unsigned critical;
	size_t n;

	for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
		n = sizeof(oid);
		if (gnutls_x509_crt_get_extension_info(it->crt, i, oid, &n,
		    &critical) < 0)
			return;
		if (critical != 0 && !is_known(oid))
			cert_found(c->to, "usage", CERT_ERROR, it, "has a "
			    "critical extension that clients do not know "
			    "(%.60s), so they refuse it: ask for one without",
			    oid);
	}
}

void
check_usage(struct checking *c)
{
	unsigned usage, critical;

	if (gnutls_x509_crt_get_key_usage(c->ch->crt[0]->crt, &usage,
	    &critical) >= 0 && (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) == 0)
		cert_found(c->to, "usage", CERT_ERROR, c->ch->crt[0], "may "
		    "not sign handshakes (key usage lacks digitalSignature): "
		    "ask for one that may");
	for (size_t i = 0; i < c->ch->n; i++) {
		/* Of a root only name and key are believed. */
		if (i > 0 && i + 1 == c->ch->n && c->ch->rooted)
			break;
		check_purpose(c, c->ch->crt[i], i == 0);
		check_extensions(c, c->ch->crt[i]);
	}
}
