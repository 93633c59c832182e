/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks (RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.12 and 6.1; RFC 9525 through
 * GnuTLS; RFC 7633 and 6960 for staples).  Every text says which certificate of
 * which file, what is wrong, and what to do about it.
 */
#include "cert/check.h"

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

static void __attribute__((format(printf, 5, 6)))
found(struct checking *c, const char *check, enum cert_level level,
    const struct cert_item *it, const char *fmt, ...)
{
	struct cert_findings *to = c->to;
	struct cert_finding *f = &to->f[to->n];
	struct cert_facts facts;
	const char *cn = "";
	va_list ap;
	int n;

	to->errors += level == CERT_ERROR;
	to->warnings += level == CERT_WARNING;
	if (to->n == CERT_FINDINGS_MAX)
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
	to->n++;
}

/* ---- key ----------------------------------------------------------------- */

/* A signature that the leaf verifies: the two belong together, and the key is
 * able to sign. */
static void
check_key(struct checking *c)
{
	static const char text[] = "cleat";
	gnutls_datum_t msg, sig = { NULL, 0 };
	gnutls_privkey_t key = NULL;
	gnutls_pubkey_t pub = NULL;
	gnutls_sign_algorithm_t algo;
	int pk, r;

	if (c->ch->key == NULL)
		return;
	msg.data = (unsigned char *)(uintptr_t)text;
	msg.size = sizeof(text) - 1;
	pk = gnutls_x509_privkey_get_pk_algorithm(c->ch->key->key);
	algo = gnutls_pk_to_sign((gnutls_pk_algorithm_t)pk,
	    pk == GNUTLS_PK_EDDSA_ED25519 || pk == GNUTLS_PK_EDDSA_ED448 ?
	    GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256);
	r = gnutls_privkey_init(&key);
	if (r >= 0)
		r = gnutls_privkey_import_x509(key, c->ch->key->key,
		    GNUTLS_PRIVKEY_IMPORT_COPY);
	if (r >= 0)
		r = gnutls_pubkey_init(&pub);
	if (r >= 0)
		r = gnutls_pubkey_import_x509(pub, c->ch->crt[0]->crt, 0);
	if (r >= 0)
		r = gnutls_privkey_sign_data2(key, algo, 0, &msg, &sig);
	if (r >= 0)
		r = gnutls_pubkey_verify_data2(pub, algo, 0, &msg, &sig);
	if (r < 0)
		found(c, "key", CERT_ERROR, c->ch->crt[0], "does not verify "
		    "what the private key of %.120s signs (%s): take the key "
		    "for which it was made", c->ch->key->from.file,
		    gnutls_strerror(r));
	gnutls_free(sig.data);
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
		found(c, "dates", CERT_ERROR, it, "is not valid before %s: "
		    "wait, or correct the clock of this host", text);
		return;
	}
	clock_text(to * 1000, text);
	if (now >= to) {
		found(c, "dates", CERT_ERROR, it, "expired at %s: get %s", text,
		    leaf ? "a new one" : "the present one from the authority");
		return;
	}
	if ((to - from) / 3 < soon)
		soon = (to - from) / 3;
	if (leaf && to - now < soon)
		found(c, "dates", CERT_WARNING, it, "expires soon, at %s: "
		    "renew it", text);
}

static void
check_dates(struct checking *c)
{
	for (size_t i = 0; i < c->ch->n; i++)
		check_dates_of(c, c->ch->crt[i], i == 0);
}

/* ---- chain --------------------------------------------------------------- */

/* Whether the chain has an anchor in it, or one that an anchor has signed. */
static bool
is_anchored(const struct checking *c)
{
	const struct cert_bundle *a = c->spec->anchors;
	const struct cert_item *it;

	for (size_t i = 0; i < c->ch->n; i++) {
		it = c->ch->crt[i];
		for (size_t k = 0; k < a->certs_n; k++) {
			if (memcmp(a->certs[k].sha256, it->sha256,
			    sizeof(it->sha256)) == 0 ||
			    (gnutls_x509_crt_check_issuer(it->crt,
			    a->certs[k].crt) != 0 &&
			    cert_signed_by(it, &a->certs[k])))
				return true;
		}
	}
	return false;
}

/* A root that was given, but does not follow: what is between is missing. */
static bool
has_stray_root(const struct checking *c)
{
	const struct cert_bundle *b = c->spec->strays;

	for (size_t i = 0; b != NULL && i < b->certs_n; i++) {
		if (cert_chain_lacks(c->ch, 1, &b->certs[i]) &&
		    gnutls_x509_crt_get_ca_status(b->certs[i].crt, NULL) > 0 &&
		    gnutls_x509_crt_check_issuer(b->certs[i].crt,
		    b->certs[i].crt) != 0)
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
		if (!is_anchored(c))
			found(c, "chain", CERT_ERROR, last, "leads to none of "
			    "the authorities that were named; its issuer is "
			    "\"%.64s\": add the intermediate certificates, or "
			    "name that authority", issuer);
		return;
	}
	if (c->ch->rooted) {
		if (!cert_signed_by(last, last))
			found(c, "chain", CERT_ERROR, last, "names itself as "
			    "its issuer, but has not signed itself: get it "
			    "anew");
		else if (alone)
			found(c, "chain", CERT_NOTE, last, "is self-signed: "
			    "clients have to be told to trust it");
		return;
	}
	if (alone && (c->spec->complete || has_stray_root(c)))
		found(c, "chain", CERT_ERROR, last, "was issued by \"%.64s\", "
		    "whose certificate is missing: add the certificates of "
		    "the authority (intermediates) to the file", issuer);
	else if (alone)
		found(c, "chain", CERT_WARNING, last, "comes without its "
		    "issuer \"%.64s\": if that is an intermediate, clients "
		    "will refuse it; add it to the file", issuer);
}

static void
check_chain(struct checking *c)
{
	for (size_t i = 0; i + 1 < c->ch->n; i++) {
		if (!cert_signed_by(c->ch->crt[i], c->ch->crt[i + 1]))
			found(c, "chain", CERT_ERROR, c->ch->crt[i], "is not "
			    "signed by the next certificate of the chain "
			    "(%.100s, certificate %u), which has its issuer's "
			    "name: get the issuer's certificate anew",
			    c->ch->crt[i + 1]->from.file,
			    c->ch->crt[i + 1]->from.at);
	}
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
		found(c, "ca", CERT_ERROR, it, "issued another one, but is no "
		    "authority's (basicConstraints): get the chain anew");
		return;
	}
	if (path >= 0 && below > (unsigned)path)
		found(c, "ca", CERT_ERROR, it, "allows %d authorities below it "
		    "(pathLenConstraint), and there are %u: get the chain "
		    "anew", path, below);
	if (gnutls_x509_crt_get_key_usage(it->crt, &usage, &critical) >= 0 &&
	    (usage & GNUTLS_KEY_KEY_CERT_SIGN) == 0)
		found(c, "ca", CERT_ERROR, it, "issued another one, but its "
		    "key usage lacks keyCertSign: get the chain anew");
}

static void
check_ca(struct checking *c)
{
	if (c->leaf.ca)
		found(c, "ca", CERT_ERROR, c->ch->crt[0], "is a certificate "
		    "authority's (basicConstraints CA:TRUE), not a %s's: use "
		    "the one that it issued for this host",
		    c->spec->client ? "client" : "server");
	for (size_t i = 1; i < c->ch->n; i++)
		check_issuer(c, c->ch->crt[i], (unsigned)i - 1);
}

static void
check_usage(struct checking *c)
{
	gnutls_x509_crt_t leaf = c->ch->crt[0]->crt;
	unsigned usage, critical;

	if (gnutls_x509_crt_get_key_usage(leaf, &usage, &critical) >= 0 &&
	    (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) == 0)
		found(c, "usage", CERT_ERROR, c->ch->crt[0], "may not sign "
		    "handshakes (key usage lacks digitalSignature): ask for "
		    "one that may");
	if (gnutls_x509_crt_check_key_purpose(leaf, c->spec->client ?
	    GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0) == 0)
		found(c, "usage", CERT_ERROR, c->ch->crt[0], "is not for TLS "
		    "%ss (extended key usage lacks %sAuth): ask for one that "
		    "is", c->spec->client ? "client" : "server",
		    c->spec->client ? "client" : "server");
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

static void
check_names(struct checking *c)
{
	const char *const *name = c->spec->names;
	gnutls_x509_crt_t leaf = c->ch->crt[0]->crt;

	if (c->leaf.names_n == 0 && !c->spec->client)
		found(c, "names", CERT_WARNING, c->ch->crt[0], "has no "
		    "subject alternative names: browsers and many clients "
		    "refuse it; ask for one that has");
	for (; name != NULL && *name != NULL; name++) {
		if (strncmp(*name, "*.", 2) == 0 ?
		    has_wildcard(leaf, *name) :
		    gnutls_x509_crt_check_hostname2(leaf, *name, 0) != 0)
			continue;
		found(c, "names", CERT_ERROR, c->ch->crt[0], "is not for the "
		    "name %.100s (it is for %.80s): ask for one with this "
		    "name, or correct the configured names", *name,
		    c->leaf.names[0] != '\0' ? c->leaf.names :
		    "none");
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
		found(c, "strength", CERT_ERROR, it, "has an RSA key of %u "
		    "bits, at least %d are needed: make a new key", bits,
		    RSA_BITS_MIN);
	else if (rsa && leaf && bits > RSA_BITS_SLOW)
		found(c, "strength", CERT_WARNING, it, "has an RSA key of %u "
		    "bits, which makes every handshake slow: 3072 will do",
		    bits);
	else if (pk == GNUTLS_PK_ECDSA && bits < EC_BITS_MIN)
		found(c, "strength", CERT_ERROR, it, "has an EC key of %u "
		    "bits, at least %d are needed: make a new key", bits,
		    EC_BITS_MIN);
	else if (leaf && !rsa && pk != GNUTLS_PK_ECDSA &&
	    pk != GNUTLS_PK_EDDSA_ED25519)
		found(c, "strength", CERT_ERROR, it, "has a key of type %s, "
		    "which cannot be used: make one of RSA, ECDSA or Ed25519",
		    type != NULL ? type : "unknown");
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
		found(c, "strength", CERT_ERROR, it, "is signed with a weak "
		    "algorithm (%s): have it issued with SHA-256",
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
			found(c, "staple", CERT_ERROR, c->ch->crt[0], "must "
			    "be sent with an OCSP response (Must-Staple), and "
			    "there is none: name its file (ocsp of cert-file, "
			    "-ocsp of cleat-certmgr)");
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
		found(c, "staple", CERT_ERROR, c->ch->crt[0], "must be sent "
		    "with an OCSP response (Must-Staple), and the one there "
		    "%s: fetch it anew", fault);
	else if (fault != NULL)
		found(c, "staple", CERT_WARNING, c->ch->crt[0], "has an OCSP "
		    "response that %s: fetch it anew", fault);
}

/* ---- all of it ----------------------------------------------------------- */

static void
check_strays(struct checking *c)
{
	const struct cert_bundle *b = c->spec->strays;
	const struct cert_chain *all = c->spec->all != NULL ? c->spec->all :
	    c->ch;
	size_t n = c->spec->all != NULL ? c->spec->all_n : 1;

	for (size_t i = 0; b != NULL && i < b->certs_n; i++) {
		if (cert_chain_lacks(all, n, &b->certs[i]))
			found(c, "stray", CERT_NOTE, &b->certs[i], "is not "
			    "part of the chain and is left out");
	}
}

static void
sort(struct cert_findings *f)
{
	struct cert_finding one;
	size_t k;

	for (size_t i = 1; i < f->n; i++) {
		one = f->f[i];
		for (k = i; k > 0 && f->f[k - 1].level < one.level; k--)
			f->f[k] = f->f[k - 1];
		f->f[k] = one;
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
	check_strays(&c);
	sort(c.to);
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
