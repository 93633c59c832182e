/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which credential a handshake shows: by ALPN (RFC 8737), by server name (RFC
 * 6066 3), and of a slot's credentials by what the client can verify.  Runs
 * inside gnutls_handshake(); only reads the snapshot.
 */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "tls/tls_priv.h"

/* "" when the client sent none.  A name that is no host name is as good as
 * none. */
static void
server_name(gnutls_session_t s, char to[TLS_SERVER_NAME_MAX + 1])
{
	size_t i, n = TLS_SERVER_NAME_MAX;
	unsigned type;

	to[0] = '\0';
	if (gnutls_server_name_get(s, to, &n, &type, 0) < 0 ||
	    type != GNUTLS_NAME_DNS) {
		to[0] = '\0';
		return;
	}
	to[n] = '\0';
	n = strlen(to);
	if (n > 0 && to[n - 1] == '.')
		to[--n] = '\0';
	for (i = 0; i < n; i++)
		to[i] = (char)tolower((unsigned char)to[i]);
}

static const struct tls_slot *
slot_named(const struct tls_snapshot *s, const char *name)
{
	size_t i, k;

	for (i = 0; i < s->slots_n; i++)
		for (k = 0; k < s->slots[i].names_n; k++)
			if (strcmp(s->slots[i].names[k], name) == 0)
				return &s->slots[i];
	return NULL;
}

/* Exact, then "*." instead of the first label (RFC 6125 6.4.3), then the
 * default. */
static const struct tls_slot *
find_slot(const struct tls_snapshot *s, const char *name)
{
	const struct tls_slot *slot = NULL;
	const char *dot = strchr(name, '.');
	char wild[TLS_SERVER_NAME_MAX + 3] = "*";

	if (*name != '\0' && *name != '*')
		slot = slot_named(s, name);
	if (slot == NULL && dot != NULL && dot != name) {
		memcpy(wild + 1, dot, strlen(dot) + 1);
		slot = slot_named(s, wild);
	}
	return slot != NULL ? slot : s->fallback;
}

/* Does the client know a signature that this key can make, and for TLS 1.2 also
 * a suite of the key's type? */
static bool
usable(gnutls_session_t s, const struct tls_hello *hello,
    const struct tls_cred *c)
{
	gnutls_sign_algorithm_t sign;
	bool rsa = c->pk == GNUTLS_PK_RSA || c->pk == GNUTLS_PK_RSA_PSS;
	size_t i;

	if (gnutls_protocol_get_version(s) == GNUTLS_TLS1_2 &&
	    !(rsa ? hello->suite_rsa : hello->suite_ecdsa))
		return false;
	for (i = 0; gnutls_sign_algorithm_get_requested(s, i, &sign) >= 0; i++)
		if (tls_sign_fits(c->pk, c->bits, sign))
			return true;
	return false;
}

static const struct tls_cred *
find_challenge(const struct tls_snapshot *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->challenges_n; i++)
		if (strcmp(s->challenges[i].name, name) == 0)
			return s->challenges[i].cred;
	return NULL;
}

bool
tls_select_challenge(gnutls_session_t s)
{
	gnutls_datum_t alpn;

	return gnutls_alpn_get_selected_protocol(s, &alpn) == 0 &&
	    alpn.size == strlen(TLS_ALPN_ACME) &&
	    memcmp(alpn.data, TLS_ALPN_ACME, alpn.size) == 0;
}

static const struct tls_cred *
choose(gnutls_session_t s, struct tls_handshake *h)
{
	char name[TLS_SERVER_NAME_MAX + 1];
	const struct tls_cred *first = NULL;
	const struct tls_slot *slot;
	bool fits;
	size_t i;

	server_name(s, name);
	if (tls_select_challenge(s)) {
		/* The validator has no certificate to show. */
		gnutls_certificate_server_set_request(s, GNUTLS_CERT_IGNORE);
		h->challenge = true;
		return find_challenge(h->snapshot, name);
	}
	slot = find_slot(h->snapshot, name);
	for (i = 0; slot != NULL && i < TLS_SLOT_CREDS; i++) {
		if (slot->cred[i] == NULL)
			continue;
		fits = usable(s, &h->hello, slot->cred[i]);
		if (fits || first == NULL) {
			first = slot->cred[i];
			h->served = slot->number[i];
		}
		if (fits)
			break;
	}
	return first;		/* GnuTLS finds the words for what is missing */
}

uint16_t
tls_select_unseen(gnutls_session_t s)
{
	const struct tls_handshake *h = tls_session_handshake(s);
	char name[TLS_SERVER_NAME_MAX + 1];
	const struct tls_slot *slot;

	server_name(s, name);
	slot = find_slot(h->snapshot, name);
	for (size_t i = 0; slot != NULL && i < TLS_SLOT_CREDS; i++)
		if (slot->cred[i] != NULL)
			return slot->number[i];
	return 0;
}

int
tls_select_cred(gnutls_session_t s, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **certs, unsigned *certs_n, gnutls_ocsp_data_st **ocsp,
    unsigned *ocsp_n, gnutls_privkey_t *key, unsigned *flags)
{
	struct tls_handshake *h = tls_session_handshake(s);
	const struct tls_cred *c = choose(s, h);
	struct tls_cred *lent = (struct tls_cred *)(uintptr_t)c;

	(void)info;
	*flags = 0;		/* everything stays the snapshot's */
	if (c == NULL) {
		h->no_cred = true;
		return GNUTLS_E_INSUFFICIENT_CREDENTIALS;
	}
	*certs = lent->pcert;
	*certs_n = lent->pcert_n;
	*ocsp_n = tls_cred_staples(c, clock_wall_ms() / 1000) ? 1 : 0;
	*ocsp = *ocsp_n != 0 ? &lent->ocsp : NULL;
	*key = lent->key;
	return 0;
}
