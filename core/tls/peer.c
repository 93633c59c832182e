/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of a handshake: is its certificate good, and what is kept
 * of it.  After a resumption GnuTLS asks nobody, so the dates of the
 * certificate in the ticket are looked at again; that its CA is still trusted
 * follows from the ticket key, which is derived from the CA list.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tls/digest.h"
#include "tls/impl.h"
#include "tls/vendor.h"

#define SANS_MAX 64			/* that are looked at */

#define SERIAL_MAX 20			/* RFC 5280 4.1.2.2 */

int
tls_peer_verify(gnutls_session_t s)
{
	struct tls_handshake *h = tls_session_handshake(s);
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = tls_datum(GNUTLS_KP_TLS_WWW_CLIENT, 0).data,
	};
	unsigned n = 0, status = 0;
	int r;

	if (h->challenge)
		return 0;
	if (gnutls_certificate_get_peers(s, &n) == NULL || n == 0)
		return h->listener->client_auth == TLS_CLIENT_REQUIRED ?
		    GNUTLS_E_CERTIFICATE_REQUIRED : 0;
	r = gnutls_certificate_verify_peers(s, &purpose, 1, &status);
	if (r < 0)
		return r;
	h->verify_status = status;
	return status == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* The most telling of the flags first. */
static const struct {
	unsigned flag;
	gnutls_alert_description_t alert;
	const char *text;
} refusals[] = {
	{GNUTLS_CERT_REVOKED, GNUTLS_A_CERTIFICATE_REVOKED,
	    "client certificate is revoked"},
	{GNUTLS_CERT_SIGNER_NOT_FOUND, GNUTLS_A_UNKNOWN_CA,
	    "client certificate has an unknown issuer"},
	{GNUTLS_CERT_SIGNER_NOT_CA, GNUTLS_A_UNKNOWN_CA,
	    "client certificate's issuer is not a CA"},
	{GNUTLS_CERT_SIGNATURE_FAILURE, GNUTLS_A_BAD_CERTIFICATE,
	    "client certificate has a wrong signature"},
	{GNUTLS_CERT_EXPIRED, GNUTLS_A_CERTIFICATE_EXPIRED,
	    "client certificate is expired"},
	{GNUTLS_CERT_NOT_ACTIVATED, GNUTLS_A_CERTIFICATE_EXPIRED,
	    "client certificate is not valid yet"},
	{GNUTLS_CERT_INSECURE_ALGORITHM, GNUTLS_A_BAD_CERTIFICATE,
	    "client certificate is signed with a weak algorithm"},
	{GNUTLS_CERT_PURPOSE_MISMATCH, GNUTLS_A_UNSUPPORTED_CERTIFICATE,
	    "client certificate is not meant for TLS clients"},
	{GNUTLS_CERT_INVALID, GNUTLS_A_BAD_CERTIFICATE,
	    "client certificate is not trusted"},
};

void
tls_peer_refused(struct tls_handshake *h, int gnutls_error,
    gnutls_alert_description_t *ret)
{
	const char *text = "client certificate is missing";
	size_t i;

	*ret = gnutls_protocol_get_version(h->session) == GNUTLS_TLS1_3 ?
	    GNUTLS_A_CERTIFICATE_REQUIRED : GNUTLS_A_HANDSHAKE_FAILURE;
	if (h->verify_status != 0) {
		for (i = 0; i + 1 < sizeof(refusals) / sizeof(*refusals); i++)
			if ((h->verify_status & refusals[i].flag) != 0)
				break;
		text = refusals[i].text;
		*ret = refusals[i].alert;
	} else if (gnutls_error != GNUTLS_E_CERTIFICATE_REQUIRED &&
	    gnutls_error != GNUTLS_E_NO_CERTIFICATE_FOUND) {
		text = gnutls_strerror(gnutls_error);
		*ret = GNUTLS_A_BAD_CERTIFICATE;
	}
	(void)snprintf(h->reason, sizeof(h->reason), "%s", text);
}

/* The client's leaf.  0, -ENOENT without one, -EACCES unreadable, -ENOMEM. */
static int
peer_leaf(struct tls_handshake *h, const gnutls_datum_t **ret_der,
    gnutls_x509_crt_t *ret)
{
	const gnutls_datum_t *der;
	gnutls_x509_crt_t crt = NULL;
	unsigned n = 0;

	der = gnutls_certificate_get_peers(h->session, &n);
	if (der == NULL || n == 0)
		return -ENOENT;
	if (gnutls_x509_crt_init(&crt) < 0)
		return -ENOMEM;
	if (gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) < 0) {
		gnutls_x509_crt_deinit(crt);
		return -EACCES;
	}
	*ret_der = der;
	*ret = crt;
	return 0;
}

int
tls_peer_recheck(struct tls_handshake *h, gnutls_alert_description_t *ret)
{
	int64_t now = clock_wall_ms() / 1000;
	const gnutls_datum_t *der;
	gnutls_x509_crt_t crt;
	int r = peer_leaf(h, &der, &crt);

	h->verify_status = 0;
	if (r == -ENOENT) {
		if (h->listener->client_auth != TLS_CLIENT_REQUIRED)
			return 0;
		tls_peer_refused(h, GNUTLS_E_CERTIFICATE_REQUIRED, ret);
		return -EACCES;
	}
	if (r == 0) {
		if (now > gnutls_x509_crt_get_expiration_time(crt))
			h->verify_status |= GNUTLS_CERT_EXPIRED;
		if (now < gnutls_x509_crt_get_activation_time(crt))
			h->verify_status |= GNUTLS_CERT_NOT_ACTIVATED;
		gnutls_x509_crt_deinit(crt);
	} else if (r == -EACCES) {
		h->verify_status |= GNUTLS_CERT_INVALID;
	} else {
		return r;
	}
	if (h->verify_status == 0)
		return 0;
	tls_peer_refused(h, GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, ret);
	return -EACCES;
}

/* The first of these that there is: the certificate's authority key id, the
 * subject key id of the issuer among the trust anchors, SHA-1 of the issuer's
 * name.  A key id that is not 20 bytes long is hashed to that. */
static int
issuer_id(struct tls_handshake *h, gnutls_x509_crt_t crt, uint8_t ret[20])
{
	gnutls_x509_crt_t issuer;
	gnutls_datum_t dn;
	uint8_t id[64];
	size_t n = sizeof(id);
	int r;

	r = gnutls_x509_crt_get_authority_key_id(crt, id, &n, NULL);
	if (r < 0 && h->listener->xcred != NULL &&
	    gnutls_certificate_get_issuer(h->listener->xcred, crt, &issuer,
	    0) >= 0) {
		n = sizeof(id);
		r = gnutls_x509_crt_get_subject_key_id(issuer, id, &n, NULL);
	}
	if (r >= 0 && n == 20) {
		memcpy(ret, id, 20);
		return 0;
	}
	if (r >= 0)
		return digest_sha1(id, n, ret);
	if (gnutls_x509_crt_get_raw_issuer_dn(crt, &dn) < 0)
		return -EACCES;
	r = digest_sha1(dn.data, dn.size, ret);
	gnutls_free(dn.data);
	return r;
}

/* Leading zero bytes are DER's, not the number's. */
static int
serial(gnutls_x509_crt_t crt, struct tls_peer *p)
{
	uint8_t s[64];
	size_t n = sizeof(s), skip = 0;

	if (gnutls_x509_crt_get_serial(crt, s, &n) < 0)
		return -EACCES;
	while (skip + 1 < n && s[skip] == 0)
		skip++;
	if (n - skip > SERIAL_MAX)
		return -EACCES;
	p->serial_n = (uint8_t)(n - skip);
	memcpy(p->serial, s + skip, n - skip);
	return 0;
}

/* The first URI among the alternative names (RFC 5280 4.2.1.6). */
static void
fill_uri(gnutls_x509_crt_t crt, struct tls_peer *p)
{
	unsigned type;
	size_t n;
	int r = 0;

	for (unsigned i = 0; i < SANS_MAX &&
	    r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE; i++) {
		n = sizeof(p->cert_uri);
		r = gnutls_x509_crt_get_subject_alt_name2(crt, i, p->cert_uri,
		    &n, &type, NULL);
		if (r >= 0 && type == GNUTLS_SAN_URI &&
		    n < sizeof(p->cert_uri) && strnlen(p->cert_uri, n) == n) {
			p->cert_uri[n] = '\0';
			return;
		}
	}
	p->cert_uri[0] = '\0';
}

static int
fill_cert(struct tls_handshake *h, struct tls_peer *p)
{
	const gnutls_datum_t *der;
	gnutls_x509_crt_t crt;
	size_t n = sizeof(p->cert_cn);
	int r;

	if (h->listener->client_auth == TLS_CLIENT_OFF)
		return 0;
	r = peer_leaf(h, &der, &crt);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	p->has_cert = true;
	p->cert_not_after = gnutls_x509_crt_get_expiration_time(crt);
	r = digest_sha256(der->data, der->size, p->cert_sha256);
	if (r == 0)
		r = issuer_id(h, crt, p->issuer_key_id);
	if (r == 0)
		r = serial(crt, p);
	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
	    0, p->cert_cn, &n) < 0 || strlen(p->cert_cn) != n)
		p->cert_cn[0] = '\0';	/* none, too long, or with a NUL */
	fill_uri(crt, p);
	gnutls_x509_crt_deinit(crt);
	if (r == -EACCES)
		(void)snprintf(h->reason, sizeof(h->reason),
		    "client certificate's serial number or issuer is unusable");
	return r;
}

static void
fill_exporter(struct tls_handshake *h, struct tls_peer *p)
{
	gnutls_datum_t cb = {NULL, 0};

	if (gnutls_session_channel_binding(h->session, GNUTLS_CB_TLS_EXPORTER,
	    &cb) >= 0 && cb.size == sizeof(p->exporter)) {
		memcpy(p->exporter, cb.data, cb.size);
		p->has_exporter = true;
	}
	gnutls_free(cb.data);
}

int
tls_peer_fill(struct tls_handshake *h, struct tls_peer *ret)
{
	gnutls_session_t s = h->session;
	struct tls_peer p = {0};
	gnutls_datum_t alpn;
	unsigned type;
	size_t n = sizeof(p.server_name) - 1;
	int r;

	p.version = gnutls_protocol_get_version(s) == GNUTLS_TLS1_3 ? 0x0304 :
	    0x0303;
	(void)snprintf(p.cipher, sizeof(p.cipher), "%s",
	    gnutls_cipher_get_name(gnutls_cipher_get(s)));
	if (gnutls_alpn_get_selected_protocol(s, &alpn) == 0 &&
	    alpn.size < sizeof(p.alpn))
		memcpy(p.alpn, alpn.data, alpn.size);
	if (gnutls_server_name_get(s, p.server_name, &n, &type, 0) < 0 ||
	    type != GNUTLS_NAME_DNS)
		p.server_name[0] = '\0';
	p.resumed = gnutls_session_is_resumed(s) != 0;
	fill_exporter(h, &p);
	r = fill_cert(h, &p);
	if (r == 0)
		*ret = p;
	return r;
}
