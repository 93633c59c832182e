/* SPDX-License-Identifier: Apache-2.0 */
/* What a trust is made of, and whether what it accepted once still holds. */
#include "tls/trust.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cert/bundle.h"
#include "tls/snapshot.h"
#include "tls/trust_priv.h"
#include "tls/vendor.h"

/* ---- marks -------------------------------------------------------------- */

static int
by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, TLS_MARK_SIZE);
}

bool
tls_mark_in(const uint8_t (*list)[TLS_MARK_SIZE], size_t n,
    const uint8_t *mark)
{
	return n > 0 &&
	    bsearch(mark, list, n, TLS_MARK_SIZE, by_bytes) != NULL;
}

bool
tls_trust_holds(const struct tls_trust *t, const struct tls_proof *p,
    const char **ret_why)
{
	const char *why = NULL;
	bool anchored = false;

	for (unsigned i = 0; !anchored && i < p->path_n; i++) {
		anchored = p->anchored && tls_mark_in(
		    (const uint8_t (*)[TLS_MARK_SIZE])t->anchor, t->ca_n,
		    p->path[i].id);
		if (!anchored && tls_mark_in(
		    (const uint8_t (*)[TLS_MARK_SIZE])t->revoked, t->revoked_n,
		    p->path[i].serial))
			why = i == 0 ? "its certificate is revoked" :
			    "a CA above its certificate is revoked";
	}
	/* Those by whom it was let in without an anchor were listed. */
	if (why == NULL && !anchored && !t->any_chain &&
	    (p->anchored || !t->self_signed))
		why = "its CA is not trusted any more";
	if (why == NULL && tls_trust_fingerprints_rule(t) &&
	    !tls_trust_listed(t, p->sha256))
		why = "its fingerprint is not allowed any more";
	if (ret_why != NULL && why != NULL)
		*ret_why = why;
	return why == NULL;
}

/* ---- weakenings --------------------------------------------------------- */

static void weak(struct tls_trust *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
weak(struct tls_trust *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t->weakness[t->weaknesses_n++], TLS_WEAKNESS_SIZE, fmt,
	    ap);
	va_end(ap);
}

static void
find_weaknesses(struct tls_trust *t)
{
	const char *whose = t->of_clients ? "a client's" : "the server's";
	bool listed = t->pins_n > 0 || t->fingerprints_n > 0;

	if (t->any_chain)
		weak(t, "%s certificate may come from anybody%s", whose,
		    listed ? "" : t->of_clients ? "; it proves nothing, and "
		    "counts as none" : "; who sits in between sees everything");
	if (t->any_name && !t->of_clients)
		weak(t, "%s name is not verified", whose);
	if (t->self_signed)
		weak(t, "%s certificate may be signed by itself%s", whose,
		    listed || !t->of_clients ? "" :
		    "; such a one proves nothing, and counts as none");
	if (t->any_of)
		weak(t, "one of the criteria for %s certificate is enough",
		    whose);
}

const char *
tls_trust_weakness(const struct tls_trust *t, unsigned i)
{
	return i < t->weaknesses_n ? t->weakness[i] : NULL;
}

/* ---- reading ------------------------------------------------------------ */

bool
tls_blob_is_pem(const struct tls_blob *b)
{
	/* DER of these begins with a SEQUENCE of more than 127 bytes. */
	return b->n < 2 || ((const uint8_t *)b->p)[0] != 0x30 ||
	    ((const uint8_t *)b->p)[1] < 0x80;
}

bool
tls_blob_has(const struct tls_blob *b, const char *kind)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "-----BEGIN %s-----", kind);

	return memmem(b->p, b->n, line, (size_t)n) != NULL;
}

/* Takes the certificates out of the bundle. */
static int
take_cas(struct tls_trust *t, struct cert_bundle *b)
{
	void *grown = mem_realloc(t->ca, (t->ca_n + b->certs_n) *
	    sizeof(*t->ca));

	if (grown == NULL)
		return -ENOMEM;
	t->ca = grown;
	for (size_t i = 0; i < b->certs_n; i++)
		t->ca[t->ca_n++] = b->certs[i].crt;
	b->certs_n = 0;
	return 0;
}

static int
add_ca(struct tls_trust *t, const struct tls_blob *blob, char *why)
{
	char text[CERT_WHY_SIZE] = "out of memory";
	struct cert_bundle *b = NULL;
	int r = cert_bundle_new(&b);

	if (r == 0)
		r = cert_bundle_add_certs(b, blob->name == NULL ? "" :
		    blob->name, blob->p, blob->n, text);
	if (r == 0)
		r = take_cas(t, b);
	cert_bundle_free(&b);
	if (r == -ENODATA && blob->among_others)
		return 0;
	return r == 0 ? 0 : tls_why(why, r == -ENOMEM ? r : -EINVAL, "%s",
	    text);
}

static int
read_anchors(struct tls_trust *t, const struct tls_trust_spec *spec, char *why)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->ca_n; i++)
		r = add_ca(t, &spec->ca[i], why);
	if (r < 0)
		return r;
	if (spec->ca_n > 0 && t->ca_n == 0)
		return tls_why(why, -EINVAL, "no certificate among the CAs");
	t->anchor = mem_calloc(t->ca_n + 1, TLS_MARK_SIZE);
	if (t->anchor == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < t->ca_n; i++)
		if (tls_mark_id(t->ca[i], t->anchor[i]) < 0)
			return tls_why(why, -EINVAL,
			    "a CA's name or key cannot be read");
	if (t->ca_n > 1)
		qsort(t->anchor, t->ca_n, TLS_MARK_SIZE, by_bytes);
	return 0;
}

static int
read_crls(struct tls_trust *t, const struct tls_trust_spec *spec, char *why)
{
	int r = 0;

	if (spec->crl_n > 0 && t->ca_n == 0)
		return tls_why(why, -EINVAL,
		    "revocation lists need the CAs that signed them");
	for (size_t i = 0; r == 0 && i < spec->crl_n; i++)
		r = tls_trust_crl(t, &spec->crl[i], why);
	if (r == 0 && spec->crl_n > 0 && t->crls == 0)
		r = tls_why(why, -EINVAL, "no revocation list in it");
	if (r == 0 && t->revoked_n > 1)
		qsort(t->revoked, t->revoked_n, TLS_MARK_SIZE,
		    by_bytes);
	return r;
}

/* ---- life --------------------------------------------------------------- */

int
tls_trust_new(const struct tls_trust_spec *spec, char *why,
    struct tls_trust **ret)
{
	struct tls_trust *t = mem_calloc(1, sizeof(*t));
	int r;

	if (t == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	atomic_init(&t->refs, 1);
	t->of_clients = spec->of_clients;
	t->any_chain = spec->any_chain;
	t->self_signed = spec->self_signed;
	t->any_name = spec->any_name;
	t->any_of = spec->any_of;
	r = tls_trust_lists(t, spec, why);
	if (r == 0)
		r = read_anchors(t, spec, why);
	if (r == 0)
		r = read_crls(t, spec, why);
	if (r == 0 && t->of_clients && t->ca_n == 0 && !t->any_chain &&
	    !t->self_signed)
		r = tls_why(why, -EINVAL,
		    "client certificates are asked for without a CA list");
	if (r < 0) {
		tls_trust_unref(&t);
		return r;
	}
	find_weaknesses(t);
	*ret = t;
	return 0;
}

struct tls_trust *
tls_trust_ref(struct tls_trust *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void
tls_trust_unref(struct tls_trust **pt)
{
	struct tls_trust *t = *pt;

	*pt = NULL;
	if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1,
	    memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < t->ca_n; i++)
		gnutls_x509_crt_deinit(t->ca[i]);
	mem_free(t->ca);
	mem_free(t->anchor);
	mem_free(t->revoked);
	tls_trust_lists_free(t);
	mem_free(t);
}

void
tls_trust_info(const struct tls_trust *t, struct tls_trust_info *ret)
{
	*ret = (struct tls_trust_info){
		.anchors = t->ca_n, .crls = t->crls, .revoked = t->revoked_n,
		.crl_next_update = t->crl_next_update
	};
}
