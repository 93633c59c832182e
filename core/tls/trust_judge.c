/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One judgement for either side (RFC 5280, RFC 6125): chain, dates, purpose,
 * name, revocation, then the operator's criteria.  It works on a session that
 * was resumed as well, on the certificates of its ticket: the library asks
 * nobody then.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tls/digest.h"
#include "tls/trust_priv.h"
#include "tls/vendor.h"

#define SENT_MAX 16			/* certificates that are looked at */

/* The most telling of the flags first. */
static const struct {
	unsigned flag;
	gnutls_alert_description_t alert;
	const char *text;
	enum tls_review_item item;
} flaws[] = {
	{GNUTLS_CERT_REVOKED, GNUTLS_A_CERTIFICATE_REVOKED, "is revoked",
	    TLS_REVIEW_REVOCATION},
	{GNUTLS_CERT_SIGNER_NOT_FOUND, GNUTLS_A_UNKNOWN_CA,
	    "has an unknown issuer", TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_SIGNER_NOT_CA, GNUTLS_A_UNKNOWN_CA,
	    "has an issuer that is no CA", TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_SIGNATURE_FAILURE, GNUTLS_A_BAD_CERTIFICATE,
	    "has a wrong signature", TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_EXPIRED, GNUTLS_A_CERTIFICATE_EXPIRED,
	    "is expired by this host's clock", TLS_REVIEW_DATES},
	{GNUTLS_CERT_NOT_ACTIVATED, GNUTLS_A_CERTIFICATE_EXPIRED,
	    "is not valid yet by this host's clock", TLS_REVIEW_DATES},
	{GNUTLS_CERT_UNEXPECTED_OWNER, GNUTLS_A_BAD_CERTIFICATE,
	    "is for another name", TLS_REVIEW_NAME},
	{GNUTLS_CERT_INSECURE_ALGORITHM, GNUTLS_A_BAD_CERTIFICATE,
	    "is weakly signed", TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_PURPOSE_MISMATCH, GNUTLS_A_UNSUPPORTED_CERTIFICATE,
	    NULL, TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_MISSING_OCSP_STATUS, GNUTLS_A_BAD_CERTIFICATE,
	    "must come with an OCSP response, and comes without",
	    TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_INVALID_OCSP_STATUS, GNUTLS_A_BAD_CERTIFICATE,
	    "comes with an OCSP response that is wrong", TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE, GNUTLS_A_BAD_CERTIFICATE,
	    "breaks a constraint of its issuer", TLS_REVIEW_CHAIN},
	{GNUTLS_CERT_INVALID, GNUTLS_A_BAD_CERTIFICATE, "is not trusted",
	    TLS_REVIEW_CHAIN}
};

/* The first time; what follows is for the review alone. */
static void
refuse(struct tls_judgement *j, gnutls_alert_description_t alert,
    const char *text)
{
	if (j->error != 0)
		return;
	j->error = -EACCES;
	j->alert = alert;
	(void)snprintf(j->why, sizeof(j->why), "%s", text);
}

static const char *
flaw_text(const struct tls_trust *t, size_t i)
{
	if (flaws[i].text != NULL)
		return flaws[i].text;
	return t->of_clients ? "is not for TLS clients" :
	    "is not for TLS servers";
}

static void
refuse_status(const struct tls_trust *t, struct tls_judgement *j,
    unsigned status)
{
	size_t i = 0;

	while (i + 1 < sizeof(flaws) / sizeof(*flaws) &&
	    (status & flaws[i].flag) == 0)
		i++;
	refuse(j, flaws[i].alert, flaw_text(t, i));
}

/* ---- chain, name, dates ------------------------------------------------- */

struct look {
	const struct tls_trust *trust;
	gnutls_session_t session;
	gnutls_certificate_credentials_t xcred;
	const char *host;
	gnutls_x509_crt_t sent[SENT_MAX];
	unsigned sent_n;
	struct tls_path path;
	struct tls_review *review;	/* NULL: not wanted */
};

static int
import_sent(struct look *l)
{
	unsigned n = 0;
	const gnutls_datum_t *raw = gnutls_certificate_get_peers(l->session,
	    &n);
	int r;

	if (raw == NULL || n == 0)
		return -EINVAL;
	for (unsigned i = 0; i < n && i < SENT_MAX; i++) {
		r = gnutls_x509_crt_init(&l->sent[i]);
		if (r < 0)
			return tls_vendor_errno(r);
		l->sent_n = i + 1;
		r = gnutls_x509_crt_import(l->sent[i], &raw[i],
		    GNUTLS_X509_FMT_DER);
		if (r < 0)
			return tls_vendor_errno(r);
	}
	return 0;
}

static unsigned
dates(gnutls_x509_crt_t crt)
{
	int64_t now = clock_wall_ms() / 1000;

	if (gnutls_x509_crt_get_expiration_time(crt) < now)
		return GNUTLS_CERT_EXPIRED;
	return gnutls_x509_crt_get_activation_time(crt) > now ?
	    GNUTLS_CERT_NOT_ACTIVATED : 0;
}

static bool
names_host(const struct look *l)
{
	return l->host == NULL || l->trust->any_name ||
	    gnutls_x509_crt_check_hostname(l->sent[0], l->host) != 0;
}

/* The library's verdict.  -errno. */
static int
verify(struct look *l, unsigned *ret)
{
	gnutls_typed_vdata_st data[2] = {
		{.type = GNUTLS_DT_KEY_PURPOSE_OID,
		    .data = tls_datum(l->trust->of_clients ?
		    GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER,
		    0).data},
		{.type = GNUTLS_DT_DNS_HOSTNAME,
		    .data = (unsigned char *)(uintptr_t)l->host}
	};
	unsigned n = l->host == NULL || l->trust->any_name ? 1 : 2;
	int r = gnutls_certificate_verify_peers(l->session, data, n, ret);

	return r < 0 ? tls_vendor_errno(r) : 0;
}

static bool
may_sign_itself(const struct look *l)
{
	gnutls_x509_crt_t leaf = l->sent[0];

	return l->trust->self_signed && gnutls_x509_crt_check_issuer(leaf,
	    leaf) != 0 && tls_signed_by(leaf, leaf);
}

/* What is left of the verdict after the switches.  The library stops looking at
 * a chain that has no issuer, so that what is forgiven is no verdict about name
 * and dates. */
static unsigned
forgive(const struct look *l, unsigned status)
{
	const unsigned issuer = GNUTLS_CERT_SIGNER_NOT_FOUND |
	    GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_INVALID;

	if (status == 0)
		return 0;
	if (l->trust->any_chain)
		status = 0;
	else if (may_sign_itself(l))
		status &= ~issuer;
	if (status == 0 && !l->trust->any_chain)
		status = dates(l->sent[0]);
	if (status == 0 && !names_host(l))
		status = GNUTLS_CERT_UNEXPECTED_OWNER;
	return status;
}

/* ---- what is kept ------------------------------------------------------- */

static int
leaf_hash(const struct look *l, uint8_t ret[32])
{
	unsigned n = 0;
	const gnutls_datum_t *raw = gnutls_certificate_get_peers(l->session,
	    &n);

	return digest_sha256(raw->data, raw->size, ret);
}

static int
serial_mark(gnutls_x509_crt_t crt, const uint8_t *issuer, uint8_t *ret)
{
	uint8_t serial[64];
	size_t n = sizeof(serial);

	if (gnutls_x509_crt_get_serial(crt, serial, &n) < 0)
		return -EINVAL;
	return tls_mark_serial(issuer, serial, n, ret);
}

static int
fill_proof(const struct look *l, struct tls_proof *p)
{
	int r = leaf_hash(l, p->sha256);

	p->not_after = gnutls_x509_crt_get_expiration_time(l->sent[0]);
	for (unsigned i = 0; r == 0 && i < l->path.n; i++)
		r = tls_mark_id(l->path.crt[i], p->path[i].id);
	/* The topmost one's issuer is not known, nor does it matter. */
	for (unsigned i = 0; r == 0 && i + 1 < l->path.n; i++)
		r = serial_mark(l->path.crt[i], p->path[i + 1].id,
		    p->path[i].serial);
	p->path_n = (uint8_t)l->path.n;
	return r;
}

static const char *
revoked_in(const struct tls_trust *t, const struct tls_proof *p)
{
	for (unsigned i = 0; i < p->path_n; i++) {
		if (p->anchored && i + 1 == p->path_n)
			break;		/* an anchor is trusted as it is */
		if (tls_mark_in((const uint8_t (*)[TLS_MARK_SIZE])t->revoked,
		    t->revoked_n, p->path[i].serial))
			return i == 0 ? "is revoked" : "has a revoked CA";
	}
	return NULL;
}

/* ---- what a person is told ---------------------------------------------- */

/* The library does not look at all of it once something is wrong,
 * and leaves the name alone when it was not asked. */
static unsigned
all_flaws(const struct look *l, unsigned status)
{
	for (unsigned i = 0; i < l->path.n; i++)
		status |= dates(l->path.crt[i]);
	if (l->host != NULL &&
	    gnutls_x509_crt_check_hostname(l->sent[0], l->host) == 0)
		status |= GNUTLS_CERT_UNEXPECTED_OWNER;
	if (l->trust->ca_n > 0 && !l->path.anchored)
		status |= GNUTLS_CERT_SIGNER_NOT_FOUND;
	/* "Not trusted" goes without saying once there is a reason. */
	for (size_t i = 0; i + 1 < sizeof(flaws) / sizeof(*flaws); i++)
		if ((status & flaws[i].flag) != 0)
			status &= ~(unsigned)GNUTLS_CERT_INVALID;
	return status;
}

static void
review_status(const struct look *l, unsigned status)
{
	const struct tls_trust *t = l->trust;
	struct tls_review *r = l->review;
	const unsigned when = GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED;
	enum tls_review_state state;
	unsigned flag;
	bool itself;

	if (r == NULL)
		return;
	itself = may_sign_itself(l);
	status = all_flaws(l, status);
	for (size_t i = 0; i < sizeof(flaws) / sizeof(*flaws); i++) {
		flag = flaws[i].flag;
		if ((status & flag) == 0)
			continue;
		state = TLS_REVIEW_UNMET;
		if (flag == GNUTLS_CERT_UNEXPECTED_OWNER ? t->any_name :
		    t->any_chain || (itself && (flag & when) == 0))
			state = TLS_REVIEW_FORGIVEN;
		tls_review_fault(r, flaws[i].item, state, flaw_text(t, i));
	}
	tls_review_met(r, TLS_REVIEW_CHAIN);
	tls_review_met(r, TLS_REVIEW_DATES);
	if (l->host != NULL)
		tls_review_met(r, TLS_REVIEW_NAME);
}

static void
review_revocation(const struct look *l, const char *revoked)
{
	struct tls_review *r = l->review;

	if (revoked != NULL)
		tls_review_fault(r, TLS_REVIEW_REVOCATION, TLS_REVIEW_UNMET,
		    revoked);
	else if (l->trust->crls > 0 && l->path.n < 2 && !l->path.anchored)
		tls_review_fault(r, TLS_REVIEW_REVOCATION,
		    TLS_REVIEW_NOT_ASKED, "cannot be looked up in the lists, "
		    "as its issuer is not known");
	else if (l->trust->crls > 0)
		tls_review_met(r, TLS_REVIEW_REVOCATION);
}

/* ---- the judgement ------------------------------------------------------ */

/* False: that was all. */
static bool
judge_status(struct look *l, struct tls_judgement *j)
{
	const struct tls_trust *t = l->trust;
	unsigned status = 0, left;
	int r = import_sent(l);

	if (r == 0)
		r = verify(l, &status);
	if (r != 0) {
		refuse(j, GNUTLS_A_BAD_CERTIFICATE, "cannot be read");
		j->error = r == -ENOMEM ? r : -EACCES;
		return false;
	}
	left = forgive(l, status);
	if (left != 0)
		refuse_status(t, j, left);
	if (left != 0 && l->review == NULL)
		return false;
	tls_path_find(t, l->xcred, l->sent, l->sent_n, &l->path);
	/* The library may know a way that is not looked for here, and with the
	 * system's authorities need not find one by itself. */
	if (status == 0 && t->ca_n > 0 && !l->path.anchored)
		refuse_status(t, j, GNUTLS_CERT_SIGNER_NOT_FOUND);
	review_status(l, status);
	j->proof.anchored = status == 0 && l->path.anchored;
	return j->error == 0 || l->review != NULL;
}

static void
judge(struct look *l, struct tls_judgement *j)
{
	const struct tls_trust *t = l->trust;
	struct tls_match match = { .review = l->review };
	const char *revoked;
	int r;

	if (!judge_status(l, j))
		return;
	r = fill_proof(l, &j->proof);
	if (r < 0) {
		refuse(j, GNUTLS_A_BAD_CERTIFICATE,
		    "has a name, key or serial number that cannot be read");
		return;
	}
	revoked = revoked_in(t, &j->proof);
	review_revocation(l, revoked);
	if (revoked != NULL)
		refuse(j, GNUTLS_A_CERTIFICATE_REVOKED, revoked);
	if (revoked != NULL && l->review == NULL)
		return;
	r = tls_trust_match(t, &l->path, j->proof.sha256, &match);
	if (r < 0)
		refuse(j, r == -EACCES ? GNUTLS_A_ACCESS_DENIED :
		    GNUTLS_A_BAD_CERTIFICATE, r == -EACCES ? match.why :
		    "has a key that cannot be read");
	else
		j->proved = j->error == 0 && (j->proof.anchored ||
		    match.listed);
}

void
tls_trust_judge(const struct tls_trust *t, gnutls_session_t session,
    gnutls_certificate_credentials_t xcred, const char *host,
    struct tls_review *review, struct tls_judgement *ret)
{
	struct look l = {
		.trust = t, .session = session, .xcred = xcred, .host = host,
		.review = review
	};

	memset(ret, 0, sizeof(*ret));
	if (review != NULL)
		memset(review, 0, sizeof(*review));
	judge(&l, ret);
	tls_path_fini(&l.path);
	while (l.sent_n > 0)
		gnutls_x509_crt_deinit(l.sent[--l.sent_n]);
	if (review == NULL)
		return;
	review->judged = true;
	review->error = ret->error;
	memcpy(review->why, ret->why, sizeof(review->why));
}

int
tls_trust_apply(const struct tls_trust *t,
    gnutls_certificate_credentials_t xcred, char *why)
{
	int r = 1;

	if (t->ca_n > 0)
		r = gnutls_certificate_set_x509_trust(xcred, t->ca,
		    (int)t->ca_n);
	else if (!t->of_clients && !t->any_chain)
		r = gnutls_certificate_set_x509_system_trust(xcred);
	if (r > 0)
		return 0;
	return tls_why(why, r < 0 ? tls_vendor_errno(r) : -EINVAL, "%s: %s",
	    t->ca_n > 0 ? "the CA list" : "the system's trust store", r < 0 ?
	    gnutls_strerror(r) : "no certificate in it");
}
