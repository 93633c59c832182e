/* SPDX-License-Identifier: Apache-2.0 */
/* How large keys are, and where the certificates stand in a handshake's
 * message. */
#include "cert/limit.h"

#include <stddef.h>
#include <stdint.h>

#include <gnutls/abstract.h>

/* Bits of a number in big endian. */
static size_t
bits_of(const gnutls_datum_t *v)
{
	size_t at = 0, n;

	while (at < v->size && v->data[at] == 0)
		at++;
	n = (v->size - at) * 8;
	for (unsigned top = at < v->size ? v->data[at] : 0x80; top < 0x80;
	    top <<= 1)
		n--;
	return n;
}

static bool
rsa_too_dear(gnutls_pubkey_t key)
{
	gnutls_datum_t n = { NULL, 0 }, e = { NULL, 0 };
	bool dear = gnutls_pubkey_export_rsa_raw(key, &n, &e) < 0 ||
	    bits_of(&n) > CERT_KEY_BITS_MAX ||
	    bits_of(&e) > CERT_KEY_EXPONENT_BITS_MAX;

	gnutls_free(n.data);
	gnutls_free(e.data);
	return dear;
}

static bool
key_too_dear(gnutls_pubkey_t key)
{
	unsigned bits = 0;

	switch (gnutls_pubkey_get_pk_algorithm(key, &bits)) {
	case GNUTLS_PK_RSA:
	case GNUTLS_PK_RSA_PSS:
		return rsa_too_dear(key);
	case GNUTLS_PK_ECDSA:
	case GNUTLS_PK_EDDSA_ED25519:
	case GNUTLS_PK_EDDSA_ED448:
		return false;		/* of curves that the library knows */
	default:
		return true;
	}
}

bool
cert_key_too_dear(gnutls_x509_crt_t crt)
{
	gnutls_pubkey_t key;
	bool dear;

	if (gnutls_pubkey_init(&key) < 0)
		return true;
	dear = gnutls_pubkey_import_x509(key, crt, 0) < 0 || key_too_dear(key);
	gnutls_pubkey_deinit(key);
	return dear;
}

/* ---- the message -------------------------------------------------------- */

/* Takes `n_n` bytes of length and what they announce off the front. */
static bool
take(gnutls_datum_t *from, unsigned n_n, gnutls_datum_t *ret)
{
	size_t n = 0;

	if (from->size < n_n)
		return false;
	for (unsigned i = 0; i < n_n; i++)
		n = n << 8 | from->data[i];
	if (n > from->size - n_n)
		return false;
	ret->data = from->data + n_n;
	ret->size = (unsigned)n;
	from->data += n_n + n;
	from->size -= n_n + (unsigned)n;
	return true;
}

static bool
der_too_dear(const gnutls_datum_t *der)
{
	gnutls_x509_crt_t crt;
	bool dear;

	if (gnutls_x509_crt_init(&crt) < 0)
		return true;
	dear = gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) < 0 ||
	    cert_key_too_dear(crt);
	gnutls_x509_crt_deinit(crt);
	return dear;
}

bool
cert_message_too_dear(const gnutls_datum_t *message, bool tls13)
{
	gnutls_datum_t rest = *message, list, part;

	if ((tls13 && !take(&rest, 1, &part)) || !take(&rest, 3, &list))
		return true;
	while (list.size > 0) {
		if (!take(&list, 3, &part) || der_too_dear(&part) ||
		    (tls13 && !take(&list, 2, &part)))
			return true;
	}
	return false;
}
