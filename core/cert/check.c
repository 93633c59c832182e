/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks: how findings are kept, what is looked at in a certificate by
 * itself (key, dates, strength), and the order of all.  Every text says which
 * certificate of which file, what is wrong, and what to do about it.
 */
#include "cert/check_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/clock.h"
#include "base/mem.h"

#define DAY_S 86400
#define RSA_BITS_MIN 2048
#define RSA_BITS_SLOW 4096
#define EC_BITS_MIN 256

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

/* ---- all of it ----------------------------------------------------------- */

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

const char *
cert_level_name(enum cert_level level)
{
	static const char *const names[] = { "note", "warning", "error" };

	return names[level];
}
