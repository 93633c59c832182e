/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocation lists (RFC 5280 5): checked when they are read, and kept as a set
 * of marks, so that a handshake, a ticket and a live channel are judged alike.
 * A list counts only if one of the CAs that are given has signed it.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "tls/snapshot.h"
#include "tls/trust_priv.h"
#include "tls/vendor.h"

#define OID_ISSUING_POINT "2.5.29.28"
#define SERIAL_ROOM 64
#define EXTENSION_ROOM 4096
#define ISSUERS_MAX 8			/* certificates of one CA */

/* Has the SEQUENCE p a member with that tag, of a BOOLEAN, that is true?  What
 * cannot be read counts as yes: then the list is not used. */
static bool
has_true(const uint8_t *p, size_t n, uint8_t tag)
{
	size_t at = 2, len;

	if (n < 2 || p[0] != 0x30)
		return true;
	if (p[1] >= 0x80) {
		at += p[1] & 0x7f;
		if (at > 4)
			return true;
	}
	while (at + 2 <= n) {
		uint8_t t = p[at];

		len = p[at + 1];
		at += 2;
		if (len == 0x81 && at < n) {
			len = p[at++];
		} else if (len == 0x82 && at + 1 < n) {
			len = (size_t)p[at] << 8 | p[at + 1];
			at += 2;
		} else if (len >= 0x80) {
			return true;
		}
		if (t == tag)
			return len != 1 || at >= n || p[at] != 0;
		if (len > n - at)
			return true;
		at += len;
	}
	return at != n;
}

/* Critical extensions that are not understood forbid the use of a list (5.2):
 * among them those of delta lists (5.2.4); indirect lists name certificates of
 * others (5.2.5). */
static int
check_extensions(gnutls_x509_crl_t crl, const char *name, char *why)
{
	char oid[128];
	uint8_t data[EXTENSION_ROOM];
	unsigned critical;
	size_t n;
	int r;

	for (unsigned i = 0; ; i++) {
		n = sizeof(oid);
		critical = 1;
		r = gnutls_x509_crl_get_extension_info(crl, i, oid, &n,
		    &critical);
		if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return 0;
		if (r < 0)
			return tls_why(why, tls_vendor_errno(r),
			    "%.150s: an extension cannot be read", name);
		if (critical == 0)
			continue;
		n = sizeof(data);
		if (strcmp(oid, OID_ISSUING_POINT) == 0 &&
		    gnutls_x509_crl_get_extension_data(crl, i, data, &n) >= 0 &&
		    !has_true(data, n, 0x84))
			continue;
		return tls_why(why, -EINVAL, "%.150s: a delta list, an "
		    "indirect one, or one with an extension that is not known "
		    "(%.40s)", name, oid);
	}
}

static bool
same_name(gnutls_x509_crl_t crl, gnutls_x509_crt_t ca)
{
	gnutls_datum_t a = {NULL, 0}, b = {NULL, 0};
	bool same;

	same = gnutls_x509_crl_get_raw_issuer_dn(crl, &a) >= 0 &&
	    gnutls_x509_crt_get_raw_dn(ca, &b) >= 0 && a.size == b.size &&
	    memcmp(a.data, b.data, a.size) == 0;
	gnutls_free(a.data);
	gnutls_free(b.data);
	return same;
}

/* One that is overdue says as much as before; the library has a flag against
 * looking at dates, and looks. */
static bool
is_genuine(unsigned status)
{
	const unsigned dates = GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
	    GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE;

	return status == 0 || ((status & dates) != 0 &&
	    (status & ~(dates | GNUTLS_CERT_INVALID)) == 0);
}

/* The mark of the CA that signed it.  -ENOENT: none of ours. */
static int
find_issuer(const struct tls_trust *t, gnutls_x509_crl_t crl,
    uint8_t ret[TLS_MARK_SIZE])
{
	unsigned looked = 0, status;

	for (unsigned i = 0; i < t->ca_n && looked < ISSUERS_MAX; i++) {
		if (!same_name(crl, t->ca[i]))
			continue;
		looked++;
		status = 0;
		if (gnutls_x509_crl_verify(crl, &t->ca[i], 1, 0, &status) >=
		    0 && is_genuine(status))
			return tls_mark_id(t->ca[i], ret);
	}
	return -ENOENT;
}

static int
add_serials(struct tls_trust *t, gnutls_x509_crl_t crl,
    const uint8_t issuer[TLS_MARK_SIZE], const char *name, char *why)
{
	int count = gnutls_x509_crl_get_crt_count(crl), r = 0;
	gnutls_x509_crl_iter_t iter = NULL;
	uint8_t serial[SERIAL_ROOM];
	void *grown;
	size_t n;

	if (count < 0)
		return tls_why(why, tls_vendor_errno(count), "%.150s: %s",
		    name, gnutls_strerror(count));
	grown = mem_realloc(t->revoked, (t->revoked_n + (size_t)count + 1) *
	    TLS_MARK_SIZE);
	if (grown == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	t->revoked = grown;
	for (int i = 0; r >= 0 && i < count; i++) {
		n = sizeof(serial);
		r = gnutls_x509_crl_iter_crt_serial(crl, &iter, serial, &n,
		    NULL);
		if (r >= 0)
			r = tls_mark_serial(issuer, serial, n,
			    t->revoked[t->revoked_n]);
		if (r >= 0)
			t->revoked_n++;
	}
	gnutls_x509_crl_iter_deinit(iter);
	if (r < 0)
		return tls_why(why, -EINVAL, "%.150s: an entry cannot be read",
		    name);
	return 0;
}

static int
add(struct tls_trust *t, gnutls_x509_crl_t crl, const char *name, char *why)
{
	uint8_t issuer[TLS_MARK_SIZE];
	int64_t next = gnutls_x509_crl_get_next_update(crl);
	int r = check_extensions(crl, name, why);

	if (r < 0)
		return r;
	r = find_issuer(t, crl, issuer);
	if (r < 0)
		return tls_why(why, -EINVAL, "%.150s: no CA that is given has "
		    "signed this list", name);
	r = add_serials(t, crl, issuer, name, why);
	if (r < 0)
		return r;
	t->crls++;
	if (next > 0 && (t->crl_next_update == 0 || next < t->crl_next_update))
		t->crl_next_update = next;
	return 0;
}

/* CAs and their lists may be in the same directory. */
static bool
is_certificate(const gnutls_datum_t *der)
{
	gnutls_x509_crt_t crt;
	bool is;

	if (gnutls_x509_crt_init(&crt) < 0)
		return false;
	is = gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) >= 0;
	gnutls_x509_crt_deinit(crt);
	return is;
}

int
tls_trust_crl(struct tls_trust *t, const struct tls_blob *b, char *why)
{
	gnutls_datum_t d = tls_datum(b->p, b->n);
	bool pem = tls_blob_is_pem(b);
	gnutls_x509_crl_t *list = NULL;
	unsigned n = 0;
	int r;

	if (pem && !tls_blob_has(b, "X509 CRL"))
		return b->among_others && b->n > 0 ? 0 : tls_why(why, -EINVAL,
		    "%.150s: no revocation list in it", b->name);
	r = gnutls_x509_crl_list_import2(&list, &n, &d, pem ?
	    GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER, 0);
	if (r < 0 && !pem && b->among_others && is_certificate(&d))
		return 0;
	if (r < 0)
		return tls_why(why, tls_vendor_errno(r),
		    "%.150s: not a revocation list: %s", b->name,
		    gnutls_strerror(r));
	r = 0;
	for (unsigned i = 0; i < n; i++) {
		if (r == 0)
			r = add(t, list[i], b->name, why);
		gnutls_x509_crl_deinit(list[i]);
	}
	gnutls_free(list);
	return r;
}
