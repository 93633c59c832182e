/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bundle itself: what was found, once each, with its origin.  A file that
 * turns out to be bad leaves nothing behind.
 */
#include "cert/bundle_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cert/limit.h"

/* ---- life ---------------------------------------------------------------- */

int
cert_bundle_new(struct cert_bundle **ret)
{
	struct cert_bundle *b = mem_calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	b->certs = mem_calloc(CERT_BUNDLE_CERTS, sizeof(*b->certs));
	b->keys = mem_calloc(CERT_BUNDLE_KEYS, sizeof(*b->keys));
	if (b->certs == NULL || b->keys == NULL) {
		cert_bundle_free(&b);
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

/* Back to what there was before a file. */
static void
cut(struct cert_bundle *b, size_t certs, size_t keys, size_t files,
    size_t halves)
{
	while (b->certs_n > certs)
		gnutls_x509_crt_deinit(b->certs[--b->certs_n].crt);
	while (b->keys_n > keys)	/* GnuTLS wipes them */
		gnutls_x509_privkey_deinit(b->keys[--b->keys_n].key);
	while (b->files_n > files)
		mem_free(b->files[--b->files_n]);
	while (b->halves_n > halves)
		mem_wipe(&b->halves[--b->halves_n], sizeof(b->halves[0]));
}

void
cert_bundle_free(struct cert_bundle **pb)
{
	struct cert_bundle *b = *pb;

	*pb = NULL;
	if (b == NULL)
		return;
	cut(b, 0, 0, 0, 0);
	mem_free(b->certs);
	mem_free(b->keys);
	mem_free(b);
}

/* ---- for the files that read formats ------------------------------------- */

static int __attribute__((format(printf, 3, 0)))
fail_v(struct gather *g, int error, const char *fmt, va_list ap)
{
	size_t n = 0;
	int k;

	if (g->why == NULL)
		return error;
	if (g->file[0] != '\0') {
		k = snprintf(g->why, CERT_WHY_SIZE, "%.250s: ", g->file);
		n = k > 0 ? (size_t)k : 0;
	}
	(void)vsnprintf(g->why + n, CERT_WHY_SIZE - n, fmt, ap);
	return error;
}

int
gather_fail(struct gather *g, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error = fail_v(g, error, fmt, ap);
	va_end(ap);
	return error;
}

static int
errno_of(int r)
{
	switch (r) {
	case GNUTLS_E_MEMORY_ERROR:
		return -ENOMEM;
	case GNUTLS_E_UNKNOWN_CIPHER_TYPE:
	case GNUTLS_E_UNKNOWN_PK_ALGORITHM:
	case GNUTLS_E_UNKNOWN_HASH_ALGORITHM:
	case GNUTLS_E_UNKNOWN_ALGORITHM:
	case GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM:
	case GNUTLS_E_ECC_UNSUPPORTED_CURVE:
	case GNUTLS_E_UNIMPLEMENTED_FEATURE:
		return -ENOTSUP;
	default:
		return -EINVAL;
	}
}

int
gather_vendor(struct gather *g, const char *what, int r)
{
	int err = errno_of(r);

	if (err == -ENOMEM)
		return gather_fail(g, err, "out of memory");
	if (r == GNUTLS_E_ILLEGAL_PARAMETER)
		return gather_fail(g, -E2BIG, "%s asks for more iterations "
		    "than anybody can do, or for none", what);
	return gather_fail(g, err, err == -ENOTSUP ?
	    "%s uses an algorithm that is not supported: %s" :
	    "%s is damaged (%s): copy it again, or write it anew", what,
	    gnutls_strerror(r));
}

int
gather_cipher(struct gather *g, const char *what, const char *oid, int r)
{
	if (errno_of(r) == -ENOTSUP)
		return gather_fail(g, -ENOTSUP, "%s is encrypted with %.60s, "
		    "which is not supported: write it anew with AES-256-CBC",
		    what, oid != NULL ? oid : "an unknown cipher");
	return gather_vendor(g, what, r);
}

int
gather_password_wrong(struct gather *g, const char *what)
{
	return gather_fail(g, -EKEYREJECTED, g->password == NULL ?
	    "%s is encrypted, and no password was given" :
	    "the password does not open %s (it is wrong, or the file is "
	    "damaged)", what);
}

/* Another kind than RSA is no danger here; its own check speaks of it. */
static bool
is_too_dear(gnutls_x509_crt_t crt)
{
	int pk = gnutls_x509_crt_get_pk_algorithm(crt, NULL);

	return (pk == GNUTLS_PK_RSA || pk == GNUTLS_PK_RSA_PSS) &&
	    cert_key_too_dear(crt);
}

static int
cert_put(struct gather *g, gnutls_x509_crt_t crt, const char *format)
{
	struct cert_bundle *b = g->b;
	struct cert_item *to = &b->certs[b->certs_n];
	uint8_t sha256[32];
	size_t n = sizeof(sha256);
	int r;

	g->certs++;
	r = gnutls_x509_crt_get_fingerprint(crt, GNUTLS_DIG_SHA256, sha256, &n);
	if (r < 0)
		return gather_vendor(g, "a certificate", r);
	for (size_t i = 0; i < b->certs_n; i++) {
		if (memcmp(b->certs[i].sha256, sha256, n) == 0) {
			b->duplicates++;
			return 0;
		}
	}
	if (b->certs_n == CERT_BUNDLE_CERTS)
		return gather_fail(g, -E2BIG, "there are more than %d "
		    "certificates", CERT_BUNDLE_CERTS);
	if (is_too_dear(crt))
		return gather_fail(g, -E2BIG, "certificate %u has a key that "
		    "takes too long to use (RSA of more than %d bits, or with "
		    "an exponent of more than %d): ask for one with another "
		    "key", g->certs, CERT_KEY_BITS_MAX,
		    CERT_KEY_EXPONENT_BITS_MAX);
	memcpy(to->sha256, sha256, sizeof(sha256));
	to->crt = crt;
	to->from = (struct cert_origin){ g->file, format, g->certs };
	b->certs_n++;
	return 1;
}

int
gather_cert(struct gather *g, gnutls_x509_crt_t crt, const char *format)
{
	int r = cert_put(g, crt, format);

	if (r != 1)
		gnutls_x509_crt_deinit(crt);
	return r < 0 ? r : 0;
}

static int
key_put(struct gather *g, gnutls_x509_privkey_t key, bool was_encrypted,
    const char *format)
{
	struct cert_bundle *b = g->b;
	struct cert_key *to = &b->keys[b->keys_n];
	uint8_t id[32];
	size_t n = sizeof(id);
	unsigned bits = 0;
	int r;

	g->keys++;
	r = gnutls_x509_privkey_get_pk_algorithm2(key, &bits);
	if (r >= 0 && bits > CERT_KEY_BITS_MAX)
		return gather_fail(g, -E2BIG, "the private key has %u bits, "
		    "more than %d, and would make every handshake slow: make "
		    "one of ECDSA P-256, or of RSA with 3072", bits,
		    CERT_KEY_BITS_MAX);
	if (r >= 0)
		r = gnutls_x509_privkey_verify_params(key);
	if (r >= 0)
		r = gnutls_x509_privkey_get_key_id(key,
		    GNUTLS_KEYID_USE_SHA256, id, &n);
	if (r < 0)
		return gather_vendor(g, "the private key", r);
	for (size_t i = 0; i < b->keys_n; i++) {
		if (memcmp(b->keys[i].id, id, sizeof(id)) == 0)
			return 0;
	}
	if (b->keys_n == CERT_BUNDLE_KEYS)
		return gather_fail(g, -E2BIG, "there are more than %d private "
		    "keys", CERT_BUNDLE_KEYS);
	memcpy(to->id, id, sizeof(id));
	to->key = key;
	to->was_encrypted = was_encrypted;
	to->from = (struct cert_origin){ g->file, format, g->keys };
	b->keys_n++;
	return 1;
}

bool
gather_passes_keys(struct gather *g)
{
	if (g->certs_only)
		g->other = "a private key";
	return g->certs_only;
}

int
gather_key(struct gather *g, gnutls_x509_privkey_t key, bool was_encrypted,
    const char *format)
{
	int r = gather_passes_keys(g) ? 0 : key_put(g, key, was_encrypted,
	    format);

	if (r != 1)
		gnutls_x509_privkey_deinit(key);
	return r < 0 ? r : 0;
}

/* ---- what the file is ---------------------------------------------------- */

/*
 * Text that Windows has saved as UTF-16: 1 with a copy as single bytes, 0 when
 * it is none, or -ENOMEM.  Characters beyond ASCII become '?', which no block
 * has.
 */
static int
from_utf16(const uint8_t *p, size_t n, struct cert_blob *ret)
{
	bool big = n >= 4 && ((p[0] == 0xfe && p[1] == 0xff) ||
	    (p[0] == 0 && p[1] == '-' && p[2] == 0));
	bool little = n >= 4 && ((p[0] == 0xff && p[1] == 0xfe) ||
	    (p[0] == '-' && p[1] == 0 && p[3] == 0));

	if (!big && !little)
		return 0;
	ret->n = n / 2;
	ret->p = mem_alloc(ret->n + 1);
	if (ret->p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ret->n; i++)
		ret->p[i] = p[2 * i + (big ? 0 : 1)] == 0 ?
		    p[2 * i + (big ? 1 : 0)] : '?';
	ret->p[ret->n] = '\0';
	return 1;
}

static int
gather_any(struct gather *g, const uint8_t *p, size_t n)
{
	struct cert_blob text = { NULL, 0 };
	int r;

	if (der_is(p, n))
		return gather_ders(g, p, n);
	r = from_utf16(p, n, &text);
	if (r < 0)
		return gather_fail(g, r, "out of memory");
	if (r > 0) {
		p = text.p;
		n = text.n;
	}
	if (n >= 4 && memcmp(p, "\xfe\xed\xfe\xed", 4) == 0)
		r = gather_fail(g, -ENOTSUP, "is a keystore of Java (JKS), "
		    "which is not supported: convert it with \"keytool "
		    "-importkeystore -deststoretype pkcs12\"");
	else if (pem_is(p, n))
		r = gather_pem(g, p, n);
	else if (base64_is(p, n))
		r = gather_base64(g, p, n);
	else if (!g->certs_only)
		r = gather_fail(g, -EINVAL, "holds neither a certificate nor "
		    "a private key: it is neither PEM nor DER: export it "
		    "as one of these");
	else
		r = 0;
	cert_blob_free(&text);
	return r;
}

static int
begin(struct gather *g, const char *file)
{
	struct cert_bundle *b = g->b;
	char *copy;

	if (b->files_n == CERT_BUNDLE_FILES)
		return gather_fail(g, -E2BIG, "there are more than %d files",
		    CERT_BUNDLE_FILES);
	copy = mem_strdup(file);
	if (copy == NULL)
		return gather_fail(g, -ENOMEM, "out of memory");
	g->file = b->files[b->files_n++] = copy;
	return 0;
}

static int
nothing_found(struct gather *g)
{
	return g->certs_only ? gather_fail(g, -ENODATA, "%s%sthere is no "
	    "certificate in it", g->other != NULL ? g->other : "",
	    g->other != NULL ? ", but " : "") : gather_fail(g, -EINVAL,
	    "holds neither a certificate nor a private key%s%s",
	    g->other != NULL ? ", but " : "",
	    g->other != NULL ? g->other : "");
}

static int
add(struct gather g, const void *p, size_t n)
{
	struct cert_bundle *b = g.b;
	size_t certs = b->certs_n, keys = b->keys_n, files = b->files_n;
	size_t duplicates = b->duplicates, halves = b->halves_n;
	int r;

	if (n == 0)
		return gather_fail(&g, -EINVAL, "is empty");
	if (n > CERT_FILE_MAX)
		return gather_fail(&g, -E2BIG, "is larger than %u MiB",
		    CERT_FILE_MAX >> 20);
	r = begin(&g, g.file);
	if (r == 0)
		r = gather_any(&g, p, n);
	if (r == 0 && g.certs == 0 && g.keys == 0)
		r = nothing_found(&g);
	if (r == 0)
		r = gather_halves(&g);
	if (r < 0) {
		cut(b, certs, keys, files, halves);
		b->duplicates = duplicates;
	}
	return r;
}

int
cert_bundle_add(struct cert_bundle *b, const char *file, const void *p,
    size_t n, const char *password, char *why)
{
	return add((struct gather){ .b = b, .file = file,
	    .password = password, .why = why, .attempt = -1 }, p, n);
}

int
cert_bundle_add_certs(struct cert_bundle *b, const char *file, const void *p,
    size_t n, char *why)
{
	return add((struct gather){ .b = b, .file = file, .certs_only = true,
	    .why = why, .attempt = -1 }, p, n);
}

int
cert_bundle_add_file(struct cert_bundle *b, const char *path,
    const char *password, char *why, struct cert_stamp *ret_stamp,
    unsigned *ret_mode)
{
	struct cert_blob all = { NULL, 0 };
	struct cert_stamp at;
	unsigned mode;
	int r;

	r = cert_file_read(path, why, &all, &at, &mode);
	if (r == 0)
		r = cert_bundle_add(b, path, all.p, all.n, password, why);
	cert_blob_free(&all);
	if (r < 0)
		return r;
	if (ret_stamp != NULL)
		*ret_stamp = at;
	if (ret_mode != NULL)
		*ret_mode = mode;
	return 0;
}
