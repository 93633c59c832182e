/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges and describes credentials by core/cert, as cert-file and cleat-certmgr
 * do: there is no second way.
 */
#include "tls/cred_check.h"

#include <errno.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "base/mem.h"
#include "cert/check.h"
#include "cert/describe.h"
#include "tls/tls_priv.h"
#include "tls/vendor.h"

_Static_assert(TLS_CHAIN_MAX == CERT_CHAIN_MAX, "a chain fits");

int
tls_cred_judge(const struct cert_chain *ch,
    const struct cert_check_spec *spec, char *why)
{
	struct cert_findings *found = mem_calloc(1, sizeof(*found));
	int r;

	if (found == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	r = cert_check(ch, spec, found);
	if (r < 0)
		r = tls_why(why, r, "certificate: %s", strerror(-r));
	else if (found->errors > 0)
		r = tls_why(why, -EINVAL, "%s", found->f[0].text);
	mem_free(found);
	return r;
}

/* A code of GnuTLS; what was made is there also when it fails. */
static int
chain_export(const struct tls_cred *c, gnutls_x509_crt_t crt[TLS_CHAIN_MAX])
{
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < c->pcert_n; i++)
		r = gnutls_pcert_export_x509(
		    (gnutls_pcert_st *)(uintptr_t)&c->pcert[i], &crt[i]);
	return r;
}

static void
chain_release(gnutls_x509_crt_t crt[TLS_CHAIN_MAX])
{
	for (unsigned i = 0; i < TLS_CHAIN_MAX; i++)
		if (crt[i] != NULL)
			gnutls_x509_crt_deinit(crt[i]);
}

int
tls_cred_check(const struct tls_cred *c, const char *const *names,
    int64_t now_s, bool again, char *why)
{
	struct cert_check_spec spec = {
		.checks = CERT_CHECK_CA | CERT_CHECK_NAMES |
		    (again ? 0 : CERT_CHECK_DATES | CERT_CHECK_STAPLE),
		.now_s = now_s, .names = names,
		.staple = c->ocsp.response.data,
		.staple_n = c->ocsp.response.size,
	};
	gnutls_x509_crt_t crt[TLS_CHAIN_MAX] = { NULL };
	struct cert_item item[TLS_CHAIN_MAX];
	struct cert_chain ch = { .n = c->pcert_n };
	int r = chain_export(c, crt);

	memset(item, 0, sizeof(item));
	for (unsigned i = 0; i < c->pcert_n; i++) {
		item[i].crt = crt[i];
		item[i].from.file = "";
		item[i].from.at = i + 1;
		ch.crt[i] = &item[i];
	}
	ch.rooted = r >= 0 && gnutls_x509_crt_check_issuer(crt[ch.n - 1],
	    crt[ch.n - 1]) != 0;
	r = r < 0 ? tls_why(why, tls_vendor_errno(r), "certificate: %s",
	    gnutls_strerror(r)) : tls_cred_judge(&ch, &spec, why);
	chain_release(crt);
	return r;
}

int
tls_cred_chain(const struct tls_cred *c, struct cert_facts **ret,
    size_t *ret_n)
{
	gnutls_x509_crt_t crt[TLS_CHAIN_MAX] = { NULL };
	struct cert_facts *facts = mem_calloc(c->pcert_n, sizeof(*facts));
	int r = facts == NULL ? -ENOMEM : 0;

	if (r == 0 && (r = chain_export(c, crt)) < 0)
		r = tls_vendor_errno(r);
	for (unsigned i = 0; r == 0 && i < c->pcert_n; i++)
		r = cert_describe(crt[i], &facts[i]);
	chain_release(crt);
	if (r < 0) {
		mem_free(facts);
		return r;
	}
	*ret = facts;
	*ret_n = c->pcert_n;
	return 0;
}
