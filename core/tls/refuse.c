/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a handshake ends badly: the errno for the caller, one line for the log,
 * and the alert for the peer (RFC 8446 6.2, RFC 5246 7.2.2).  GnuTLS sends none
 * by itself.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tls/tls_priv.h"

#define RECORD_ALERT 21

int
tls_fail(struct tls_handshake *h, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(h->reason, sizeof(h->reason), fmt, ap);
	va_end(ap);
	h->state = HS_FAILED;
	return error;
}

/* Without room for the alert the peer gets none; the error stays the same. */
void
tls_refuse_alert(struct tls_handshake *h, gnutls_alert_description_t alert)
{
	bool full = h->tx_full;

	if (h->st == NULL)
		return;
	(void)gnutls_alert_send(h->session, GNUTLS_AL_FATAL, alert);
	h->tx_full = full;
}

int
tls_refuse(struct tls_handshake *h, gnutls_alert_description_t alert, int error,
    const char *why)
{
	tls_refuse_alert(h, alert);
	return tls_fail(h, error, "%s", why);
}

/* Is this the client's certificate, and not the handshake in general? */
static bool
about_cert(const struct tls_handshake *h, int rc)
{
	return h->peer_refused || rc == GNUTLS_E_CERTIFICATE_REQUIRED ||
	    rc == GNUTLS_E_NO_CERTIFICATE_FOUND ||
	    rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR ||
	    rc == GNUTLS_E_CERTIFICATE_ERROR;
}

int
tls_refuse_peer_alert(struct tls_handshake *h)
{
	gnutls_alert_description_t a = gnutls_alert_get(h->session);
	const char *name = gnutls_alert_get_name(a);

	return tls_fail(h, -ECONNABORTED, "peer's alert %d: %s", (int)a,
	    name != NULL ? name : "unknown");
}

int
tls_refuse_result(struct tls_handshake *h, int rc)
{
	gnutls_alert_description_t alert;
	int level;

	if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return tls_refuse_peer_alert(h);
	if (h->tx_full)
		return tls_fail(h, -EMSGSIZE,
		    "no room for the handshake's answer");
	if (h->no_cred)
		return tls_refuse(h, GNUTLS_A_UNRECOGNIZED_NAME, -ENOKEY,
		    h->challenge ? "no ACME challenge for that server name" :
		    "no credential for that server name");
	if (rc == GNUTLS_E_PK_SIGN_FAILED) {
		tls_refuse_alert(h, GNUTLS_A_INTERNAL_ERROR);
		return tls_fail(h, -ENOKEY, "the signer failed: %s",
		    h->signer_error != 0 ? strerror(-h->signer_error) :
		    "no signature");
	}
	if (h->listener->client_auth != TLS_CLIENT_OFF && about_cert(h, rc)) {
		tls_peer_refused(h, rc, &alert);
		tls_refuse_alert(h, alert);
		h->state = HS_FAILED;
		return -EACCES;
	}
	alert = (gnutls_alert_description_t)gnutls_error_to_alert(rc, &level);
	if (rc == GNUTLS_E_HANDSHAKE_TOO_LARGE)
		return tls_refuse(h, alert, -EMSGSIZE,
		    "handshake message is too long");
	return tls_refuse(h, alert, rc == GNUTLS_E_MEMORY_ERROR ? -ENOMEM :
	    -EPROTO, gnutls_strerror(rc));
}

/* Looks like the start of an HTTP request line: an upper case method. */
static bool
looks_like_http(const uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n && i < 4; i++)
		if (p[i] == ' ' && i > 2)
			return true;
		else if (p[i] < 'A' || p[i] > 'Z')
			return false;
	return true;
}

/* No session knows a version yet: writes the alert by hand.  A type of record
 * that may not come first is no matter of the version (RFC 8446 5). */
int
tls_refuse_foreign(struct tls_handshake *h, const uint8_t *p, size_t n)
{
	const bool is_type = p[0] >= 20 && p[0] <= 23 && p[0] != 22;
	const uint8_t alert[] = {
		RECORD_ALERT, 3, 3, 0, 2, GNUTLS_AL_FATAL,
		is_type ? GNUTLS_A_UNEXPECTED_MESSAGE :
		    GNUTLS_A_PROTOCOL_VERSION
	};
	struct outbuf *tx = &h->st->tx;

	if (outbuf_room(tx) >= sizeof(alert)) {
		memcpy(tx->p + tx->n, alert, sizeof(alert));
		tx->n += sizeof(alert);
	}
	return tls_fail(h, -EPROTO, "%s", looks_like_http(p, n) ?
	    "not TLS (looks like HTTP)" : "not TLS");
}
