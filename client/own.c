/* SPDX-License-Identifier: Apache-2.0 */
/* The device's own certificate and key, in whatever form they came: PEM, DER,
 * PKCS#8, PKCS#12, in one file or two, the chain in any order. */
#include "client_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cert/bundle.h"
#include "cert/chain.h"

_Static_assert(CLEAT_CLIENT_WHY_SIZE >= CERT_WHY_SIZE, "why");

static int
gather(const struct cleat_client_opts *o, struct cert_bundle *b, char *why)
{
	int r = cert_bundle_add_file(b, o->cert_file, o->key_passphrase, why,
	    NULL, NULL);

	if (r == 0 && strcmp(o->cert_file, o->key_file) != 0)
		r = cert_bundle_add_file(b, o->key_file, o->key_passphrase,
		    why, NULL, NULL);
	return r;
}

int
client_own_read(const struct cleat_client_opts *o, char *why,
    struct cert_blob *ret_chain, struct cert_blob *ret_key)
{
	struct cert_bundle *b = NULL;
	struct cert_chain chain;
	size_t n = 0;
	int r;

	if (o->cert_file == NULL)
		return 0;
	r = cert_bundle_new(&b);
	if (r == 0)
		r = gather(o, b, why);
	if (r == 0)
		r = cert_chain_all(b, NULL, (int64_t)time(NULL), 1, why,
		    &chain, &n);
	if (r == 0)
		r = cert_chain_pem(&chain, ret_chain);
	if (r == 0)
		r = cert_key_pem(chain.key, ret_key);
	if (r == -ENOMEM)
		(void)snprintf(why, CLEAT_CLIENT_WHY_SIZE, "out of memory");
	cert_bundle_free(&b);
	return r;
}
