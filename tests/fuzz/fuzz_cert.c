/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of certificates and keys, with and without a password,
 * then all that follows when it is taken: chains, checks, description, PEM.
 * What is refused has a line, and what is taken can be taken again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cert/bundle.h"
#include "cert/chain.h"
#include "cert/check.h"
#include "cert/describe.h"

/* 2026-11-21, when the seeds are valid. */
#define NOW_S INT64_C(1795219200)
/* What is enough to get everywhere is quick, too. */
#define SIZE_MAX_HERE 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must(int ok)
{
	if (!ok)
		abort();
}

static void
follow(const struct cert_bundle *b)
{
	static const char *const names[] = { "cert.example.org", "*.a", NULL };
	struct cert_check_spec spec = {
		.checks = CERT_CHECK_ALL, .now_s = NOW_S, .names = names,
		.strays = b
	};
	struct cert_blob pem = { NULL, 0 };
	char why[CERT_WHY_SIZE];
	struct cert_findings found;
	struct cert_bundle *again = NULL;
	struct cert_chain ch[2];
	size_t n = 0;

	if (cert_chain_all(b, NULL, NOW_S, 2, why, ch, &n) < 0) {
		must(why[0] != '\0');
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (cert_check(&ch[i], &spec, &found) < 0)
			continue;
		must(found.n <= CERT_FINDINGS_MAX);
		must((found.n > 0 && found.f[0].level == CERT_ERROR) ==
		    (found.errors > 0));
		if (cert_chain_pem(&ch[i], &pem) < 0)
			continue;
		must(cert_bundle_new(&again) == 0);
		must(cert_bundle_add(again, "", pem.p, pem.n, NULL, why) == 0);
		cert_bundle_free(&again);
		cert_blob_free(&pem);
	}
}

static void
one(const uint8_t *data, size_t n, const char *password)
{
	char why[CERT_WHY_SIZE] = "";
	struct cert_bundle *b = NULL;
	struct cert_facts facts;

	must(cert_bundle_new(&b) == 0);
	if (cert_bundle_add(b, "f", data, n, password, why) < 0) {
		must(why[0] != '\0' && memchr(why, '\n', strlen(why)) == NULL);
		must(b->certs_n == 0 && b->keys_n == 0);
	} else {
		must(b->certs_n + b->keys_n + b->halves_n > 0);
		for (size_t i = 0; i < b->certs_n; i++)
			(void)cert_describe(b->certs[i].crt, &facts);
		follow(b);
	}
	cert_bundle_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n > SIZE_MAX_HERE)
		return 0;
	one(data, n, NULL);
	one(data, n, "secret");
	return 0;
}
