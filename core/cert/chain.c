/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains (RFC 5280 section 6.1; RFC 8446 4.4.2 wants the end entity first and
 * every other one to certify the one before).  GnuTLS's own sorting begins with
 * whatever comes first and drops the rest, so it is not used.
 */
#include "cert/chain.h"

#include <errno.h>
#include <string.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/mem.h"

static bool
valid_at(gnutls_x509_crt_t crt, int64_t now_s)
{
	return gnutls_x509_crt_get_activation_time(crt) <= now_s &&
	    gnutls_x509_crt_get_expiration_time(crt) > now_s;
}

/* Of two that would both do: the valid one, then the one that ends later. */
static bool
is_better(gnutls_x509_crt_t a, gnutls_x509_crt_t than, int64_t now_s)
{
	bool va = valid_at(a, now_s), vb = valid_at(than, now_s);

	if (va != vb)
		return va;
	return gnutls_x509_crt_get_expiration_time(a) >
	    gnutls_x509_crt_get_expiration_time(than);
}

static const struct cert_item *
find_leaf(const struct cert_bundle *b, const struct cert_key *key,
    int64_t now_s)
{
	const struct cert_item *best = NULL;
	uint8_t id[32];
	size_t n;

	for (size_t i = 0; i < b->certs_n; i++) {
		n = sizeof(id);
		if (gnutls_x509_crt_get_key_id(b->certs[i].crt,
		    GNUTLS_KEYID_USE_SHA256, id, &n) < 0 ||
		    memcmp(id, key->id, sizeof(id)) != 0)
			continue;
		if (best == NULL || is_better(b->certs[i].crt, best->crt,
		    now_s))
			best = &b->certs[i];
	}
	return best;
}

bool
cert_signed_by(const struct cert_item *it, const struct cert_item *issuer)
{
	unsigned status = 0;

	return gnutls_x509_crt_verify(it->crt, &issuer->crt, 1,
	    GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_CA_SIGN | GNUTLS_VERIFY_ALLOW_BROKEN,
	    &status) >= 0 &&
	    (status & ~(unsigned)(GNUTLS_CERT_INVALID |
	    GNUTLS_CERT_INSECURE_ALGORITHM)) == 0;
}

static bool
is_used(const struct cert_chain *ch, const struct cert_item *it)
{
	for (size_t i = 0; i < ch->n; i++) {
		if (ch->crt[i] == it)
			return true;
	}
	return false;
}

static const struct cert_item *
find_issuer(const struct cert_bundle *b, const struct cert_chain *ch,
    int64_t now_s)
{
	const struct cert_item *last = ch->crt[ch->n - 1];
	const struct cert_item *best = NULL, *it;
	bool best_signed = false, is_signed;

	for (size_t i = 0; i < b->certs_n; i++) {
		it = &b->certs[i];
		if (is_used(ch, it) ||
		    gnutls_x509_crt_check_issuer(last->crt, it->crt) == 0)
			continue;
		is_signed = cert_signed_by(last, it);
		if (best != NULL && (best_signed != is_signed ? best_signed :
		    !is_better(it->crt, best->crt, now_s)))
			continue;
		best = it;
		best_signed = is_signed;
	}
	return best;
}

int
cert_chain_build(const struct cert_bundle *b, const struct cert_key *key,
    int64_t now_s, char *why, struct cert_chain *ret)
{
	struct cert_chain ch = { .key = key };
	const struct cert_item *next;

	if (b->certs_n == 0)
		return cert_why(why, -ENOKEY, "there is no certificate, only "
		    "a private key");
	next = key == NULL ? &b->certs[0] : find_leaf(b, key, now_s);
	if (next == NULL)
		return cert_why(why, -ENOKEY, "%.200s%sthe private key belongs "
		    "to no certificate that was given: take the key for which "
		    "the certificate was made", key->from.file,
		    key->from.file[0] != '\0' ? ": " : "");
	while (next != NULL) {
		ch.crt[ch.n++] = next;
		ch.rooted = gnutls_x509_crt_check_issuer(next->crt,
		    next->crt) != 0;
		if (ch.rooted || ch.n == CERT_CHAIN_MAX)
			break;
		next = find_issuer(b, &ch, now_s);
	}
	*ret = ch;
	return 0;
}

int
cert_chain_all(const struct cert_bundle *b, int64_t now_s, size_t max,
    char *why, struct cert_chain *ret, size_t *ret_n)
{
	size_t n = 0;
	int r = 0;

	if (b->keys_n == 0)
		return cert_why(why, -ENOKEY, "there is no private key, only "
		    "certificates: name the file of the key, too");
	for (size_t i = 0; i < b->keys_n && n < max; i++) {
		r = cert_chain_build(b, &b->keys[i], now_s, why, &ret[n]);
		if (r == 0)
			n++;
	}
	if (n == 0)
		return r;
	*ret_n = n;
	return 0;
}

bool
cert_chain_lacks(const struct cert_chain *ch, size_t n,
    const struct cert_item *it)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < ch[i].n; k++) {
			if (memcmp(ch[i].crt[k]->sha256, it->sha256,
			    sizeof(it->sha256)) == 0)
				return false;
		}
	}
	return true;
}

bool
cert_chain_is_rsa(const struct cert_chain *ch)
{
	int pk = gnutls_x509_crt_get_pk_algorithm(ch->crt[0]->crt, NULL);

	return pk == GNUTLS_PK_RSA || pk == GNUTLS_PK_RSA_PSS;
}

/* ---- as PEM -------------------------------------------------------------- */

static int
append(struct cert_blob *b, const gnutls_datum_t *d)
{
	uint8_t *p = mem_realloc(b->p, b->n + d->size + 1);

	if (p == NULL)
		return -ENOMEM;
	memcpy(p + b->n, d->data, d->size);
	b->p = p;
	b->n += d->size;
	b->p[b->n] = '\0';
	return 0;
}

int
cert_chain_pem(const struct cert_chain *ch, struct cert_blob *ret)
{
	struct cert_blob b = { NULL, 0 };
	gnutls_datum_t d;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ch->n; i++) {
		d.data = NULL;
		if (gnutls_x509_crt_export2(ch->crt[i]->crt,
		    GNUTLS_X509_FMT_PEM, &d) < 0)
			r = -EIO;
		else
			r = append(&b, &d);
		gnutls_free(d.data);
	}
	if (r < 0)
		cert_blob_free(&b);
	else
		*ret = b;
	return r;
}

int
cert_key_pem(const struct cert_key *key, struct cert_blob *ret)
{
	struct cert_blob b = { NULL, 0 };
	gnutls_datum_t d = { NULL, 0 };
	int r;

	if (gnutls_x509_privkey_export2_pkcs8(key->key, GNUTLS_X509_FMT_PEM,
	    NULL, GNUTLS_PKCS_PLAIN, &d) < 0)
		return -EIO;
	r = append(&b, &d);
	explicit_bzero(d.data, d.size);
	gnutls_free(d.data);
	if (r == 0)
		*ret = b;
	return r;
}
