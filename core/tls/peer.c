/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of a handshake: is its certificate good, and what is kept
 * of it.  After a resumption GnuTLS asks nobody, so that the certificate in the
 * ticket is judged again as if it were shown now.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cert/limit.h"
#include "tls/tls_priv.h"

#define SANS_MAX 64			/* that are looked at */

static void
refuse(struct tls_handshake *h, gnutls_alert_description_t alert,
    const char *why)
{
	h->peer_refused = true;
	h->peer_alert = alert;
	(void)snprintf(h->reason, sizeof(h->reason),
	    "client certificate %.350s", why);
}

int
tls_peer_look(struct tls_handshake *h, const gnutls_datum_t *msg)
{
	if (!cert_message_too_dear(msg, gnutls_protocol_get_version(
	    h->session) == GNUTLS_TLS1_3))
		return 0;
	refuse(h, GNUTLS_A_BAD_CERTIFICATE,
	    "cannot be read, or has a key that is too large to be checked");
	return GNUTLS_E_CERTIFICATE_ERROR;
}

static bool
shows_none(struct tls_handshake *h)
{
	unsigned n = 0;

	return gnutls_certificate_get_peers(h->session, &n) == NULL || n == 0;
}

/* 0, -ENOENT there is none and need not be, -EACCES, -ENOMEM. */
static int
judge(struct tls_handshake *h)
{
	const struct tls_listener *l = h->listener;
	struct tls_judgement j;

	h->peer_refused = false;
	h->proved = false;
	if (shows_none(h)) {
		if (l->client_auth != TLS_CLIENT_REQUIRED)
			return -ENOENT;
		refuse(h, gnutls_protocol_get_version(h->session) ==
		    GNUTLS_TLS1_3 ? GNUTLS_A_CERTIFICATE_REQUIRED :
		    GNUTLS_A_HANDSHAKE_FAILURE, "is missing");
		return -EACCES;
	}
	tls_trust_judge(l->trust, h->session, l->xcred, NULL, NULL, &j);
	if (j.error == 0) {
		h->proved = j.proved;
		h->proof = j.proof;
	} else if (j.error == -EACCES) {
		refuse(h, j.alert, j.why);
	}
	return j.error;
}

int
tls_peer_verify(gnutls_session_t s)
{
	struct tls_handshake *h = tls_session_handshake(s);

	if (h->challenge)
		return 0;
	switch (judge(h)) {
	case 0:
	case -ENOENT:
		return 0;
	case -ENOMEM:
		return GNUTLS_E_MEMORY_ERROR;
	default:
		return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
	}
}

int
tls_peer_recheck(struct tls_handshake *h, gnutls_alert_description_t *ret)
{
	int r;

	if (h->listener->client_auth == TLS_CLIENT_OFF)
		return 0;
	r = judge(h);
	if (r == -EACCES)
		*ret = h->peer_alert;
	return r == -ENOENT ? 0 : r;
}

void
tls_peer_refused(struct tls_handshake *h, int gnutls_error,
    gnutls_alert_description_t *ret)
{
	if (h->peer_refused)
		;		/* with a reason already */
	else if (gnutls_error == GNUTLS_E_CERTIFICATE_REQUIRED ||
	    gnutls_error == GNUTLS_E_NO_CERTIFICATE_FOUND)
		refuse(h, gnutls_protocol_get_version(h->session) ==
		    GNUTLS_TLS1_3 ? GNUTLS_A_CERTIFICATE_REQUIRED :
		    GNUTLS_A_HANDSHAKE_FAILURE, "is missing");
	else
		refuse(h, GNUTLS_A_BAD_CERTIFICATE,
		    gnutls_strerror(gnutls_error));
	*ret = h->peer_alert;
}

/* The client's leaf.  0, -ENOENT without one, -EACCES unreadable, -ENOMEM. */
static int
peer_leaf(struct tls_handshake *h, gnutls_x509_crt_t *ret)
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
	*ret = crt;
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
	gnutls_x509_crt_t crt;
	size_t n = sizeof(p->cert_cn);
	int r;

	if (!h->proved)
		return 0;
	r = peer_leaf(h, &crt);
	if (r < 0)
		return r == -ENOENT ? -EACCES : r;
	p->has_cert = true;
	p->cert = h->proof;
	if (gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
	    0, p->cert_cn, &n) < 0 || strlen(p->cert_cn) != n)
		p->cert_cn[0] = '\0';	/* none, too long, or with a NUL */
	fill_uri(crt, p);
	gnutls_x509_crt_deinit(crt);
	return 0;
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
	p.served = p.resumed ? tls_select_unseen(s) : h->served;
	fill_exporter(h, &p);
	r = fill_cert(h, &p);
	if (r == 0)
		*ret = p;
	return r;
}
