/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One binary object: what it is tells its first few elements (RFC 5280, 5208,
 * 5958, 5652, 7292, 8017, 5915), and only the reader of that kind is asked, so
 * that what is wrong is said of what it is.
 */
#include "cert/bundle_priv.h"

#include <errno.h>
#include <string.h>

#define SIGNED_DATA 2			/* 1.2.840.113549.1.7.2 */

bool
tlv_read(const uint8_t *p, const uint8_t *end, struct tlv *ret)
{
	size_t n, octets, there;

	if (end - p < 2)
		return false;
	ret->tag = p[0];
	n = p[1];
	ret->open = n == 0x80;
	p += 2;
	if (n > 0x80) {
		octets = n & 0x7f;
		if (octets > 4 || (size_t)(end - p) < octets)
			return false;
		for (n = 0; octets > 0; octets--)
			n = n << 8 | *p++;
	}
	there = (size_t)(end - p);
	if (ret->open)
		n = there;
	ret->p = p;
	ret->n = n < there ? n : there;
	ret->missing = n - ret->n;
	ret->next = p + ret->n;
	return true;
}

bool
der_is(const uint8_t *p, size_t n)
{
	struct tlv out, in;

	return tlv_read(p, p + n, &out) && out.tag == DER_SEQUENCE &&
	    tlv_read(out.p, out.p + out.n, &in) &&
	    (in.tag == DER_SEQUENCE || in.tag == DER_INTEGER ||
	    in.tag == DER_OID);
}

enum kind {
	UNKNOWN, CERTIFICATE, PKCS7, PKCS12, PKCS8, ENCRYPTED_PKCS8, KEY,
	PUBLIC_KEY
};

static bool
has_oid(const struct tlv *in)
{
	struct tlv oid;

	return in->tag == DER_SEQUENCE &&
	    tlv_read(in->p, in->p + in->n, &oid) && oid.tag == DER_OID;
}

/* PKCS#7 content types: 1.2.840.113549.1.7.x */
static bool
is_pkcs7_oid(const struct tlv *oid)
{
	static const uint8_t arc[] = {
		0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07
	};

	return oid->tag == DER_OID && oid->n == sizeof(arc) + 1 &&
	    memcmp(oid->p, arc, sizeof(arc)) == 0;
}

static enum kind
kind_by_integer(const struct tlv *version, const struct tlv *second)
{
	struct tlv oid;

	if (second->tag == DER_INTEGER || second->tag == DER_OCTETS)
		return KEY;
	if (!has_oid(second))
		return UNKNOWN;
	if (version->n == 1 && version->p[0] == 3 &&
	    tlv_read(second->p, second->p + second->n, &oid) &&
	    is_pkcs7_oid(&oid))
		return PKCS12;
	return PKCS8;
}

static enum kind
kind_of(const struct tlv *all)
{
	const uint8_t *end = all->p + all->n;
	struct tlv first, second;

	if (all->tag != DER_SEQUENCE || !tlv_read(all->p, end, &first))
		return UNKNOWN;
	if (is_pkcs7_oid(&first))
		return PKCS7;
	if (!tlv_read(first.next, end, &second))
		return first.tag == DER_SEQUENCE && !has_oid(&first) ?
		    CERTIFICATE : UNKNOWN;
	if (first.tag == DER_INTEGER)
		return kind_by_integer(&first, &second);
	if (!has_oid(&first))
		return first.tag == DER_SEQUENCE ? CERTIFICATE : UNKNOWN;
	return second.tag == DER_OCTETS ? ENCRYPTED_PKCS8 :
	    second.tag == DER_BITS ? PUBLIC_KEY : UNKNOWN;
}

/* Requests and revocation lists look alike at first. */
static bool
is_other(struct gather *g, const gnutls_datum_t *d)
{
	gnutls_x509_crq_t crq = NULL;
	gnutls_x509_crl_t crl = NULL;

	if (gnutls_x509_crq_init(&crq) >= 0) {
		if (gnutls_x509_crq_import(crq, d, GNUTLS_X509_FMT_DER) >= 0)
			g->other = "a certificate request: the certificate is "
			    "what the authority made of it";
		gnutls_x509_crq_deinit(crq);
	}
	if (g->other == NULL && gnutls_x509_crl_init(&crl) >= 0) {
		if (gnutls_x509_crl_import(crl, d, GNUTLS_X509_FMT_DER) >= 0)
			g->other = "a revocation list";
		gnutls_x509_crl_deinit(crl);
	}
	return g->other != NULL;
}

static int
gather_cert_der(struct gather *g, const uint8_t *p, size_t n,
    const char *format)
{
	gnutls_datum_t d = cert_datum(p, n);
	gnutls_x509_crt_t crt = NULL;
	int r = gnutls_x509_crt_init(&crt);

	if (r >= 0)
		r = gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_DER);
	if (r >= 0)
		return gather_cert(g, crt, format);
	if (crt != NULL)
		gnutls_x509_crt_deinit(crt);
	if (r != GNUTLS_E_MEMORY_ERROR && is_other(g, &d))
		return 0;
	return gather_vendor(g, "a certificate", r);
}

static int
gather_pkcs7(struct gather *g, const uint8_t *p, size_t n, const char *format)
{
	gnutls_datum_t d = cert_datum(p, n), raw;
	gnutls_pkcs7_t p7 = NULL;
	struct tlv t;
	int r, err = 0, count;

	if (tlv_read(p, p + n, &t) && tlv_read(t.p, t.p + t.n, &t) &&
	    t.n > 0 && t.p[t.n - 1] != SIGNED_DATA)
		return gather_fail(g, -EINVAL, "holds a PKCS#7 of another kind "
		    "than certificates come in (signedData): export them as "
		    "PKCS#7 without encryption, or as PEM");
	r = gnutls_pkcs7_init(&p7);

	if (r >= 0)
		r = gnutls_pkcs7_import(p7, &d, GNUTLS_X509_FMT_DER);
	if (r < 0) {
		if (p7 != NULL)
			gnutls_pkcs7_deinit(p7);
		return gather_vendor(g, "the PKCS#7", r);
	}
	count = gnutls_pkcs7_get_crt_count(p7);
	if (count > CERT_BUNDLE_CERTS)
		err = gather_fail(g, -E2BIG, "there are more than %d "
		    "certificates", CERT_BUNDLE_CERTS);
	for (int i = 0; err == 0 && i < count; i++) {
		raw = cert_datum(NULL, 0);
		r = gnutls_pkcs7_get_crt_raw2(p7, (unsigned)i, &raw);
		err = r < 0 ? gather_vendor(g, "the PKCS#7", r) :
		    gather_cert_der(g, raw.data, raw.size, format);
		gnutls_free(raw.data);
	}
	gnutls_pkcs7_deinit(p7);
	if (err == 0 && count <= 0)
		g->other = "PKCS#7 without a certificate in it";
	return err;
}

int
gather_der(struct gather *g, const uint8_t *p, size_t n, bool in_pem)
{
	struct tlv all;

	if (!tlv_read(p, p + n, &all))
		return gather_fail(g, -EINVAL, "is damaged: %s is too short",
		    in_pem ? "what the PEM block holds" : "it");
	if (all.missing > 0)
		return gather_fail(g, -EINVAL, "is cut off: %zu bytes of the "
		    "%zu that it announces are missing", all.missing,
		    all.n + all.missing);
	n = (size_t)(all.next - p);	/* OpenSSL's trust settings follow */
	switch (kind_of(&all)) {
	case CERTIFICATE:
		return gather_cert_der(g, p, n, in_pem ? "PEM" : "DER");
	case PKCS7:
		return gather_pkcs7(g, p, n, in_pem ? "PKCS#7 PEM" :
		    "PKCS#7 DER");
	case PKCS12:
		return gather_pkcs12(g, p, n);
	case PKCS8:
		return gather_key_plain(g, p, n, true, "PKCS#8");
	case ENCRYPTED_PKCS8:
		return gather_key_pkcs8(g, p, n, "PKCS#8");
	case KEY:
		return gather_key_plain(g, p, n, false, in_pem ? "PEM" : "DER");
	case PUBLIC_KEY:
		g->other = "a public key";
		return 0;
	default:
		return gather_fail(g, -EINVAL, "holds neither a certificate "
		    "nor a private key: its content is not known");
	}
}

int
gather_ders(struct gather *g, const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	struct tlv t;
	int r = gather_der(g, p, n, false);

	/* OpenSSL's trust settings are not known, and the end. */
	while (r == 0 && tlv_read(p, end, &t) && !t.open) {
		p = t.next;
		if (!tlv_read(p, end, &t) || kind_of(&t) == UNKNOWN)
			break;
		r = gather_der(g, p, (size_t)(end - p), false);
	}
	return r;
}
