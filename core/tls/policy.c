/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy: TLS 1.2 and 1.3, suites that the record layer can take over
 * (AES-GCM and CHACHA20-POLY1305), ephemeral key exchange, no SHA-1.  A string
 * of the operator's is not compared as text: it is resolved by the library and
 * whatever it allows is looked at, so that no keyword can bring back what is
 * refused here.
 */
#include "tls/policy.h"

#include <errno.h>
#include <stdbool.h>

#include "tls/snapshot.h"
#include "tls/vendor.h"

/*
 * AES-128-GCM first: it costs 9 % less than AES-256-GCM, and CHACHA20 of this
 * library 15 times more; the server's order counts.  RFC 8446 resumption with
 * psk_dhe_ke needs no key exchange of its own here: "+PSK" alone would switch
 * it off for ordinary clients.
 */
static const char default_priority[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
    ":-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
    ":-MAC-ALL:+AEAD"
    ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"
    TLS_POLICY_TAIL;

const char *
tls_policy_default(void)
{
	return default_priority;
}

bool
tls_policy_version(unsigned int v)
{
	return v == GNUTLS_TLS1_2 || v == GNUTLS_TLS1_3;
}

bool
tls_policy_mac(unsigned int mac)
{
	return mac == GNUTLS_MAC_AEAD;
}

bool
tls_policy_cipher(unsigned int c)
{
	return c == GNUTLS_CIPHER_AES_128_GCM ||
	    c == GNUTLS_CIPHER_AES_256_GCM ||
	    c == GNUTLS_CIPHER_CHACHA20_POLY1305;
}

/* PSK exchanges serve resumption in TLS 1.3 only: for 1.2 they would need PSK
 * credentials, which no session has. */
bool
tls_policy_kx(unsigned int kx)
{
	return kx == GNUTLS_KX_ECDHE_ECDSA || kx == GNUTLS_KX_ECDHE_RSA ||
	    kx == GNUTLS_KX_ECDHE_PSK || kx == GNUTLS_KX_DHE_PSK ||
	    kx == GNUTLS_KX_PSK;
}

bool
tls_policy_sign(unsigned int sign)
{
	switch (gnutls_sign_get_hash_algorithm((gnutls_sign_algorithm_t)sign)) {
	case GNUTLS_DIG_SHA1:
	case GNUTLS_DIG_MD5:
	case GNUTLS_DIG_MD2:
	case GNUTLS_DIG_RMD160:
	case GNUTLS_DIG_SHA224:
		return false;
	default:
		break;
	}
	return gnutls_sign_is_secure((gnutls_sign_algorithm_t)sign) != 0 &&
	    gnutls_sign_get_pk_algorithm((gnutls_sign_algorithm_t)sign) !=
	    GNUTLS_PK_DSA;
}

static int
check_versions(gnutls_priority_t p, char *why)
{
	const unsigned int *list;
	int i, n;

	n = gnutls_priority_protocol_list(p, &list);
	for (i = 0; i < n; i++)
		if (!tls_policy_version(list[i]))
			return tls_why(why, -EINVAL,
			    "protocol version %s is not allowed, only TLS 1.2 "
			    "and 1.3 are", gnutls_protocol_get_name(
			    (gnutls_protocol_t)list[i]));
	if (n <= 0)
		return tls_why(why, -EINVAL,
		    "neither TLS 1.2 nor TLS 1.3 is left");
	return 0;
}

static int
check_suites(gnutls_priority_t p, char *why)
{
	const unsigned int *list;
	int i, n;

	n = gnutls_priority_cipher_list(p, &list);
	for (i = 0; i < n; i++)
		if (!tls_policy_cipher(list[i]))
			return tls_why(why, -EINVAL,
			    "cipher %s is not allowed, only AES-128-GCM, "
			    "AES-256-GCM and CHACHA20-POLY1305 are",
			    gnutls_cipher_get_name(
			    (gnutls_cipher_algorithm_t)list[i]));
	if (n <= 0)
		return tls_why(why, -EINVAL, "no cipher is left");
	n = gnutls_priority_mac_list(p, &list);
	for (i = 0; i < n; i++)
		if (!tls_policy_mac(list[i]))
			return tls_why(why, -EINVAL,
			    "MAC %s is not allowed, only AEAD is",
			    gnutls_mac_get_name(
			    (gnutls_mac_algorithm_t)list[i]));
	if (n <= 0)
		return tls_why(why, -EINVAL, "MAC AEAD is missing");
	return 0;
}

static int
check_keys(gnutls_priority_t p, char *why)
{
	const unsigned int *list;
	bool certificate = true;
	int i, n;

	/* TLS 1.3 alone has no key exchange of this kind to choose. */
	n = gnutls_priority_protocol_list(p, &list);
	for (i = 0; i < n; i++)
		certificate &= list[i] != GNUTLS_TLS1_2;
	n = gnutls_priority_kx_list(p, &list);
	for (i = 0; i < n; i++) {
		if (!tls_policy_kx(list[i]))
			return tls_why(why, -EINVAL,
			    "key exchange %s is not allowed, only ECDHE-ECDSA "
			    "and ECDHE-RSA are", gnutls_kx_get_name(
			    (gnutls_kx_algorithm_t)list[i]));
		certificate |= list[i] == GNUTLS_KX_ECDHE_ECDSA ||
		    list[i] == GNUTLS_KX_ECDHE_RSA;
	}
	if (!certificate)
		return tls_why(why, -EINVAL,
		    "neither ECDHE-ECDSA nor ECDHE-RSA is left");
	n = gnutls_priority_sign_list(p, &list);
	for (i = 0; i < n; i++)
		if (!tls_policy_sign(list[i]))
			return tls_why(why, -EINVAL,
			    "signature %s is not allowed",
			    gnutls_sign_get_name(
			    (gnutls_sign_algorithm_t)list[i]));
	if (n <= 0)
		return tls_why(why, -EINVAL,
		    "no signature algorithm is left");
	if (gnutls_priority_group_list(p, &list) <= 0)
		return tls_why(why, -EINVAL, "no group is left");
	return 0;
}

int
tls_policy_resolve(const char *priority, char *why, gnutls_priority_t *ret)
{
	gnutls_priority_t p = NULL;
	const char *at = NULL;
	int r;

	if (priority == NULL || *priority == '\0')
		priority = default_priority;
	r = gnutls_priority_init(&p, priority, &at);
	if (r == GNUTLS_E_MEMORY_ERROR)
		return tls_why(why, -ENOMEM, "out of memory");
	if (r == GNUTLS_E_NO_PRIORITIES_WERE_SET)
		return tls_why(why, -EINVAL,
		    "priority string leaves nothing to agree on");
	if (r < 0)
		return tls_why(why, -EINVAL,
		    "priority string is not understood at \"%.60s\": %s",
		    at != NULL ? at : priority, gnutls_strerror(r));
	r = check_versions(p, why);
	if (r == 0)
		r = check_suites(p, why);
	if (r == 0)
		r = check_keys(p, why);
	if (r < 0) {
		gnutls_priority_deinit(p);
		return r;
	}
	*ret = p;
	return 0;
}

int
tls_policy_check(const char *priority, char *why)
{
	gnutls_priority_t p = NULL;
	int r = tls_policy_resolve(priority, why, &p);

	if (r == 0)
		gnutls_priority_deinit(p);
	return r;
}
