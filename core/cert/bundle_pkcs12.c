/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#12 (RFC 7292).  The library's one-step reader is not used: it hashes the
 * password as often as the file asks for, and refuses files without a MAC.
 * Here each step's count is read first, also that of a key inside of an
 * encrypted bag, which shows only after the bag was opened.  One that shows
 * from the beginning counts twice.
 */
#include "cert/bundle_priv.h"

#include <errno.h>

#include <gnutls/pkcs12.h>

#define WHAT "the PKCS#12"
#define BAGS_MAX 64

/*
 * An empty password is written in two ways, as one NUL character or as nothing
 * at all (RFC 7292 appendix B.1), and both are tried when there is none.
 */
static const char *
attempt(const struct gather *g, int i)
{
	if (g->password != NULL && g->password[0] != '\0')
		return g->password;
	return (g->attempt < 0 ? i : g->attempt) == 0 ? "" : NULL;
}

static int
attempts(const struct gather *g)
{
	return g->attempt >= 0 || (g->password != NULL &&
	    g->password[0] != '\0') ? 1 : 2;
}

/* RFC 3629.  GnuTLS says "out of memory" of what it cannot convert to the
 * BMPString that RFC 7292 wants. */
static bool
is_utf8(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	uint32_t c;
	int more;

	while ((c = *p++) != 0) {
		more = c < 0x80 ? 0 : c < 0xc0 ? -1 : c < 0xe0 ? 1 :
		    c < 0xf0 ? 2 : c < 0xf8 ? 3 : -1;
		if (more < 0)
			return false;
		c &= more == 0 ? 0x7fu : 0x3fu >> more;
		for (int i = 0; i < more; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3fu);
		}
		if (c < least[more] || c > 0x10ffff ||
		    (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

/* The hashes of MACs that GnuTLS verifies. */
static bool
is_known(unsigned mac)
{
	return mac == GNUTLS_MAC_SHA1 || mac == GNUTLS_MAC_SHA224 ||
	    mac == GNUTLS_MAC_SHA256 || mac == GNUTLS_MAC_SHA384 ||
	    mac == GNUTLS_MAC_SHA512;
}

static int
check_mac(struct gather *g, gnutls_pkcs12_t p12, const uint8_t *p, size_t n)
{
	unsigned mac = 0, rounds = 0;
	const char *name;
	char *oid = NULL;
	int r, err;

	r = gnutls_pkcs12_mac_info(p12, &mac, NULL, NULL, &rounds, &oid);
	/* How GnuTLS says that there is none.  Then a wrong
	 * password shows when the content is deciphered. */
	if (r == GNUTLS_E_INVALID_REQUEST ||
	    r == GNUTLS_E_ASN1_ELEMENT_NOT_FOUND ||
	    r == GNUTLS_E_ASN1_VALUE_NOT_FOUND) {
		gnutls_free(oid);
		return 0;
	}
	name = mac == 0 ? NULL :
	    gnutls_mac_get_name((gnutls_mac_algorithm_t)mac);
	err = oid == NULL || is_known(mac) ? 0 :
	    gather_fail(g, -ENOTSUP, "the MAC of the PKCS#12 is made with "
	    "%.40s, which is not supported: write the file anew with SHA-256 "
	    "(\"openssl pkcs12 -export -macalg sha256\")",
	    name != NULL ? name : oid);
	gnutls_free(oid);
	if (err == 0)
		err = gather_work_mac(g, p, n, mac == GNUTLS_MAC_SHA384 ||
		    mac == GNUTLS_MAC_SHA512, rounds, (unsigned)attempts(g));
	if (err == 0 && r < 0)
		err = gather_vendor(g, "the MAC of the PKCS#12", r);
	if (err < 0)
		return err;
	for (int i = 0; i < attempts(g); i++) {
		r = gnutls_pkcs12_verify_mac(p12, attempt(g, i));
		if (r >= 0) {
			g->attempt = i;
			return 0;
		}
	}
	return r == GNUTLS_E_MEMORY_ERROR ? gather_vendor(g, WHAT, r) :
	    gather_password_wrong(g, WHAT);
}

static int
open_bag(struct gather *g, gnutls_pkcs12_bag_t bag)
{
	unsigned schema, cipher, rounds = 0;
	char *oid = NULL;
	int r, err;

	r = gnutls_pkcs12_bag_enc_info(bag, &schema, &cipher, NULL, NULL,
	    &rounds, &oid);
	err = r < 0 ? gather_cipher(g, "the PKCS#12", oid, r) : 0;
	gnutls_free(oid);
	if (err < 0)
		return err;
	for (int i = 0; i < attempts(g); i++) {
		err = gather_rounds(g, rounds);
		if (err < 0)
			return err;
		r = gnutls_pkcs12_bag_decrypt(bag, attempt(g, i));
		if (r >= 0)
			return 0;
	}
	return r == GNUTLS_E_MEMORY_ERROR ? gather_vendor(g, WHAT, r) :
	    gather_password_wrong(g, WHAT);
}

static int
take_cert(struct gather *g, const gnutls_datum_t *d)
{
	gnutls_x509_crt_t crt = NULL;
	int r = gnutls_x509_crt_init(&crt);

	if (r >= 0)
		r = gnutls_x509_crt_import(crt, d, GNUTLS_X509_FMT_DER);
	if (r >= 0)
		return gather_cert(g, crt, "PKCS#12");
	if (crt != NULL)
		gnutls_x509_crt_deinit(crt);
	return gather_vendor(g, "a certificate", r);
}

static int
take_element(struct gather *g, gnutls_pkcs12_bag_t bag, unsigned i)
{
	gnutls_datum_t d = { NULL, 0 };
	int type = gnutls_pkcs12_bag_get_type(bag, i);

	if (type < 0 || gnutls_pkcs12_bag_get_data(bag, i, &d) < 0)
		return gather_fail(g, -EINVAL, WHAT " is damaged");
	switch (type) {
	case GNUTLS_BAG_CERTIFICATE:
		return take_cert(g, &d);
	case GNUTLS_BAG_PKCS8_KEY:
		return gather_key_plain(g, d.data, d.size, true, "PKCS#12");
	case GNUTLS_BAG_PKCS8_ENCRYPTED_KEY:
		return gather_key_pkcs8(g, d.data, d.size, "PKCS#12");
	default:
		g->other = "a PKCS#12 with something else in it";
		return 0;
	}
}

static int
take_bag(struct gather *g, gnutls_pkcs12_bag_t bag)
{
	int n, err = 0;

	if (gnutls_pkcs12_bag_get_type(bag, 0) == GNUTLS_BAG_ENCRYPTED)
		err = open_bag(g, bag);
	n = gnutls_pkcs12_bag_get_count(bag);
	if (err == 0 && n < 0)
		err = gather_vendor(g, WHAT, n);
	for (int i = 0; err == 0 && i < n; i++)
		err = take_element(g, bag, (unsigned)i);
	return err;
}

static int
take_bags(struct gather *g, gnutls_pkcs12_t p12)
{
	gnutls_pkcs12_bag_t bag;
	int r = 0;

	for (int i = 0; i < BAGS_MAX; i++) {
		if (gnutls_pkcs12_bag_init(&bag) < 0)
			return gather_fail(g, -ENOMEM, "out of memory");
		r = gnutls_pkcs12_get_bag(p12, i, bag);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
			gnutls_pkcs12_bag_deinit(bag);
			return 0;
		}
		r = r < 0 ? gather_vendor(g, WHAT, r) : take_bag(g, bag);
		gnutls_pkcs12_bag_deinit(bag);
		if (r < 0)
			return r;
	}
	return gather_fail(g, -E2BIG, WHAT " has more than %d parts", BAGS_MAX);
}

int
gather_pkcs12(struct gather *g, const uint8_t *p, size_t n)
{
	gnutls_datum_t d = cert_datum(p, n);
	gnutls_pkcs12_t p12 = NULL;
	int r = gnutls_pkcs12_init(&p12);

	if (r >= 0)
		r = gnutls_pkcs12_import(p12, &d, GNUTLS_X509_FMT_DER, 0);
	if (r < 0)
		r = gather_vendor(g, WHAT, r);
	else if (g->password != NULL && !is_utf8(g->password))
		r = gather_fail(g, -EKEYREJECTED, "the password is not UTF-8, "
		    "so it cannot open " WHAT ": save its file as UTF-8");
	else
		r = check_mac(g, p12, p, n);
	if (r == 0)
		r = gather_work(g, p, n, (unsigned)attempts(g));
	if (r == 0)
		r = take_bags(g, p12);
	if (p12 != NULL)
		gnutls_pkcs12_deinit(p12);
	return r;
}
