/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates in lines.  Whether the server is believed has been decided by
 * the policy (tls/review.h); core/cert describes, and warns of what will be
 * wrong soon or elsewhere.
 */
#include "probe_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cert/chain.h"
#include "cert/check.h"
#include "cert/describe.h"
#include "tls/digest.h"
#include "tls/pins.h"
#include "tls/trust.h"

#define DAY_S 86400

/* ---- describing ---------------------------------------------------------- */

static const char *
left(int64_t not_after, char to[48])
{
	int64_t s = not_after - clock_wall_ms() / 1000;

	if (s >= 2 * DAY_S || s <= -2 * DAY_S)
		(void)snprintf(to, 48, "%s%lld days%s", s < 0 ? "" : "in ",
		    (long long)((s < 0 ? -s : s) / DAY_S), s < 0 ? " ago" :
		    "");
	else
		(void)snprintf(to, 48, "%s%lld h%s", s < 0 ? "" : "in ",
		    (long long)((s < 0 ? -s : s) / 3600), s < 0 ? " ago" :
		    "");
	return to;
}

static void
describe(struct probe *p, const struct cert_item *it, size_t at, size_t of)
{
	char text[1800], when[CLOCK_TEXT_SIZE], how_long[48];
	char pin[TLS_PIN_TEXT + 1] = "sha256/";
	struct cert_facts f;

	if (cert_describe(it->crt, &f) != 0) {
		probe_say(p, "certificate", PROBE_WARNING,
		    "%zu of %zu: cannot be described", at, of);
		return;
	}
	clock_text(f.not_after * 1000, when);
	digest_base64(f.spki_sha256, sizeof(f.spki_sha256), pin + 7);
	(void)snprintf(text, sizeof(text), "%zu of %zu: subject \"%s\", "
	    "issuer \"%s\"%s%.400s, ends %s (%s), %s, pin %s", at, of,
	    f.subject.dn, f.issuer.dn, f.names_n > 0 ? ", for " : "",
	    f.names, when, left(f.not_after, how_long), f.key, pin);
	probe_cert_line(p, PROBE_OK, &f, text);
}

/* ---- what the policy says ------------------------------------------------ */

static void
say_item(struct probe *p, enum tls_review_item i, const char *check,
    const char *met, const char *not_asked)
{
	const char *text = p->review.item[i].text;

	switch (p->review.item[i].state) {
	case TLS_REVIEW_MET:
		probe_say(p, check, PROBE_OK, "%s", met);
		break;
	case TLS_REVIEW_NOT_ASKED:
		probe_say(p, check, PROBE_SKIP, "%s%s", text[0] != '\0' ?
		    "the certificate " : "", text[0] != '\0' ? text :
		    not_asked);
		break;
	case TLS_REVIEW_FORGIVEN:
		probe_say(p, check, PROBE_WARNING, "the certificate %s; the "
		    "settings let that pass", text);
		break;
	case TLS_REVIEW_UNMET:
		probe_fail(p, PROBE_UNTRUSTED, check, "the certificate %s",
		    text);
		break;
	}
}

static void
say_criteria(struct probe *p)
{
	const struct cleat_client_opts *o = &p->opts;

	say_item(p, TLS_REVIEW_PINS, "pins", "a key of the chain is pinned",
	    "none are configured (--pins)");
	if (o->fingerprints != NULL)
		say_item(p, TLS_REVIEW_FINGERPRINT, "fingerprint",
		    "the certificate is in the list", "the list is empty");
	if (p->review.item[TLS_REVIEW_FIELDS].state != TLS_REVIEW_NOT_ASKED)
		say_item(p, TLS_REVIEW_FIELDS, "fields", "subject and issuer "
		    "have the values that are expected", "");
	if (o->sans != NULL)
		say_item(p, TLS_REVIEW_SANS, "sans", "one of the alternative "
		    "names that are expected is there", "the list is empty");
}

static void
say_revocation(struct probe *p)
{
	struct tls_trust_info info;
	char met[160], when[CLOCK_TEXT_SIZE];

	tls_client_policy_trust_info(p->c->policy, &info);
	(void)snprintf(met, sizeof(met), "not in %u revocation list%s, which "
	    "name%s %zu certificate%s", info.crls, info.crls == 1 ? "" : "s",
	    info.crls == 1 ? "s" : "", info.revoked, info.revoked == 1 ? "" :
	    "s");
	say_item(p, TLS_REVIEW_REVOCATION, "revocation", met,
	    "no revocation list is configured (--crl)");
	if (info.crl_next_update == 0 ||
	    info.crl_next_update * 1000 >= clock_wall_ms())
		return;
	clock_text(info.crl_next_update * 1000, when);
	probe_say(p, "revocation", PROBE_WARNING, "a revocation list should "
	    "have been replaced at %s; it counts all the same", when);
}

/* ---- what core/cert says ------------------------------------------------- */

enum said { NOTHING, WARNED, FAILED };

/* Findings of one check as lines.  fatal: such an error is why the
 * server is refused; others are passed over by a device. */
static enum said
say_findings(struct probe *p, const struct cert_findings *f,
    const char *check, const char *as, bool fatal)
{
	enum said said = NOTHING;

	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->f[i].check, check) != 0 ||
		    f->f[i].level == CERT_NOTE)
			continue;
		if (fatal && f->f[i].level == CERT_ERROR) {
			probe_fail(p, PROBE_UNTRUSTED, as, "%s", f->f[i].text);
			said = FAILED;
			continue;
		}
		probe_say(p, as, PROBE_WARNING, "%s", f->f[i].text);
		said = said == NOTHING ? WARNED : said;
	}
	return said;
}

static void
say_dates(struct probe *p, const struct cert_findings *f)
{
	bool bad = p->review.item[TLS_REVIEW_DATES].state == TLS_REVIEW_UNMET;
	enum said said = say_findings(p, f, "dates", "dates", bad);

	/* What has ended may also be an authority of ours. */
	if (said == NOTHING || (bad && said != FAILED))
		say_item(p, TLS_REVIEW_DATES, "dates", "nothing has ended, "
		    "and the server's certificate does not end soon", "");
}

static void
say_staple(struct probe *p, const struct cert_findings *f, bool sent)
{
	if (say_findings(p, f, "staple", "stapling", p->review.error != 0) !=
	    NOTHING)
		return;
	probe_say(p, "stapling", sent ? PROBE_OK : PROBE_SKIP, "%s", sent ?
	    "an OCSP response says that the certificate is good" :
	    "the server sends no OCSP response, and need not");
}

static int
check_chain(struct probe *p, const struct cert_bundle *b,
    const struct cert_chain *ch)
{
	struct cert_check_spec spec = {
		.checks = CERT_CHECK_DATES | CERT_CHECK_CA |
		    CERT_CHECK_USAGE | CERT_CHECK_STRENGTH | CERT_CHECK_STAPLE,
		.now_s = clock_wall_ms() / 1000, .strays = b
	};
	struct cert_findings *f = mem_calloc(1, sizeof(*f));
	const void *staple = NULL;
	int r;

	if (f == NULL)
		return -ENOMEM;
	if (tls_client_staple(p->c->link.tls, &staple, &spec.staple_n) == 0)
		spec.staple = staple;
	r = cert_check(ch, &spec, f);
	if (r == 0) {
		say_dates(p, f);
		(void)say_findings(p, f, "ca", "usage", false);
		(void)say_findings(p, f, "usage", "usage", false);
		(void)say_findings(p, f, "strength", "strength", false);
		say_staple(p, f, staple != NULL);
	}
	mem_free(f);
	return r;
}

/* ---- the server's -------------------------------------------------------- */

static int
gather(struct probe *p, struct cert_bundle *b, char *why)
{
	const void *der;
	size_t n;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < CERT_CHAIN_MAX &&
	    tls_client_sent(p->c->link.tls, i, &der, &n) == 0; i++)
		r = cert_bundle_add(b, "", der, n, NULL, why);
	return r;
}

static int
say_sent(struct probe *p, char *why)
{
	struct cert_bundle *b = NULL;
	struct cert_chain chain;
	int r = cert_bundle_new(&b);

	if (r == 0)
		r = gather(p, b, why);
	if (r == 0)
		r = cert_chain_build(b, NULL, NULL, clock_wall_ms() / 1000, why,
		    &chain);
	for (size_t i = 0; r == 0 && i < b->certs_n; i++)
		describe(p, &b->certs[i], i + 1, b->certs_n);
	if (r == 0)
		r = check_chain(p, b, &chain);
	cert_bundle_free(&b);
	return r;
}

void
probe_certificates(struct probe *p)
{
	char why[CERT_WHY_SIZE] = "out of memory", met[400];
	const char *host = p->c->url.host;

	if (say_sent(p, why) != 0)
		probe_say(p, "certificate", PROBE_WARNING, "what the server "
		    "has sent cannot be shown: %s", why);
	if (p->blind) {
		probe_say(p, "trust", PROBE_SKIP, "not judged, as the "
		    "settings cannot be used");
		return;
	}
	say_item(p, TLS_REVIEW_CHAIN, "chain", p->opts.ca_file == NULL ?
	    "leads to an authority of the system" :
	    "leads to an authority of --ca", "");
	(void)snprintf(met, sizeof(met), "the certificate is for %s", host);
	say_item(p, TLS_REVIEW_NAME, "name", met, "");
	say_revocation(p);
	say_criteria(p);
	/* The verdict is the policy's, whatever was explained. */
	if (p->review.error == 0)
		probe_say(p, "trust", PROBE_OK, "a device would believe this "
		    "server");
	else
		probe_fail(p, PROBE_UNTRUSTED, "trust", "a device would refuse "
		    "this server: its certificate %s", p->review.error ==
		    -ENOMEM ? "could not be judged: out of memory" :
		    p->review.why);
}

/* ---- our own ------------------------------------------------------------- */

void
probe_own(struct probe *p)
{
	char why[CLEAT_CLIENT_WHY_SIZE] = "out of memory";
	struct cert_blob chain = { NULL, 0 }, key = { NULL, 0 };
	struct cert_check_spec spec = {
		.checks = CERT_CHECK_DATES | CERT_CHECK_CA |
		    CERT_CHECK_USAGE | CERT_CHECK_STRENGTH,
		.now_s = clock_wall_ms() / 1000, .client = true
	};
	struct cert_findings *f = mem_calloc(1, sizeof(*f));
	struct cert_bundle *b = NULL;
	struct cert_chain ch;
	int r = f == NULL ? -ENOMEM : client_own_read(&p->opts, why, &chain,
	    &key);

	if (r == 0)
		r = cert_bundle_new(&b);
	if (r == 0)
		r = cert_bundle_add(b, p->opts.cert_file, chain.p, chain.n,
		    NULL, why);
	if (r == 0)
		r = cert_chain_build(b, NULL, NULL, spec.now_s, why, &ch);
	if (r == 0)
		r = cert_check(&ch, &spec, f);
	if (r != 0)
		probe_fail(p, PROBE_SETTINGS, "own-cert", "%s", why);
	for (size_t i = 0; r == 0 && i < f->n; i++)
		probe_say(p, "own-cert", PROBE_WARNING, "%s", f->f[i].text);
	if (r == 0 && f->n == 0)
		probe_say(p, "own-cert", PROBE_OK, "%s and its key can be "
		    "used", p->opts.cert_file);
	cert_bundle_free(&b);
	cert_blob_free(&chain);
	cert_blob_free(&key);
	mem_free(f);
}
