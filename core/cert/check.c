/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks (RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.12 and 6.1; RFC 9525 through
 * GnuTLS; RFC 7633 and 6960 for staples).  Every text says which certificate of
 * which file, what is wrong, and what to do about it.
 */
#include "cert/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/ocsp.h>
#include <gnutls/x509.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cert/describe.h"

#define DAY_S 86400
#define EXTENSIONS_MAX 64
#define NAME_SIZE 256
#define RSA_BITS_MIN 2048
#define RSA_BITS_SLOW 4096
#define EC_BITS_MIN 256
/* As core/tls sends them. */
#define STAPLE_SKEW_S 300
#define STAPLE_AGE_S (15 * DAY_S)	/* without nextUpdate */

struct checking {
	const struct cert_chain *ch;
	const struct cert_check_spec *spec;
	struct cert_facts leaf;
	struct cert_findings *to;
};

/* A place for one, behind those that are as bad; NULL when there is none. */
static struct cert_finding *
place(struct cert_findings *to, enum cert_level level)
{
	size_t at = to->n;

	if (at == CERT_FINDINGS_MAX && to->f[--at].level >= level)
		return NULL;
	to->n = at + 1;
	for (; at > 0 && to->f[at - 1].level < level; at--)
		to->f[at] = to->f[at - 1];
	return &to->f[at];
}

void
cert_found(struct cert_findings *to, const char *check, enum cert_level level,
    const struct cert_item *it, const char *fmt, ...)
{
	struct cert_finding *f = place(to, level);
	struct cert_facts facts;
	const char *cn = "";
	va_list ap;
	int n;

	to->errors += level == CERT_ERROR;
	to->warnings += level == CERT_WARNING;
	if (f == NULL)
		return;
	if (cert_describe(it->crt, &facts) == 0)
		cn = facts.subject.cn[0] != '\0' ? facts.subject.cn :
		    facts.subject.dn;
	n = it->from.file[0] == '\0' ?
	    snprintf(f->text, sizeof(f->text), "the certificate \"%.64s\" ",
	    cn) :
	    snprintf(f->text, sizeof(f->text), "%.160s: certificate %u "
	    "\"%.64s\" ", it->from.file, it->from.at, cn);
	va_start(ap, fmt);
	(void)vsnprintf(f->text + n, sizeof(f->text) - (size_t)n, fmt, ap);
	va_end(ap);
	f->check = check;
	f->level = level;
}

/* ---- key ----------------------------------------------------------------- */

/* What the key is able to sign with: RSA-PSS keys may be for one hash alone
 * (RFC 4055 3.1). */
static gnutls_sign_algorithm_t
algorithm(gnutls_pubkey_t pub)
{
	int pk = gnutls_pubkey_get_pk_algorithm(pub, NULL);
	gnutls_digest_algorithm_t hash = GNUTLS_DIG_SHA256, only;
	gnutls_x509_spki_t spki = NULL;
	unsigned salt;

	if (pk == GNUTLS_PK_EDDSA_ED25519 || pk == GNUTLS_PK_EDDSA_ED448)
		hash = GNUTLS_DIG_SHA512;
	if (pk == GNUTLS_PK_RSA_PSS && gnutls_x509_spki_init(&spki) >= 0) {
		if (gnutls_pubkey_get_spki(pub, spki, 0) >= 0 &&
		    gnutls_x509_spki_get_rsa_pss_params(spki, &only,
		    &salt) >= 0 && only != GNUTLS_DIG_UNKNOWN)
			hash = only;
		gnutls_x509_spki_deinit(spki);
	}
	return gnutls_pk_to_sign((gnutls_pk_algorithm_t)pk, hash);
}

int
cert_key_prove(struct gnutls_privkey_st *key, struct gnutls_pubkey_st *pub)
{
	static const char text[] = "cleat";
	gnutls_datum_t msg, sig = { NULL, 0 };
	gnutls_sign_algorithm_t algo = algorithm(pub);
	int r;

	msg.data = (unsigned char *)(uintptr_t)text;
	msg.size = sizeof(text) - 1;
	r = gnutls_privkey_sign_data2(key, algo, 0, &msg, &sig);
	if (r >= 0)
		r = gnutls_pubkey_verify_data2(pub, algo, 0, &msg, &sig);
	gnutls_free(sig.data);
	return r < 0 ? r : 0;
}

static void
check_key(struct checking *c)
{
	gnutls_privkey_t key = NULL;
	gnutls_pubkey_t pub = NULL;
	int r;

	if (c->ch->key == NULL)
		return;
	r = gnutls_privkey_init(&key);
	if (r >= 0)
		r = gnutls_privkey_import_x509(key, c->ch->key->key,
		    GNUTLS_PRIVKEY_IMPORT_COPY);
	if (r >= 0)
		r = gnutls_pubkey_init(&pub);
	if (r >= 0)
		r = gnutls_pubkey_import_x509(pub, c->ch->crt[0]->crt, 0);
	if (r >= 0)
		r = cert_key_prove(key, pub);
	if (r < 0)
		cert_found(c->to, "key", CERT_ERROR, c->ch->crt[0], "does not "
		    "verify what the private key of %.120s signs (%s): take "
		    "the key for which it was made", c->ch->key->from.file,
		    gnutls_strerror(r));
	if (pub != NULL)
		gnutls_pubkey_deinit(pub);
	if (key != NULL)
		gnutls_privkey_deinit(key);
}

/* ---- dates --------------------------------------------------------------- */

static void
check_dates_of(struct checking *c, const struct cert_item *it, bool leaf)
{
	int64_t from = gnutls_x509_crt_get_activation_time(it->crt);
	int64_t to = gnutls_x509_crt_get_expiration_time(it->crt);
	int64_t now = c->spec->now_s, soon = 30 * DAY_S;
	char text[CLOCK_TEXT_SIZE];

	if (now < from) {
		clock_text(from * 1000, text);
		cert_found(c->to, "dates", CERT_ERROR, it, "is not valid "
		    "before %s: wait, or correct the clock of this host", text);
		return;
	}
	clock_text(to * 1000, text);
	if (now >= to) {
		cert_found(c->to, "dates", CERT_ERROR, it, "expired at %s: get "
		    "%s", text, leaf ? "a new one" :
		    "the present one from the authority");
		return;
	}
	if ((to - from) / 3 < soon)
		soon = (to - from) / 3;
	if (to - now < soon)
		cert_found(c->to, "dates", CERT_WARNING, it, "expires soon, "
		    "at %s: %s", text, leaf ? "renew it" : "get the one that "
		    "replaces it from the authority");
}

static void
check_dates(struct checking *c)
{
	for (size_t i = 0; i < c->ch->n; i++)
		check_dates_of(c, c->ch->crt[i], i == 0);
}

/* ---- chain --------------------------------------------------------------- */

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

static void
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

/* ---- who may do what ----------------------------------------------------- */

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

static void
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

static void
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

/* ---- names --------------------------------------------------------------- */

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
		if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return false;
		if (type != GNUTLS_SAN_DNSNAME)
			continue;
		san[n] = '\0';
		if (strcasecmp(san, name) == 0)
			return true;
	}
}

/* The common name does not count (RFC 9525 6.3), but for GnuTLS it does where
 * there is no name of DNS. */
static bool
has_dns_name(gnutls_x509_crt_t leaf)
{
	char san[256];
	size_t n;
	int type;

	for (unsigned i = 0; ; i++) {
		n = sizeof(san);
		type = gnutls_x509_crt_get_subject_alt_name(leaf, i, san, &n,
		    NULL);
		if (type == GNUTLS_SAN_DNSNAME)
			return true;
		if (type < 0 && type != GNUTLS_E_SHORT_MEMORY_BUFFER)
			return false;
	}
}

/* As people write them: "[::1]", "a.example.org.", "*.bücher.example". */
static void
normalise(const char *name, char to[NAME_SIZE])
{
	gnutls_datum_t d = { NULL, 0 };
	size_t n = strlen(name);
	bool wild = strncmp(name, "*.", 2) == 0;

	if (n > 2 && name[0] == '[' && name[n - 1] == ']') {
		name++;
		n -= 2;
	} else if (n > 1 && name[n - 1] == '.') {
		n--;
	}
	(void)snprintf(to, NAME_SIZE, "%.*s", (int)(n < NAME_SIZE ? n :
	    NAME_SIZE), name);
	if (wild && gnutls_idna_map(to + 2, (unsigned)strlen(to + 2), &d,
	    0) >= 0)
		(void)snprintf(to, NAME_SIZE, "*.%.*s", (int)d.size, d.data);
	gnutls_free(d.data);
}

static bool
is_for(struct checking *c, const char *name)
{
	gnutls_x509_crt_t leaf = c->ch->crt[0]->crt;
	struct in6_addr address;

	if (strncmp(name, "*.", 2) == 0)
		return has_wildcard(leaf, name);
	if (inet_pton(AF_INET, name, &address) != 1 &&
	    inet_pton(AF_INET6, name, &address) != 1 && !has_dns_name(leaf))
		return false;
	return gnutls_x509_crt_check_hostname2(leaf, name, 0) != 0;
}

static void
check_names(struct checking *c)
{
	const char *const *name = c->spec->names;
	char text[NAME_SIZE];

	if (c->leaf.names_n == 0 && !c->spec->client)
		cert_found(c->to, "names", CERT_WARNING, c->ch->crt[0], "has "
		    "no subject alternative names: browsers and many clients "
		    "refuse it; ask for one that has");
	for (; name != NULL && *name != NULL; name++) {
		normalise(*name, text);
		if (is_for(c, text))
			continue;
		cert_found(c->to, "names", CERT_ERROR, c->ch->crt[0], "is not "
		    "for the name %.100s (it is for %.80s): ask for one with "
		    "this name, or correct the configured names", text,
		    c->leaf.names[0] != '\0' ? c->leaf.names :
		    "none, as it has no subject alternative names");
	}
}

/* ---- strength ------------------------------------------------------------ */

static void
check_key_strength(struct checking *c, const struct cert_item *it, bool leaf)
{
	unsigned bits = 0;
	int pk = gnutls_x509_crt_get_pk_algorithm(it->crt, &bits);
	bool rsa = pk == GNUTLS_PK_RSA || pk == GNUTLS_PK_RSA_PSS;
	const char *type;

	type = pk < 0 ? NULL : gnutls_pk_get_name((gnutls_pk_algorithm_t)pk);
	if (rsa && bits < RSA_BITS_MIN)
		cert_found(c->to, "strength", CERT_ERROR, it, "has an RSA key "
		    "of %u bits, at least %d are needed: make a new key", bits,
		    RSA_BITS_MIN);
	else if (rsa && leaf && bits > RSA_BITS_SLOW)
		cert_found(c->to, "strength", CERT_WARNING, it, "has an RSA "
		    "key of %u bits, which makes every handshake slow: 3072 "
		    "will do", bits);
	else if (pk == GNUTLS_PK_ECDSA && bits < EC_BITS_MIN)
		cert_found(c->to, "strength", CERT_ERROR, it, "has an EC key "
		    "of %u bits, at least %d are needed: make a new key", bits,
		    EC_BITS_MIN);
	else if (leaf && !rsa && pk != GNUTLS_PK_ECDSA &&
	    pk != GNUTLS_PK_EDDSA_ED25519)
		cert_found(c->to, "strength", CERT_ERROR, it, "has a key of "
		    "type %s, which cannot be used: make one of RSA, ECDSA or "
		    "Ed25519", type != NULL ? type : "unknown");
}

static void
check_strength(struct checking *c)
{
	const struct cert_item *it;
	const char *name;
	int sign;

	for (size_t i = 0; i < c->ch->n; i++) {
		it = c->ch->crt[i];
		check_key_strength(c, it, i == 0);
		/* Nobody verifies what a root says of itself. */
		if (i > 0 && i + 1 == c->ch->n && c->ch->rooted)
			continue;
		sign = gnutls_x509_crt_get_signature_algorithm(it->crt);
		if (sign >= 0 && gnutls_sign_is_secure2(
		    (gnutls_sign_algorithm_t)sign,
		    GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS) != 0)
			continue;
		name = sign < 0 ? NULL :
		    gnutls_sign_get_name((gnutls_sign_algorithm_t)sign);
		cert_found(c->to, "strength", CERT_ERROR, it, "is signed with "
		    "a weak algorithm (%s): have it issued with SHA-256",
		    name != NULL ? name : "unknown");
	}
}

/* ---- staple -------------------------------------------------------------- */

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
	if (from > now_s + STAPLE_SKEW_S)
		return "is not valid yet";
	if ((next == (time_t)-1 ? from + STAPLE_AGE_S : next) <= now_s)
		return "is out of date";
	return NULL;
}

static void
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

/* ---- all of it ----------------------------------------------------------- */

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

int
cert_check(const struct cert_chain *ch, const struct cert_check_spec *spec,
    struct cert_findings *ret)
{
	static const struct {
		unsigned bit;
		void (*fn)(struct checking *);
	} checks[] = {
		{ CERT_CHECK_KEY, check_key },
		{ CERT_CHECK_DATES, check_dates },
		{ CERT_CHECK_CA, check_ca },
		{ CERT_CHECK_USAGE, check_usage },
		{ CERT_CHECK_STRENGTH, check_strength },
		{ CERT_CHECK_CHAIN, check_chain },
		{ CERT_CHECK_NAMES, check_names },
		{ CERT_CHECK_STAPLE, check_staple },
	};
	struct checking c = { .ch = ch, .spec = spec };
	int r;

	r = cert_describe(ch->crt[0]->crt, &c.leaf);
	if (r < 0)
		return r;
	c.to = mem_calloc(1, sizeof(*c.to));
	if (c.to == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if ((spec->checks & checks[i].bit) != 0)
			checks[i].fn(&c);
	}
	if ((spec->checks & CERT_CHECK_STRAYS) != 0)
		cert_check_strays(spec, ch, c.to);
	*ret = *c.to;
	mem_free(c.to);
	return 0;
}

int
cert_check_result(const struct cert_findings *f, char *why)
{
	if (f->errors == 0)
		return 0;
	return cert_why(why, -EINVAL, "%s", f->f[0].text);
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

const char *
cert_level_name(enum cert_level level)
{
	static const char *const names[] = { "note", "warning", "error" };

	return names[level];
}
