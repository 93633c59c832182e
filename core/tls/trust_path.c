/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way from a certificate up to an anchor, and the marks by which its
 * certificates are known afterwards.  Whether the chain is good is the
 * library's to say (RFC 5280 6); this finds which one it is.
 */
#include <errno.h>
#include <string.h>

#include "tls/digest.h"
#include "tls/trust_priv.h"

/* A CA with many anchors or a peer that sends a thicket: so many signatures are
 * looked at. */
#define SIGNATURES_MAX 24

int
tls_mark_id(gnutls_x509_crt_t crt, uint8_t ret[TLS_MARK_SIZE])
{
	gnutls_datum_t dn = {NULL, 0};
	uint8_t text[2][32], hash[32];
	size_t n = 32;
	int r;

	if (gnutls_x509_crt_get_raw_dn(crt, &dn) < 0)
		return -EINVAL;
	r = digest_sha256(dn.data, dn.size, text[0]);
	gnutls_free(dn.data);
	if (r < 0 || gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256,
	    text[1], &n) < 0 || n != 32 ||
	    digest_sha256(text, sizeof(text), hash) < 0)
		return -EINVAL;
	memcpy(ret, hash, TLS_MARK_SIZE);
	return 0;
}

int
tls_mark_serial(const uint8_t issuer[TLS_MARK_SIZE], const uint8_t *serial,
    size_t n, uint8_t ret[TLS_MARK_SIZE])
{
	uint8_t text[TLS_MARK_SIZE + 64], hash[32];

	while (n > 1 && serial[0] == 0) {	/* DER's, not the number's */
		serial++;
		n--;
	}
	if (n > 64)
		return -EINVAL;
	memcpy(text, issuer, TLS_MARK_SIZE);
	memcpy(text + TLS_MARK_SIZE, serial, n);
	if (digest_sha256(text, TLS_MARK_SIZE + n, hash) < 0)
		return -EINVAL;
	memcpy(ret, hash, TLS_MARK_SIZE);
	return 0;
}

/* Dates are the chain verification's business. */
bool
tls_signed_by(gnutls_x509_crt_t what, gnutls_x509_crt_t by)
{
	unsigned status = 0;

	return gnutls_x509_crt_verify(what, &by, 1,
	    GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS, &status) >= 0 &&
	    (status & (GNUTLS_CERT_INVALID | GNUTLS_CERT_SIGNATURE_FAILURE)) ==
	    0;
}

static bool
is_anchor(const struct tls_trust *t, gnutls_x509_crt_t crt)
{
	for (unsigned i = 0; i < t->ca_n; i++)
		if (gnutls_x509_crt_equals(crt, t->ca[i]) != 0)
			return true;
	return false;
}

struct search {
	const struct tls_trust *trust;
	gnutls_certificate_credentials_t xcred;
	gnutls_x509_crt_t *sent;
	unsigned sent_n, used, left;	/* bits of sent[]; signatures */
	struct tls_path *path;
};

/* Names and key ids are cheap, signatures are not. */
static bool
issued(struct search *s, gnutls_x509_crt_t what, gnutls_x509_crt_t by)
{
	if (gnutls_x509_crt_check_issuer(what, by) == 0 || s->left == 0)
		return false;
	s->left--;
	return tls_signed_by(what, by);
}

static bool
end_at(struct search *s, gnutls_x509_crt_t anchor)
{
	if (s->path->n == TLS_PATH_MAX)
		return false;
	s->path->crt[s->path->n++] = anchor;
	s->path->anchored = true;
	return true;
}

static bool
to_anchor(struct search *s, gnutls_x509_crt_t at)
{
	const struct tls_trust *t = s->trust;

	for (unsigned i = 0; i < t->ca_n; i++)
		if (issued(s, at, t->ca[i]))
			return end_at(s, t->ca[i]);
	if (t->ca_n > 0 || gnutls_certificate_get_issuer(s->xcred, at,
	    &s->path->own, GNUTLS_TL_GET_COPY) < 0)
		return false;
	if (issued(s, at, s->path->own) && end_at(s, s->path->own))
		return true;
	gnutls_x509_crt_deinit(s->path->own);
	s->path->own = NULL;
	return false;
}

/* Continues from the path's last one; false leaves it as it was, but for the
 * first way, which stays when no way leads to an anchor. */
static bool
climb(struct search *s)
{
	struct tls_path *p = s->path;
	gnutls_x509_crt_t at = p->crt[p->n - 1];
	unsigned n = p->n, longest = n;

	if (is_anchor(s->trust, at)) {
		p->anchored = true;
		return true;
	}
	if (to_anchor(s, at))
		return true;
	for (unsigned i = 1; i < s->sent_n && n < TLS_PATH_MAX; i++) {
		if ((s->used & 1u << i) != 0 || !issued(s, at, s->sent[i]))
			continue;
		s->used |= 1u << i;
		p->n = n;
		p->crt[p->n++] = s->sent[i];
		if (climb(s))
			return true;
		s->used &= ~(1u << i);
		longest = p->n;
	}
	p->n = longest;
	return false;
}

void
tls_path_find(const struct tls_trust *t, gnutls_certificate_credentials_t xcred,
    gnutls_x509_crt_t *sent, unsigned n, struct tls_path *ret)
{
	struct search s = {
		.trust = t, .xcred = xcred, .sent = sent, .sent_n = n,
		.left = SIGNATURES_MAX, .path = ret
	};

	*ret = (struct tls_path){ .crt = { sent[0] }, .n = 1 };
	(void)climb(&s);
}

void
tls_path_fini(struct tls_path *p)
{
	if (p->own != NULL)
		gnutls_x509_crt_deinit(p->own);
	p->own = NULL;
}
