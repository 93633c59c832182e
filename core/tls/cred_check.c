/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges credentials by the checks of core/cert, which cert-file and
 * cleat-certmgr use as well: there is no second way.
 */
#include "tls/cred_check.h"

#include <errno.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "base/mem.h"
#include "cert/check.h"
#include "tls/impl.h"
#include "tls/vendor.h"

_Static_assert(TLS_CHAIN_MAX <= CERT_CHAIN_MAX, "a chain fits");

int
tls_cred_judge(const gnutls_x509_crt_t *crt, size_t n,
    const struct cert_check_spec *spec, char *why)
{
	struct cert_findings *found = mem_calloc(1, sizeof(*found));
	struct cert_item item[TLS_CHAIN_MAX];
	struct cert_chain ch = { .n = n };
	int r;

	if (found == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	memset(item, 0, sizeof(item));
	for (size_t i = 0; i < n; i++) {
		item[i].crt = crt[i];
		item[i].from.file = "";
		item[i].from.at = (unsigned)i + 1;
		ch.crt[i] = &item[i];
	}
	ch.rooted = gnutls_x509_crt_check_issuer(crt[n - 1], crt[n - 1]) != 0;
	r = cert_check(&ch, spec, found);
	if (r < 0)
		r = tls_why(why, r, "certificate: %s", strerror(-r));
	else if (found->errors > 0)
		r = tls_why(why, -EINVAL, "%s", found->f[0].text);
	mem_free(found);
	return r;
}

int
tls_cred_check(const struct tls_cred *c, const char *const *names,
    int64_t now_s, char *why)
{
	struct cert_check_spec spec = {
		.checks = CERT_CHECK_DATES | CERT_CHECK_CA | CERT_CHECK_NAMES |
		    CERT_CHECK_STAPLE,
		.now_s = now_s, .names = names,
		.staple = c->ocsp.response.data,
		.staple_n = c->ocsp.response.size,
	};
	gnutls_x509_crt_t crt[TLS_CHAIN_MAX] = { NULL };
	unsigned n = 0;
	int r = 0;

	for (; n < c->pcert_n; n++) {
		r = gnutls_pcert_export_x509(
		    (gnutls_pcert_st *)(uintptr_t)&c->pcert[n], &crt[n]);
		if (r < 0)
			break;
	}
	r = r < 0 ? tls_why(why, tls_vendor_errno(r), "certificate: %s",
	    gnutls_strerror(r)) : tls_cred_judge(crt, n, &spec, why);
	while (n > 0)
		gnutls_x509_crt_deinit(crt[--n]);
	return r;
}
