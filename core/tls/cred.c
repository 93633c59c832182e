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
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#include <gnutls/crypto.h>
#include <gnutls/ocsp.h>

#include "base/mem.h"
#include "cert/check.h"
#include "tls/cred_check.h"
#include "tls/digest.h"
#include "tls/impl.h"
#include "tls/vendor.h"

/* Clocks of responders differ a little.  A response without nextUpdate says that
 * there is always a newer one (RFC 6960 4.2.2.1): GnuTLS takes it for so long. */
#define STAPLE_SKEW_S 300
#define STAPLE_AGE_S (15 * 86400)
#define KEY_ID_SIZE 32

/* The certificates of a file while they are put in order. */
struct chain {
	gnutls_x509_crt_t *file;	/* as imported */
	unsigned file_n;
	gnutls_x509_crt_t crt[TLS_CHAIN_MAX];	/* as sent; borrowed */
	unsigned n;
};

static void
chain_fini(struct chain *ch)
{
	unsigned i;

	for (i = 0; i < ch->file_n; i++)
		gnutls_x509_crt_deinit(ch->file[i]);
	gnutls_free(ch->file);
}

static int
chain_read(struct chain *ch, const void *pem, size_t n, char *why)
{
	gnutls_datum_t d = tls_datum(pem, n);
	int r;

	if (n == 0 || n > TLS_PEM_MAX)
		return tls_why(why, -EINVAL, "certificate chain is %s",
		    n == 0 ? "empty" : "longer than 1 MiB");
	r = gnutls_x509_crt_list_import2(&ch->file, &ch->file_n, &d,
	    GNUTLS_X509_FMT_PEM, 0);
	if (r < 0) {
		ch->file = NULL;
		ch->file_n = 0;
		return tls_why(why, tls_vendor_errno(r),
		    "certificate chain cannot be read: %s",
		    gnutls_strerror(r));
	}
	if (ch->file_n == 0)
		return tls_why(why, -EINVAL, "no certificate in the chain");
	return 0;
}

/* Brings the certificate of this key to the front. */
static int
chain_find_leaf(struct chain *ch, const uint8_t id[KEY_ID_SIZE], char *why)
{
	uint8_t have[KEY_ID_SIZE];
	gnutls_x509_crt_t t;
	size_t n;
	unsigned i;

	for (i = 0; i < ch->file_n; i++) {
		n = sizeof(have);
		if (gnutls_x509_crt_get_key_id(ch->file[i],
		    GNUTLS_KEYID_USE_SHA256, have, &n) < 0 ||
		    memcmp(have, id, KEY_ID_SIZE) != 0)
			continue;
		t = ch->file[0];
		ch->file[0] = ch->file[i];
		ch->file[i] = t;
		return 0;
	}
	return tls_why(why, -EINVAL,
	    "the private key belongs to no certificate of the chain");
}

/* From the leaf to its issuers, whatever the order in the file; certificates
 * that issued none of them are left out. */
static void
chain_order(struct chain *ch)
{
	gnutls_x509_crt_t last;
	unsigned i, used = 1;

	ch->crt[0] = last = ch->file[0];
	ch->n = 1;
	while (ch->n < TLS_CHAIN_MAX &&
	    gnutls_x509_crt_check_issuer(last, last) == 0) {
		for (i = used; i < ch->file_n; i++)
			if (gnutls_x509_crt_check_issuer(last, ch->file[i]))
				break;
		if (i == ch->file_n)
			return;
		last = ch->file[i];
		ch->file[i] = ch->file[used];
		ch->file[used++] = last;
		ch->crt[ch->n++] = last;
	}
}

/* What a client would refuse whatever the time and the name. */
static int
chain_check(const struct chain *ch, char *why)
{
	static const struct cert_check_spec spec = {
		.checks = CERT_CHECK_USAGE | CERT_CHECK_STRENGTH |
		    CERT_CHECK_CHAIN
	};

	return tls_cred_judge(ch->crt, ch->n, &spec, why);
}

static int
import_chain(struct tls_cred *c, const struct chain *ch, char *why)
{
	unsigned i;
	int r;

	for (i = 0; i < ch->n; i++) {
		r = gnutls_pcert_import_x509(&c->pcert[i], ch->crt[i], 0);
		if (r < 0)
			return tls_why(why, tls_vendor_errno(r),
			    "certificate %u of the chain: %s", i + 1,
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
	c->staple_from = from - STAPLE_SKEW_S;
	c->staple_until = next == (time_t)-1 ? from + STAPLE_AGE_S : next;
	c->ocsp.exptime = (time_t)c->staple_until;
	return 0;
}

bool
tls_cred_staples(const struct tls_cred *c, int64_t now_s)
{
	return c->ocsp.response.data != NULL && now_s >= c->staple_from &&
	    now_s < c->staple_until;
}

/* Cut at the last whole character (UTF-8) that fits. */
static void
text_copy(char *to, size_t cap, const char *text, size_t n)
{
	if (n >= cap) {
		n = cap - 1;
		while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(to, text, n);
	to[n] = '\0';
}

static void
names_add(struct tls_cred_info *in, const char *name)
{
	size_t n = strlen(in->names), k = strlen(name);

	if (n + k + 3 > sizeof(in->names))
		return;
	(void)snprintf(in->names + n, sizeof(in->names) - n, "%s%s",
	    n > 0 ? ", " : "", name);
}

static void
info_names(struct tls_cred_info *in, gnutls_x509_crt_t leaf)
{
	char san[256], text[INET6_ADDRSTRLEN];
	size_t n;
	unsigned i;
	int type;

	for (i = 0; i < 256; i++) {
		n = sizeof(san) - 1;
		type = gnutls_x509_crt_get_subject_alt_name(leaf, i, san, &n,
		    NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return;
		if (type == GNUTLS_SAN_DNSNAME) {
			san[n] = '\0';
			names_add(in, san);
		} else if (type == GNUTLS_SAN_IPADDRESS &&
		    (n == 4 || n == 16)) {
			if (inet_ntop(n == 4 ? AF_INET : AF_INET6, san, text,
			    sizeof(text)) != NULL)
				names_add(in, text);
		}
	}
}

static void
info_dn(char *to, size_t cap, gnutls_x509_crt_t leaf,
    int (*get)(gnutls_x509_crt_t, gnutls_datum_t *, unsigned))
{
	gnutls_datum_t dn = {NULL, 0};

	if (get(leaf, &dn, 0) >= 0)
		text_copy(to, cap, (const char *)dn.data, dn.size);
	gnutls_free(dn.data);
}

static int
fill_info(struct tls_cred *c, gnutls_x509_crt_t leaf)
{
	struct tls_cred_info *in = &c->info;

	info_dn(in->subject, sizeof(in->subject), leaf,
	    gnutls_x509_crt_get_dn3);
	info_dn(in->issuer, sizeof(in->issuer), leaf,
	    gnutls_x509_crt_get_issuer_dn3);
	info_names(in, leaf);
	in->not_before = gnutls_x509_crt_get_activation_time(leaf);
	in->not_after = gnutls_x509_crt_get_expiration_time(leaf);
	in->self_signed = gnutls_x509_crt_check_issuer(leaf, leaf) != 0;
	in->staple_until = c->staple_until;
	in->external = c->signer.request != NULL;
	(void)snprintf(in->key, sizeof(in->key), "%.16s %u bits",
	    gnutls_pk_get_name(c->pk), c->bits);
	return digest_sha256(c->pcert[0].cert.data, c->pcert[0].cert.size,
	    in->sha256);
}

static int
read_key(const void *pem, size_t n, char *why, gnutls_x509_privkey_t *ret)
{
	gnutls_datum_t d = tls_datum(pem, n);
	gnutls_x509_privkey_t key = NULL;
	int r;

	if (n == 0 || n > TLS_PEM_MAX)
		return tls_why(why, -EINVAL, "private key is %s",
		    n == 0 ? "empty" : "longer than 1 MiB");
	if (gnutls_x509_privkey_init(&key) < 0)
		return tls_why(why, -ENOMEM, "out of memory");
	r = gnutls_x509_privkey_import2(key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (r == GNUTLS_E_DECRYPTION_FAILED)
		r = tls_why(why, -EINVAL, "private key is encrypted");
	else if (r < 0)
		r = tls_why(why, tls_vendor_errno(r),
		    "private key cannot be read: %s", gnutls_strerror(r));
	else if (gnutls_x509_privkey_verify_params(key) < 0)
		r = tls_why(why, -EINVAL, "private key is damaged");
	if (r < 0) {
		gnutls_x509_privkey_deinit(key);
		return r;
	}
	*ret = key;
	return 0;
}

/* A signature that the certificate's key verifies: the two belong together and
 * the key is able to sign. */
static int
prove_key(const struct tls_cred *c, char *why)
{
	static const char text[] = "cleat";
	gnutls_datum_t msg = tls_datum(text, sizeof(text) - 1);
	gnutls_datum_t sig = {NULL, 0};
	gnutls_sign_algorithm_t algo = gnutls_pk_to_sign(c->pk,
	    c->pk == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512 :
	    GNUTLS_DIG_SHA256);
	int r;

	r = gnutls_privkey_sign_data2(c->key, algo, 0, &msg, &sig);
	if (r >= 0)
		r = gnutls_pubkey_verify_data2(c->pcert[0].pubkey, algo, 0,
		    &msg, &sig);
	gnutls_free(sig.data);
	if (r < 0)
		return tls_why(why, tls_vendor_errno(r),
		    "the private key does not belong to the certificate: %s",
		    gnutls_strerror(r));
	return 0;
}

/* What both kinds have in common, once the leaf is at the front. */
static int
finish_chain(struct tls_cred *c, struct chain *ch, const void *ocsp_der,
    size_t ocsp_n, char *why)
{
	int pk, r;

	chain_order(ch);
	pk = gnutls_x509_crt_get_pk_algorithm(ch->crt[0], &c->bits);
	if (pk < 0)
		return tls_why(why, -EINVAL, "unknown key type: %s",
		    gnutls_strerror(pk));
	c->pk = (gnutls_pk_algorithm_t)pk;
	if (c->pk == GNUTLS_PK_ECDSA && c->bits == 528)
		c->bits = 521;		/* GnuTLS counts whole bytes */
	r = chain_check(ch, why);
	if (r == 0)
		r = import_chain(c, ch, why);
	if (r == 0)
		r = import_staple(c, ch->crt[0], ocsp_der, ocsp_n, why);
	if (r == 0)
		r = fill_info(c, ch->crt[0]);
	return r;
}

static int
load_local(struct tls_cred *c, struct chain *ch, gnutls_x509_privkey_t *key,
    const void *ocsp_der, size_t ocsp_n, char *why)
{
	uint8_t id[KEY_ID_SIZE];
	size_t n = sizeof(id);
	int r;

	if (gnutls_x509_privkey_get_key_id(*key, GNUTLS_KEYID_USE_SHA256, id,
	    &n) < 0)
		return tls_why(why, -EINVAL, "private key has no key id");
	r = chain_find_leaf(ch, id, why);
	if (r == 0)
		r = finish_chain(c, ch, ocsp_der, ocsp_n, why);
	if (r < 0)
		return r;
	r = gnutls_privkey_import_x509(c->key, *key,
	    GNUTLS_PRIVKEY_IMPORT_AUTO_RELEASE);
	if (r < 0)
		return tls_why(why, tls_vendor_errno(r), "private key: %s",
		    gnutls_strerror(r));
	*key = NULL;
	return prove_key(c, why);
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

int
tls_cred_new(const void *chain_pem, size_t chain_n, const void *key_pem,
    size_t key_n, const void *ocsp_der, size_t ocsp_n, char *why,
    struct tls_cred **ret)
{
	gnutls_x509_privkey_t key = NULL;
	struct chain ch = {0};
	struct tls_cred *c = cred_alloc(why);
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = chain_read(&ch, chain_pem, chain_n, why);
	if (r == 0)
		r = read_key(key_pem, key_n, why, &key);
	if (r == 0)
		r = load_local(c, &ch, &key, ocsp_der, ocsp_n, why);
	if (key != NULL)
		gnutls_x509_privkey_deinit(key);
	chain_fini(&ch);
	if (r < 0)
		tls_cred_unref(&c);
	else
		*ret = c;
	return r;
}

int
tls_cred_new_external(const void *chain_pem, size_t chain_n,
    const struct tls_signer *signer, const char *key_id,
    const void *ocsp_der, size_t ocsp_n, char *why, struct tls_cred **ret)
{
	struct chain ch = {0};
	struct tls_cred *c = cred_alloc(why);
	int r;

	if (c == NULL)
		return -ENOMEM;
	c->signer = *signer;
	c->key_id = mem_strdup(key_id);
	r = c->key_id == NULL ? tls_why(why, -ENOMEM, "out of memory") :
	    chain_read(&ch, chain_pem, chain_n, why);
	if (r == 0)
		r = finish_chain(c, &ch, ocsp_der, ocsp_n, why);
	if (r == 0) {
		r = tls_signer_import(c, c->key);
		if (r < 0)
			r = tls_why(why, tls_vendor_errno(r),
			    "external key: %s", gnutls_strerror(r));
	}
	chain_fini(&ch);
	if (r < 0)
		tls_cred_unref(&c);
	else
		*ret = c;
	return r;
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
