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
#include "cert/limit.h"

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

unsigned
cert_sign_status(const struct cert_item *it, const struct cert_item *issuer)
{
	unsigned status = 0;

	/* A certificate is its own authority when it is asked about itself,
	 * unless that is forbidden: it has to have signed itself. */
	if (cert_key_too_dear(issuer->crt) ||
	    gnutls_x509_crt_verify(it->crt, &issuer->crt, 1,
	    GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS |
	    GNUTLS_VERIFY_DISABLE_CA_SIGN | GNUTLS_VERIFY_ALLOW_BROKEN |
	    GNUTLS_VERIFY_DO_NOT_ALLOW_SAME |
	    GNUTLS_VERIFY_IGNORE_UNKNOWN_CRIT_EXTENSIONS, &status) < 0)
		return GNUTLS_CERT_SIGNATURE_FAILURE;
	status &= ~(unsigned)GNUTLS_CERT_INSECURE_ALGORITHM;
	return status == GNUTLS_CERT_INVALID ? 0 : status;
}

/* ---- search -------------------------------------------------------------- */

#define SIGNATURES_MAX 24		/* for one chain */
#define SIGNATURES_ALL 1024		/* for those of all keys */

struct search {
	const struct cert_bundle *b, *anchors;
	int64_t now_s;
	unsigned left, left_anchor;	/* signatures */
	bool broken;			/* a signature of the path is wrong */
	struct cert_chain path, best;
	bool best_broken;
};

static bool
reaches(const struct cert_chain *ch, const struct cert_bundle *anchors,
    unsigned *left)
{
	const struct cert_item *it, *a;

	for (size_t i = 0; i < ch->n; i++) {
		it = ch->crt[i];
		for (size_t k = 0; k < anchors->certs_n; k++) {
			a = &anchors->certs[k];
			if (memcmp(a->sha256, it->sha256,
			    sizeof(it->sha256)) == 0)
				return true;
			if (gnutls_x509_crt_check_issuer(it->crt,
			    a->crt) == 0 || *left == 0)
				continue;
			--*left;
			if (cert_sign_status(it, a) == 0)
				return true;
		}
	}
	return false;
}

bool
cert_chain_reaches(const struct cert_chain *ch,
    const struct cert_bundle *anchors)
{
	unsigned left = SIGNATURES_MAX;

	return reaches(ch, anchors, &left);
}

static bool
all_valid(const struct cert_chain *ch, int64_t now_s)
{
	for (size_t i = 0; i < ch->n; i++) {
		if (!valid_at(ch->crt[i]->crt, now_s))
			return false;
	}
	return true;
}

/* Whether the path does better than the best so far: first what makes the one
 * of them wrong, then what is found higher up.  The earlier one had the issuers
 * that end later. */
static bool
is_preferred(struct search *s, bool anchored)
{
	const struct cert_chain *p = &s->path, *b = &s->best;

	if (b->n == 0)
		return true;
	if (s->broken != s->best_broken)
		return s->best_broken;
	if (anchored != b->anchored)
		return anchored;
	if (all_valid(p, s->now_s) != all_valid(b, s->now_s))
		return all_valid(p, s->now_s);
	return p->rooted && !b->rooted;
}

static void
consider(struct search *s)
{
	bool anchored = s->anchors != NULL &&
	    reaches(&s->path, s->anchors, &s->left_anchor);

	if (!is_preferred(s, anchored))
		return;
	s->best = s->path;
	s->best.anchored = anchored;
	s->best_broken = s->broken;
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

/* Those that have the name and key id of the last one's issuer, the better ones
 * first; no more than can be looked at. */
static size_t
issuers(const struct search *s, const struct cert_item *to[SIGNATURES_MAX])
{
	const struct cert_item *last = s->path.crt[s->path.n - 1], *it;
	size_t n = 0, at;

	for (size_t i = 0; i < s->b->certs_n; i++) {
		it = &s->b->certs[i];
		if (is_used(&s->path, it) ||
		    gnutls_x509_crt_check_issuer(last->crt, it->crt) == 0)
			continue;
		at = n < SIGNATURES_MAX ? n++ : n;
		while (at > 0 && is_better(it->crt, to[at - 1]->crt,
		    s->now_s)) {
			if (at < SIGNATURES_MAX)
				to[at] = to[at - 1];
			at--;
		}
		if (at < SIGNATURES_MAX)
			to[at] = it;
	}
	return n;
}

static void climb(struct search *);

static void
climb_by(struct search *s, const struct cert_item *issuer, bool is_broken)
{
	struct cert_chain *p = &s->path;
	bool was_broken = s->broken;

	p->crt[p->n++] = issuer;
	s->broken = s->broken || is_broken;
	climb(s);
	s->broken = was_broken;
	p->n--;
}

/* Every way up from the last of the path, as far as it goes (RFC 4158).  An
 * issuer that has not signed is taken only where none has. */
static void
climb(struct search *s)
{
	struct cert_chain *p = &s->path;
	const struct cert_item *by[SIGNATURES_MAX], *last = p->crt[p->n - 1];
	bool any = false;
	size_t n = 0;

	p->rooted = gnutls_x509_crt_check_issuer(last->crt, last->crt) != 0;
	if (!p->rooted)
		n = issuers(s, by);
	p->too_long = n > 0 && p->n == CERT_CHAIN_MAX;
	if (n == 0 || p->too_long) {
		consider(s);
		return;
	}
	for (size_t i = 0; i < n && s->left > 0; i++) {
		s->left--;
		if (cert_sign_status(last, by[i]) != 0)
			continue;
		any = true;
		climb_by(s, by[i], false);
	}
	if (!any)
		climb_by(s, by[0], true);
}

static int
build(const struct cert_bundle *b, const struct cert_bundle *anchors,
    const struct cert_key *key, int64_t now_s, unsigned *left, char *why,
    struct cert_chain *ret)
{
	struct search s = {
		.b = b, .anchors = anchors, .now_s = now_s,
		.left = *left < SIGNATURES_MAX ? *left : SIGNATURES_MAX,
		.left_anchor = SIGNATURES_MAX, .path = { .key = key }
	};
	const struct cert_item *leaf;
	unsigned had = s.left;

	if (b->certs_n == 0)
		return cert_why(why, -ENOKEY, "%s%sthere is no certificate, "
		    "only a private key: name the file of the certificate, "
		    "too", b->keys_n > 0 ? b->keys[0].from.file : "",
		    b->keys_n > 0 && b->keys[0].from.file[0] != '\0' ? ": " :
		    "");
	leaf = key == NULL ? &b->certs[0] : find_leaf(b, key, now_s);
	if (leaf == NULL)
		return cert_why(why, -ENOKEY, "%.200s%sthe private key belongs "
		    "to no certificate that was given: take the key for which "
		    "the certificate was made", key->from.file,
		    key->from.file[0] != '\0' ? ": " : "");
	s.path.crt[s.path.n++] = leaf;
	climb(&s);
	*left -= had - s.left;
	*ret = s.best;
	return 0;
}

int
cert_chain_build(const struct cert_bundle *b, const struct cert_bundle *anchors,
    const struct cert_key *key, int64_t now_s, char *why,
    struct cert_chain *ret)
{
	unsigned left = SIGNATURES_MAX;

	return build(b, anchors, key, now_s, &left, why, ret);
}

int
cert_chain_all(const struct cert_bundle *b, const struct cert_bundle *anchors,
    int64_t now_s, size_t max, char *why, struct cert_chain *ret, size_t *ret_n)
{
	unsigned left = SIGNATURES_ALL;
	size_t n = 0;
	int r = 0;

	if (b->keys_n == 0 && b->halves_n > 0)
		return cert_why(why, -ENOKEY, "%.200s: the private key has no "
		    "public half, and no certificate has one that fits: take "
		    "the key for which the certificate was made",
		    b->halves[0].from.file);
	if (b->keys_n == 0)
		return cert_why(why, -ENOKEY, "%s%sthere is no private key, "
		    "only certificates: name the file of the key, too, or "
		    "export it together with them",
		    b->certs_n > 0 ? b->certs[0].from.file : "",
		    b->certs_n > 0 && b->certs[0].from.file[0] != '\0' ? ": " :
		    "");
	for (size_t i = 0; i < b->keys_n && n < max; i++) {
		r = build(b, anchors, &b->keys[i], now_s, &left, why, &ret[n]);
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
