/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the OCSP response of a certificate, one that needs none and one
 * that does (Must-Staple): whether it fits, what the checks say of it, and
 * whether a credential takes it.  They agree: what fits is taken.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cert/bundle.h"
#include "cert/chain.h"
#include "cert/check.h"
#include "tls/snapshot.h"

/* 2026-11-21, when the seeds are valid. */
#define NOW_S INT64_C(1795219200)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Good for twenty years; the key is nobody's. */
static const char chain_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBMzCB2aADAgECAgECMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAmNhMB4XDTI2\n"
    "MDEwMTAwMDAwMFoXDTQ1MDEwMTAwMDAwMFowDDEKMAgGA1UEAwwBYTBZMBMGByqG\n"
    "SM49AgEGCCqGSM49AwEHA0IABFWgzunIsOy2zctIFeq36Anei/BXvYQTUzuHTCH6\n"
    "G1jVd+4hPyoz68UpIwoKp9NqFOEMGNiSY5FxJ5WQsXJAfwWjKzApMBQGA1UdEQQN\n"
    "MAuCCWEuZXhhbXBsZTARBggrBgEFBQcBGAQFMAMCAQUwCgYIKoZIzj0EAwIDSQAw\n"
    "RgIhAODiJjdBKy6d35e8ogMsChnSEQhXT4Uhkj51c35aUltkAiEA0JE/55Hix5PC\n"
    "1f+rVYwIVeZdNa+xoavDbhpXZkU4mZ8=\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBGzCBwqADAgECAgEBMAoGCCqGSM49BAMCMA0xCzAJBgNVBAMMAmNhMB4XDTI2\n"
    "MDEwMTAwMDAwMFoXDTQ1MDEwMTAwMDAwMFowDTELMAkGA1UEAwwCY2EwWTATBgcq\n"
    "hkjOPQIBBggqhkjOPQMBBwNCAATRfiCkec3RWhnDgGPgbYASH3czuu2UDYH5Og4e\n"
    "D+jcDyS6E/7ySk1hol3p51iG4zn3VKyAUbMHMUfD/BD+NNahoxMwETAPBgNVHRMB\n"
    "Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQD8H+kWXef2m+2W6gFFYps1J5lg\n"
    "L78qhWvX0nUcLgMA0gIgMbzvlDSkbBw4DQLsPDSl+t4MJi+Q2GUZzgGh7NVORxg=\n"
    "-----END CERTIFICATE-----\n";
static const char key_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYM7wOSNW2NflypzH\n"
    "YTXWSuLm2fHTQ54B5pjy0A53HauhRANCAARVoM7pyLDsts3LSBXqt+gJ3ovwV72E\n"
    "E1M7h0wh+htY1XfuIT8qM+vFKSMKCqfTahThDBjYkmORcSeVkLFyQH8F\n"
    "-----END PRIVATE KEY-----\n";

static void
must(int ok)
{
	if (!ok)
		abort();
}

static struct cert_bundle *
bundle(void)
{
	static struct cert_bundle *b;
	char why[CERT_WHY_SIZE];

	if (b != NULL)
		return b;
	must(cert_bundle_new(&b) == 0);
	must(cert_bundle_add(b, "", chain_pem, sizeof(chain_pem) - 1, NULL,
	    why) == 0);
	must(cert_bundle_add(b, "", key_pem, sizeof(key_pem) - 1, NULL,
	    why) == 0);
	return b;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cert_check_spec spec = { .checks = CERT_CHECK_STAPLE,
	    .now_s = NOW_S, .staple = data, .staple_n = n };
	const struct cert_bundle *b = bundle();
	char why[TLS_WHY_SIZE] = "";
	struct cert_findings found;
	struct tls_cred *cred = NULL;
	struct cert_chain ch;
	bool fits;
	int r;

	must(cert_chain_build(b, NULL, &b->keys[0], NOW_S, why, &ch) == 0);
	fits = cert_staple_fits(&ch, data, n);
	must(cert_check(&ch, &spec, &found) == 0);
	/* A good one has nothing said of it; Must-Staple needs a good one. */
	must(fits || found.errors == 1);
	must(found.errors + found.warnings == found.n);
	r = tls_cred_new(chain_pem, sizeof(chain_pem) - 1, key_pem,
	    sizeof(key_pem) - 1, data, n, why, &cred);
	must(r == 0 || why[0] != '\0');
	must(!fits || r == 0);
	if (r == 0)
		tls_cred_unref(&cred);
	return 0;
}
