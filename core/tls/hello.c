/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What GnuTLS does not tell of a ClientHello: the record_size_limit extension
 * (RFC 8449), whose value is lost with the session, and which TLS 1.2 suites
 * there are for which type of certificate.  Never refuses anything: GnuTLS,
 * which sees the same bytes next, does.
 */
#include <string.h>

#include "tls/tls_priv.h"

#define EXT_RECORD_SIZE_LIMIT 28
#define HELLO_FIXED 34			/* version, random */
#define RECORD_MAX 16384

static int
on_extension(void *ctx, unsigned id, const unsigned char *p, unsigned n)
{
	struct tls_hello *hello = ctx;

	if (id == EXT_RECORD_SIZE_LIMIT && n == 2)
		hello->record_limit = (uint16_t)(p[0] << 8 | p[1]);
	return 0;
}

/* ECDHE with AES-GCM (RFC 5289) or CHACHA20 (RFC 7905). */
static void
on_suite(struct tls_hello *hello, unsigned suite)
{
	switch (suite) {
	case 0xc02b:
	case 0xc02c:
	case 0xcca9:
		hello->suite_ecdsa = true;
		break;
	case 0xc02f:
	case 0xc030:
	case 0xcca8:
		hello->suite_rsa = true;
		break;
	default:
		break;
	}
}

static void
read_suites(struct tls_hello *hello, const uint8_t *p, size_t n)
{
	size_t at = HELLO_FIXED, end;

	if (n < at + 1)
		return;
	at += 1 + (size_t)p[at];
	if (n < at + 2)
		return;
	end = at + 2 + ((size_t)p[at] << 8 | p[at + 1]);
	if (end > n)
		return;
	for (at += 2; at + 2 <= end; at += 2)
		on_suite(hello, (unsigned)p[at] << 8 | p[at + 1]);
}

void
tls_hello_look(struct tls_hello *hello, const gnutls_datum_t *msg)
{
	memset(hello, 0, sizeof(*hello));
	read_suites(hello, msg->data, msg->size);
	(void)gnutls_ext_raw_parse(hello, on_extension, msg,
	    GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);	/* see above */
}

/* max_fragment_length (RFC 6066 4), or 16384. */
static size_t
fragment_n(const struct tls_handshake *h)
{
	size_t n = gnutls_record_get_max_size(h->session);

	return n > RECORD_MAX ? RECORD_MAX : n;
}

uint16_t
tls_hello_limit(const struct tls_handshake *h)
{
	size_t n = h->hello.record_limit;
	bool v13 = gnutls_protocol_get_version(h->session) == GNUTLS_TLS1_3;

	/* Both count the type byte of 1.3 (RFC 8449 4, RFC 8446 5.4). */
	if (n == 0)
		n = fragment_n(h) + (fragment_n(h) == RECORD_MAX ? 1 : 0);
	if (v13)
		n--;
	return (uint16_t)(n > RECORD_MAX ? RECORD_MAX : n);
}

/*
 * RFC 8449 5: max_fragment_length means nothing beside record_size_limit, which
 * binds only who gets it.  OpenSSL does not count the type byte, so that it
 * gets one more.
 */
uint16_t
tls_hello_take(const struct tls_handshake *h)
{
	return (uint16_t)(h->hello.record_limit != 0 ? RECORD_MAX :
	    fragment_n(h));
}
