/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server credential: the chain in the order in which it is sent, the key,
 * the staple.  Everything the library lets pass but a client would not is
 * refused here, on the thread that loads, so that what is in service works: a
 * foreign or damaged key, broken signatures in the chain, SHA-1, short RSA
 * keys, key usages that forbid TLS servers.  Dates are not judged: the clock
 * may be the one that is wrong, and whoever publishes has them in
 * tls_cred_info.
 */
#include <errno.h>
#include <string.h>

#include <gnutls/ocsp.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cert/bundle.h"
#include "cert/chain.h"
#include "cert/check.h"
#include "cert/describe.h"
#include "tls/cred_check.h"
#include "tls/tls_priv.h"
#include "tls/vendor.h"

/* What is said of them, in the place of a file's name. */
#define CHAIN_TEXT "certificate chain"
#define KEY_TEXT "private key"

/* What a credential is made of; key NULL: external. */
struct cred_source {
	const void *chain, *key, *ocsp;
	size_t chain_n, key_n, ocsp_n;
};

static int
take(struct cert_bundle *b, const char *what, const void *p, size_t n,
    char *why)
{
	char text[CERT_WHY_SIZE] = "out of memory";
	int r;

	if (n == 0 || n > TLS_PEM_MAX)
		return tls_why(why, -EINVAL, "%s is %s", what, n == 0 ?
		    "empty" : "longer than 1 MiB");
	r = cert_bundle_add(b, what, p, n, NULL, text);
	return r == 0 ? 0 : tls_why(why, r == -ENOMEM ? r : -EINVAL, "%s",
	    text);
}

/* What a client would refuse whatever the time and the name. */
static int
chain_check(const struct cert_chain *ch, char *why)
{
	static const struct cert_check_spec spec = {
		.checks = CERT_CHECK_USAGE | CERT_CHECK_STRENGTH |
		    CERT_CHECK_CHAIN
	};

	return tls_cred_judge(ch, &spec, why);
}

static int
import_chain(struct tls_cred *c, const struct cert_chain *ch, char *why)
{
	int r;

	for (size_t i = 0; i < ch->n; i++) {
		r = gnutls_pcert_import_x509(&c->pcert[i], ch->crt[i]->crt, 0);
		if (r < 0)
			return tls_why(why, tls_vendor_errno(r),
			    "certificate %zu of the chain: %s", i + 1,
			    gnutls_strerror(r));
		c->pcert_n++;
	}
	return 0;
}

static int
import_staple(struct tls_cred *c, gnutls_x509_crt_t leaf, const void *der,
    size_t n, char *why)
{
	gnutls_datum_t d = tls_datum(der, n);
	gnutls_ocsp_resp_t resp = NULL;
	unsigned status = 0;
	time_t from = (time_t)-1, next = (time_t)-1;
	int r;

	if (der == NULL || n == 0)
		return 0;
	if (n > TLS_PEM_MAX || gnutls_ocsp_resp_init(&resp) < 0)
		return tls_why(why, n > TLS_PEM_MAX ? -EINVAL : -ENOMEM,
		    "OCSP response cannot be taken");
	r = gnutls_ocsp_resp_import(resp, &d);
	if (r >= 0)
		r = gnutls_ocsp_resp_check_crt(resp, 0, leaf);
	if (r >= 0)
		r = gnutls_ocsp_resp_get_single(resp, 0, NULL, NULL, NULL,
		    NULL, &status, &from, &next, NULL, NULL);
	gnutls_ocsp_resp_deinit(resp);
	if (r < 0)
		return tls_why(why, tls_vendor_errno(r),
		    "OCSP response does not fit the certificate: %s",
		    gnutls_strerror(r));
	if (status != GNUTLS_OCSP_CERT_GOOD)
		return tls_why(why, -EINVAL,
		    "OCSP response does not say that the certificate is good");
	c->ocsp.response.data = mem_dup(der, n);
	if (c->ocsp.response.data == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	c->ocsp.response.size = (unsigned)n;
	c->staple_from = from - CERT_STAPLE_SKEW_S;
	c->staple_until = next == (time_t)-1 ?
	    from + CERT_STAPLE_AGE_S : next;
	c->ocsp.exptime = (time_t)c->staple_until;
	return 0;
}

bool
tls_cred_staples(const struct tls_cred *c, int64_t now_s)
{
	return c->ocsp.response.data != NULL && now_s >= c->staple_from &&
	    now_s < c->staple_until;
}

static int
fill_info(struct tls_cred *c, gnutls_x509_crt_t leaf, char *why)
{
	struct tls_cred_info *in = &c->info;
	struct cert_facts f;
	int r = cert_describe(leaf, &f);

	if (r < 0)
		return tls_why(why, r, "certificate cannot be described");
	memcpy(in->sha256, f.sha256, sizeof(in->sha256));
	memcpy(in->subject, f.subject.dn, sizeof(in->subject));
	memcpy(in->issuer, f.issuer.dn, sizeof(in->issuer));
	memcpy(in->names, f.names, sizeof(in->names));
	memcpy(in->key, f.key, sizeof(in->key));
	in->not_before = f.not_before;
	in->not_after = f.not_after;
	in->self_signed = f.self_signed;
	in->staple_until = c->staple_until;
	in->external = c->signer.request != NULL;
	return 0;
}

/* What both kinds have in common: key NULL is one that is elsewhere. */
static int
load_chain(struct tls_cred *c, const struct cert_bundle *b,
    const struct cert_key *key, const struct cred_source *from, char *why)
{
	char text[CERT_WHY_SIZE];
	struct cert_chain ch;
	gnutls_x509_crt_t leaf;
	int pk, r;

	if (cert_chain_build(b, NULL, key, clock_wall_ms() / 1000, text,
	    &ch) < 0)
		return tls_why(why, -EINVAL, "%s", text);
	leaf = ch.crt[0]->crt;
	pk = gnutls_x509_crt_get_pk_algorithm(leaf, &c->bits);
	if (pk < 0)
		return tls_why(why, -EINVAL, "unknown key type: %s",
		    gnutls_strerror(pk));
	c->pk = (gnutls_pk_algorithm_t)pk;
	if (c->pk == GNUTLS_PK_ECDSA && c->bits == 528)
		c->bits = 521;		/* GnuTLS counts whole bytes */
	r = chain_check(&ch, why);
	if (r == 0)
		r = import_chain(c, &ch, why);
	if (r == 0)
		r = import_staple(c, leaf, from->ocsp, from->ocsp_n, why);
	return r == 0 ? fill_info(c, leaf, why) : r;
}

/* The key first: the bundle may have others, in the chain's text. */
static int
load_local(struct tls_cred *c, struct cert_bundle *b,
    const struct cred_source *from, char *why)
{
	int r = take(b, KEY_TEXT, from->key, from->key_n, why);

	if (r == 0 && b->keys_n == 0)
		r = tls_why(why, -EINVAL, "there is no private key");
	if (r == 0)
		r = take(b, CHAIN_TEXT, from->chain, from->chain_n, why);
	if (r == 0)
		r = load_chain(c, b, &b->keys[0], from, why);
	if (r < 0)
		return r;
	r = gnutls_privkey_import_x509(c->key, b->keys[0].key,
	    GNUTLS_PRIVKEY_IMPORT_COPY);
	if (r < 0)
		return tls_why(why, tls_vendor_errno(r), "private key: %s",
		    gnutls_strerror(r));
	r = cert_key_prove(c->key, c->pcert[0].pubkey);
	return r == 0 ? 0 : tls_why(why, tls_vendor_errno(r),
	    "the private key does not belong to the certificate: %s",
	    gnutls_strerror(r));
}

static int
load_external(struct tls_cred *c, struct cert_bundle *b,
    const struct cred_source *from, char *why)
{
	int r = take(b, CHAIN_TEXT, from->chain, from->chain_n, why);

	if (r == 0)
		r = load_chain(c, b, NULL, from, why);
	if (r < 0)
		return r;
	r = tls_signer_import(c, c->key);
	return r == 0 ? 0 : tls_why(why, tls_vendor_errno(r),
	    "external key: %s", gnutls_strerror(r));
}

static struct tls_cred *
cred_alloc(char *why)
{
	struct tls_cred *c = mem_calloc(1, sizeof(*c));

	if (c != NULL && gnutls_privkey_init(&c->key) < 0) {
		mem_free(c);
		c = NULL;
	}
	if (c == NULL)
		(void)tls_why(why, -ENOMEM, "out of memory");
	else
		atomic_init(&c->refs, 1);
	return c;
}

/* Gives *pc to *ret, or frees it. */
static int
load(struct tls_cred **pc, const struct cred_source *from, char *why,
    struct tls_cred **ret)
{
	struct cert_bundle *b = NULL;
	struct tls_cred *c = *pc;
	int r = cert_bundle_new(&b);

	if (r < 0)
		r = tls_why(why, -ENOMEM, "out of memory");
	else if (c->signer.request != NULL)
		r = load_external(c, b, from, why);
	else
		r = load_local(c, b, from, why);
	cert_bundle_free(&b);
	if (r < 0)
		tls_cred_unref(pc);
	else
		*ret = c;
	return r;
}

int
tls_cred_new(const void *chain_pem, size_t chain_n, const void *key_pem,
    size_t key_n, const void *ocsp_der, size_t ocsp_n, char *why,
    struct tls_cred **ret)
{
	const struct cred_source from = {
		.chain = chain_pem, .chain_n = chain_n, .key = key_pem,
		.key_n = key_n, .ocsp = ocsp_der, .ocsp_n = ocsp_n
	};
	struct tls_cred *c = cred_alloc(why);

	return c == NULL ? -ENOMEM : load(&c, &from, why, ret);
}

int
tls_cred_new_external(const void *chain_pem, size_t chain_n,
    const struct tls_signer *signer, const char *key_id,
    const void *ocsp_der, size_t ocsp_n, char *why, struct tls_cred **ret)
{
	const struct cred_source from = {
		.chain = chain_pem, .chain_n = chain_n, .ocsp = ocsp_der,
		.ocsp_n = ocsp_n
	};
	struct tls_cred *c = cred_alloc(why);

	if (c == NULL)
		return -ENOMEM;
	c->signer = *signer;
	c->key_id = mem_strdup(key_id);
	if (c->key_id == NULL) {
		tls_cred_unref(&c);
		return tls_why(why, -ENOMEM, "out of memory");
	}
	return load(&c, &from, why, ret);
}

struct tls_cred *
tls_cred_ref(struct tls_cred *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
tls_cred_unref(struct tls_cred **cp)
{
	struct tls_cred *c = *cp;
	unsigned i;

	*cp = NULL;
	if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1,
	    memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < c->pcert_n; i++)
		gnutls_pcert_deinit(&c->pcert[i]);
	gnutls_privkey_deinit(c->key);
	mem_free(c->ocsp.response.data);
	mem_free(c->key_id);
	mem_free(c);
}

void
tls_cred_info(const struct tls_cred *c, struct tls_cred_info *ret)
{
	*ret = c->info;
}
