/* SPDX-License-Identifier: Apache-2.0 */
/* CAs, revocation lists and lists of criteria, whatever they hold: a trust is
 * made, or there is a reason why not.  One byte of switches,
 * two with the length of the CAs, the CAs, a revocation list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tls/snapshot.h"
#include "tls/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define CHECK(c) do { if (!(c)) abort(); } while (0)

enum { DIRECTORY = 1, LISTS = 2, NAMES = 4 };

static struct tls_blob
blob_of(const uint8_t *p, size_t n, uint8_t how)
{
	static char name[] = "file";
	struct tls_blob b = {
		.p = malloc(n + 1), .n = n, .name = name,
		.among_others = (how & DIRECTORY) != 0
	};

	CHECK(b.p != NULL);
	memcpy(b.p, p, n);
	((char *)b.p)[n] = '\0';
	return b;
}

static void
look(const struct tls_trust *t, const struct tls_blob *rest)
{
	struct tls_proof proof = { .anchored = true, .path_n = 2 };
	struct tls_trust_info info;
	const char *why = NULL;

	tls_trust_info(t, &info);
	CHECK(info.crls > 0 || info.revoked == 0);
	memcpy(proof.path, rest->p, rest->n < sizeof(proof.path) ? rest->n :
	    sizeof(proof.path));
	if (!tls_trust_holds(t, &proof, &why))
		CHECK(why != NULL);
	for (unsigned i = 0; tls_trust_weakness(t, i) != NULL; i++)
		CHECK(tls_trust_weakness(t, i)[0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct tls_blob ca, crl;
	struct tls_trust_spec spec = { .of_clients = true };
	struct tls_trust *t = NULL;
	char why[TLS_WHY_SIZE] = "";
	size_t ca_n;
	int r;

	if (n < 3)
		return 0;
	ca_n = (size_t)p[1] << 8 | p[2];
	if (ca_n > n - 3)
		ca_n = n - 3;
	ca = blob_of(p + 3, ca_n, p[0]);
	crl = blob_of(p + 3 + ca_n, n - 3 - ca_n, p[0]);
	spec.ca = &ca;
	spec.ca_n = 1;
	if ((p[0] & LISTS) != 0) {
		spec.field[TLS_ISSUER_OU] = crl.p;
		if ((p[0] & NAMES) != 0)
			spec.sans = crl.p;
		else
			spec.fingerprints = crl.p;
	} else if (crl.n > 0) {
		spec.crl = &crl;
		spec.crl_n = 1;
	}
	r = tls_trust_new(&spec, why, &t);
	CHECK((r == 0) == (t != NULL));
	CHECK(r == 0 || why[0] != '\0');
	if (r == 0) {
		look(t, &crl);
		tls_trust_unref(&t);
	}
	free(ca.p);
	free(crl.p);
	return 0;
}
