/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the records of a handshake are held to before GnuTLS sees them: kind and
 * length (RFC 8446 5.1, 5.2; RFC 5246 6.2.1), the bytes of the whole handshake,
 * and three rules that GnuTLS 3.7.9 leaves out: nothing stands behind a
 * ClientHello in its record, change_cipher_spec is one byte of 1 (RFC 8446 5),
 * and the version of an unprotected record means nothing (RFC 8446 5.1, D).
 * Looks at bytes of the wire only and keeps none but a message's header.
 */
#include <errno.h>
#include <string.h>

#include "tls/tls_priv.h"

#define PLAIN_MAX 16384			/* RFC 8446 5.1 */
#define SEALED_MAX (16384 + 256)	/* RFC 8446 5.2 */
#define TOTAL_MAX (64 * 1024)		/* wire bytes of a handshake */
#define TOTAL_MAX_CERT (64 * 1024)	/* more for a client's chain */

#define TYPE_CCS 20
#define TYPE_HANDSHAKE 22
#define TYPE_DATA 23
#define CLIENT_HELLO 1

/* Behind its change_cipher_spec everything of TLS 1.2 is protected; in 1.3 that
 * is for show, and protected records have a type of their own. */
static bool
is_plain(const struct tls_handshake *h, uint8_t type)
{
	return type != TYPE_DATA && (!h->ccs_seen ||
	    gnutls_protocol_get_version(h->session) == GNUTLS_TLS1_3);
}

/*
 * Goes through the messages in a plain record's body.  False when a ClientHello
 * ends and the record does not: keys change there in TLS 1.3, and with any
 * version the client has to wait for an answer.
 */
static bool
hello_ends_record(struct tls_handshake *h, const uint8_t *p, size_t n)
{
	size_t i = 0, k;

	while (i < n) {
		if (h->msg_head_n < sizeof(h->msg_head)) {
			h->msg_head[h->msg_head_n++] = p[i++];
			if (h->msg_head_n < sizeof(h->msg_head))
				continue;
			h->msg_left = (uint32_t)h->msg_head[1] << 16 |
			    (uint32_t)h->msg_head[2] << 8 | h->msg_head[3];
		}
		k = n - i < h->msg_left ? n - i : h->msg_left;
		h->msg_left -= (uint32_t)k;
		i += k;
		if (h->msg_left > 0)
			continue;
		h->msg_head_n = 0;
		if (h->msg_head[0] == CLIENT_HELLO && i < n)
			return false;
	}
	return true;
}

/* The whole record at p.  0 or the refusal. */
static int
check_whole(struct tls_handshake *h, const uint8_t *p, size_t n)
{
	if (p[0] == TYPE_CCS && is_plain(h, TYPE_CCS)) {
		if (n != TLS_RECORD_HEADER + 1 || p[TLS_RECORD_HEADER] != 1)
			return tls_refuse(h, GNUTLS_A_UNEXPECTED_MESSAGE,
			    -EPROTO, "malformed change_cipher_spec");
		h->ccs_seen = true;
	}
	if (p[0] == TYPE_HANDSHAKE && is_plain(h, TYPE_HANDSHAKE) &&
	    !hello_ends_record(h, p + TLS_RECORD_HEADER, n - TLS_RECORD_HEADER))
		return tls_refuse(h, GNUTLS_A_UNEXPECTED_MESSAGE, -EPROTO,
		    "something stands behind the ClientHello");
	return 0;
}

static int
check_header(struct tls_handshake *h, const uint8_t *p, size_t len)
{
	size_t limit = TOTAL_MAX;

	if (len > (is_plain(h, p[0]) ? PLAIN_MAX : SEALED_MAX))
		return tls_refuse(h, GNUTLS_A_RECORD_OVERFLOW, -EPROTO,
		    "TLS record is too long");
	if (h->listener->client_auth != TLS_CLIENT_OFF)
		limit += TOTAL_MAX_CERT;
	if (h->total + TLS_RECORD_HEADER + len > limit)
		return tls_refuse(h, GNUTLS_A_UNEXPECTED_MESSAGE, -EMSGSIZE,
		    "handshake is too long");
	return 0;
}

ssize_t
tls_hs_record(struct tls_handshake *h, const uint8_t *p, size_t n)
{
	size_t len;
	int r;

	if (n == 0)
		return 0;
	if (h->total == 0 && (p[0] != TYPE_HANDSHAKE || (n > 1 && p[1] != 3)))
		return tls_refuse_foreign(h, p, n);
	if (p[0] < TYPE_CCS || p[0] > TYPE_DATA || (n > 1 && p[1] != 3))
		return tls_refuse(h, GNUTLS_A_UNEXPECTED_MESSAGE, -EPROTO,
		    "no TLS record where one should begin");
	if (n < TLS_RECORD_HEADER)
		return 0;
	len = (size_t)p[3] << 8 | p[4];
	r = check_header(h, p, len);
	if (r < 0)
		return r;
	if (n < TLS_RECORD_HEADER + len)
		return 0;
	memcpy(h->head, p, TLS_RECORD_HEADER);
	if (is_plain(h, p[0]))
		h->head[2] = 3;
	r = check_whole(h, p, TLS_RECORD_HEADER + len);
	return r < 0 ? r : (ssize_t)(TLS_RECORD_HEADER + len);
}
