/* SPDX-License-Identifier: Apache-2.0 */
/* Making, keeping and using the device's key, with GnuTLS. */
#include "key.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/file.h"
#include "base/mem.h"
#include "tls/digest.h"

#define FILE_MAX_BYTES 65536
#define CONTEXT "cleat hello v1"	/* and its NUL */
#define ENDPOINT_MAX 128

struct client_key {
	gnutls_privkey_t key;
	char public[65];
};

static int
translate(int r)
{
	return r >= 0 ? 0 : r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

static int
show_public(struct client_key *k)
{
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
	gnutls_datum_t x = { NULL, 0 }, y = { NULL, 0 }, secret = { NULL, 0 };
	int r = gnutls_privkey_export_ecc_raw2(k->key, &curve, &x, &y, &secret,
	    0);

	if (r >= 0 && (curve != GNUTLS_ECC_CURVE_ED25519 || x.size != 32))
		r = GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
	if (r >= 0)
		digest_hex(x.data, x.size, k->public);
	if (secret.data != NULL)
		mem_wipe(secret.data, secret.size);
	gnutls_free(x.data);
	gnutls_free(y.data);
	gnutls_free(secret.data);
	return translate(r);
}

static int
read_key(const char *path, struct client_key *k)
{
	struct stat st;
	gnutls_datum_t pem;
	uint8_t *text;
	size_t n;
	int r;

	if (stat(path, &st) != 0)
		return -errno;
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return -EPERM;
	r = file_read(path, FILE_MAX_BYTES, &text, &n);
	if (r != 0)
		return r;
	pem.data = text;
	pem.size = (unsigned)n;
	r = translate(gnutls_privkey_import_x509_raw(k->key, &pem,
	    GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN));
	mem_free_wiped(text, n);
	return r;
}

static int
make_key(const char *path, struct client_key *k)
{
	gnutls_x509_privkey_t fresh = NULL;
	gnutls_datum_t pem = { NULL, 0 };
	int r = gnutls_x509_privkey_init(&fresh);

	if (r >= 0)
		r = gnutls_x509_privkey_generate(fresh,
		    GNUTLS_PK_EDDSA_ED25519, 256, 0);
	if (r >= 0)
		r = gnutls_x509_privkey_export2_pkcs8(fresh,
		    GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem);
	r = translate(r);
	if (r == 0)
		r = file_write_atomic(path, pem.data, pem.size, 0600);
	if (pem.data != NULL)
		mem_wipe(pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_privkey_deinit(fresh);
	return r == 0 ? read_key(path, k) : r;
}

int
client_key_open(const char *path, struct client_key **ret, bool *ret_made)
{
	struct client_key *k = mem_calloc(1, sizeof(*k));
	bool made = false;
	int r;

	if (k == NULL)
		return -ENOMEM;
	r = translate(gnutls_privkey_init(&k->key));
	if (r == 0)
		r = read_key(path, k);
	if (r == -ENOENT) {
		made = true;
		r = make_key(path, k);
	}
	if (r == 0)
		r = show_public(k);
	if (r != 0) {
		client_key_free(&k);
		return r;
	}
	*ret = k;
	*ret_made = made;
	return 0;
}

void
client_key_free(struct client_key **pk)
{
	struct client_key *k = *pk;

	if (k == NULL)
		return;
	if (k->key != NULL)
		gnutls_privkey_deinit(k->key);
	mem_free(k);
	*pk = NULL;
}

const char *
client_key_public(const struct client_key *k)
{
	return k->public;
}

int
client_key_hello(const struct client_key *k, const uint8_t nonce[32],
    const uint8_t *exporter, const char *endpoint, char *to)
{
	uint8_t text[sizeof(CONTEXT) + 32 + 1 + 32 + ENDPOINT_MAX];
	gnutls_datum_t what = { text, 0 }, signature = { NULL, 0 };
	size_t n = sizeof(CONTEXT), id_n = strlen(endpoint);
	int r;

	if (id_n > ENDPOINT_MAX)
		return -EINVAL;
	memcpy(text, CONTEXT, sizeof(CONTEXT));
	memcpy(text + n, nonce, 32);
	n += 32;
	text[n++] = exporter != NULL;
	if (exporter != NULL) {
		memcpy(text + n, exporter, 32);
		n += 32;
	}
	memcpy(text + n, endpoint, id_n);
	what.size = (unsigned)(n + id_n);
	r = gnutls_privkey_sign_data2(k->key, GNUTLS_SIGN_EDDSA_ED25519, 0,
	    &what, &signature);
	if (r < 0)
		return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EIO;
	r = signature.size == 64 ? 0 : -EIO;
	if (r == 0)
		digest_hex(signature.data, 64, to);
	gnutls_free(signature.data);
	return r;
}
