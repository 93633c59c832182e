/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That a chain holds together: each signed by the next, within the name
 * constraints of those above (RFC 5280 4.2.1.10), up to a root or to the
 * authorities that were named; and what of a bundle is left out of it.
 */
#include "cert/check_priv.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* Of a type that signatures are verified with here. */
static bool
is_usable(gnutls_x509_crt_t crt)
{
	int pk = gnutls_x509_crt_get_pk_algorithm(crt, NULL);

	return pk == GNUTLS_PK_RSA || pk == GNUTLS_PK_RSA_PSS ||
	    pk == GNUTLS_PK_ECDSA || pk == GNUTLS_PK_EDDSA_ED25519 ||
	    pk == GNUTLS_PK_EDDSA_ED448;
}

/* An authority that was given, but does not follow: it is the wrong one,
 * or what is between is missing. */
static bool
has_stray_ca(const struct checking *c)
{
	const struct cert_bundle *b = c->spec->strays;
	const struct cert_chain *all = c->spec->all != NULL ? c->spec->all :
	    c->ch;
	size_t n = c->spec->all != NULL ? c->spec->all_n : 1;

	for (size_t i = 0; b != NULL && i < b->certs_n; i++) {
		if (cert_chain_lacks(all, n, &b->certs[i]) &&
		    gnutls_x509_crt_get_ca_status(b->certs[i].crt, NULL) > 0)
			return true;
	}
	return false;
}

static void
check_end(struct checking *c)
{
	const struct cert_item *last = c->ch->crt[c->ch->n - 1];
	struct cert_facts facts;
	const char *issuer = "?";
	bool alone = c->ch->n == 1;

	if (cert_describe(last->crt, &facts) == 0)
		issuer = facts.issuer.cn[0] != '\0' ? facts.issuer.cn :
		    facts.issuer.dn;
	if (c->spec->anchors != NULL) {
		if (!cert_chain_reaches(c->ch, c->spec->anchors))
			cert_found(c->to, "chain", CERT_ERROR, last, "leads to "
			    "none of the authorities that were named; its "
			    "issuer is \"%.64s\": add the intermediate "
			    "certificates, or name that authority", issuer);
		return;
	}
	if (c->ch->rooted) {
		if (cert_sign_status(last, last) != 0)
			cert_found(c->to, "chain", CERT_ERROR, last, "names "
			    "itself as its issuer, but has not signed itself: "
			    "get it anew");
		else if (alone)
			cert_found(c->to, "chain", CERT_NOTE, last, "is "
			    "self-signed: clients have to be told to trust it");
		return;
	}
	if (alone && (c->spec->complete || has_stray_ca(c)))
		cert_found(c->to, "chain", CERT_ERROR, last, "was issued by "
		    "\"%.64s\", whose certificate is missing: add the "
		    "certificates of the authority (intermediates) to the file",
		    issuer);
	else if (alone)
		cert_found(c->to, "chain", CERT_WARNING, last, "comes without "
		    "its issuer \"%.64s\": if that is an intermediate, clients "
		    "will refuse it; add it to the file", issuer);
}

#define CONSTRAINED "has a name that %s does not allow (name " \
	"constraints): ask for one with other names, or another authority"

/* The constraints of those further up hold for all below them. */
static void
check_constraints(struct checking *c)
{
	gnutls_x509_crt_t crt[CERT_CHAIN_MAX];
	size_t n = c->ch->n;
	unsigned status = 0;

	for (size_t i = 0; i < n; i++)
		crt[i] = c->ch->crt[i]->crt;
	if (n > 2 && gnutls_x509_crt_list_verify(crt, (unsigned)n - 1,
	    &crt[n - 1], 1, NULL, 0, GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_CA_SIGN | GNUTLS_VERIFY_ALLOW_BROKEN |
	    GNUTLS_VERIFY_IGNORE_UNKNOWN_CRIT_EXTENSIONS, &status) >= 0 &&
	    (status & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE) != 0)
		cert_found(c->to, "names", CERT_ERROR, c->ch->crt[0],
		    CONSTRAINED, "an authority of its chain");
}

/* Whether the next one signed this; what it says if not. */
static bool
check_link(struct checking *c, const struct cert_item *it,
    const struct cert_item *next)
{
	unsigned status = cert_sign_status(it, next);

	if (status == 0)
		return true;
	if ((status & GNUTLS_CERT_SIGNATURE_FAILURE) == 0 &&
	    (status & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE) != 0)
		cert_found(c->to, "names", CERT_ERROR, it, CONSTRAINED,
		    "its issuer");
	else if (!is_usable(next->crt))
		cert_found(c->to, "strength", CERT_ERROR, next, "issued "
		    "another one with a key of a type that is not supported: "
		    "have it issued with RSA, ECDSA or Ed25519");
	else
		cert_found(c->to, "chain", CERT_ERROR, it, "is not "
		    "signed by the next certificate of the chain "
		    "(%.100s, certificate %u), which has its issuer's "
		    "name: get the issuer's certificate anew",
		    next->from.file, next->from.at);
	return false;
}

void
check_chain(struct checking *c)
{
	bool good = true;

	for (size_t i = 0; i + 1 < c->ch->n; i++)
		good = check_link(c, c->ch->crt[i], c->ch->crt[i + 1]) && good;
	if (good)
		check_constraints(c);
	if (c->ch->too_long)
		cert_found(c->to, "chain", CERT_ERROR, c->ch->crt[0], "has a "
		    "chain that is too long: more than %d certificates",
		    CERT_CHAIN_MAX);
	else
		check_end(c);
}

void
cert_check_strays(const struct cert_check_spec *spec,
    const struct cert_chain *ch, struct cert_findings *to)
{
	const struct cert_bundle *b = spec->strays;
	const struct cert_chain *all = spec->all != NULL ? spec->all : ch;
	size_t n = spec->all != NULL ? spec->all_n : 1;

	for (size_t i = 0; b != NULL && i < b->certs_n; i++) {
		if (cert_chain_lacks(all, n, &b->certs[i]))
			cert_found(to, "stray", CERT_NOTE, &b->certs[i],
			    "is not part of the chain and is left out");
	}
}
