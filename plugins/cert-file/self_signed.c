/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and keeps the self-signed certificate (RFC 5280).  It is no authority
 * (CA:FALSE) and good for TLS servers only, so that trusting it trusts nothing
 * else.
 */
#include "self_signed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define DAY_S 86400
#define VALID_S (INT64_C(3650) * DAY_S)
#define RENEW_S (INT64_C(30) * DAY_S)
#define SERIAL_N 16
#define CN_MAX 64			/* RFC 5280 appendix A, ub-common-name */
#define BEGIN_CERT "-----BEGIN CERTIFICATE-----"

static int
fail(char *why, int err, const char *what, const char *text)
{
	(void)snprintf(why, PEM_WHY_SIZE, "%.300s: %.90s", what, text);
	return err;
}

static int
vendor(char *why, int r)
{
	return r >= 0 ? 0 : fail(why, r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM :
	    -EIO, "making a self-signed certificate", gnutls_strerror(r));
}

/* ---- one that is there --------------------------------------------------- */

static bool
has_san(gnutls_x509_crt_t crt, const char *name)
{
	char san[256];
	size_t n;
	int type;

	for (unsigned i = 0; ; i++) {
		n = sizeof(san) - 1;
		type = gnutls_x509_crt_get_subject_alt_name(crt, i, san, &n,
		    NULL);
		if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return false;
		if (type != GNUTLS_SAN_DNSNAME)
			continue;
		san[n] = '\0';
		if (strcasecmp(san, name) == 0)
			return true;
	}
}

static bool
still_good(const char *pem, const char *const *names, int64_t now_s)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)pem,
	    (unsigned)strlen(pem) };
	gnutls_x509_crt_t crt = NULL;
	bool good = false;

	if (gnutls_x509_crt_init(&crt) < 0)
		return false;
	if (gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM) < 0)
		goto out;
	good = gnutls_x509_crt_get_activation_time(crt) <= now_s &&
	    gnutls_x509_crt_get_expiration_time(crt) - RENEW_S > now_s;
	for (; good && *names != NULL; names++)
		good = has_san(crt, *names) ||
		    gnutls_x509_crt_check_hostname2(crt, *names, 0) != 0;
out:
	gnutls_x509_crt_deinit(crt);
	return good;
}

/* The file is ours: key first, then the certificate. */
static int
split(struct pem_file *all, struct pem_file *chain, struct pem_file *key)
{
	char *at = strstr(all->p, BEGIN_CERT);

	if (at == NULL)
		return -EINVAL;
	chain->p = strdup(at);
	if (chain->p == NULL)
		return -ENOMEM;
	chain->n = strlen(at);
	key->p = all->p;
	key->n = (size_t)(at - all->p);
	*at = '\0';
	all->p = NULL;
	return 0;
}

/* ---- a new one ----------------------------------------------------------- */

static int
add_name(gnutls_x509_crt_t crt, const char *name)
{
	unsigned char addr[16];
	unsigned n = 0;

	if (inet_pton(AF_INET, name, addr) == 1)
		n = 4;
	else if (inet_pton(AF_INET6, name, addr) == 1)
		n = 16;
	return n > 0 ? gnutls_x509_crt_set_subject_alt_name(crt,
	    GNUTLS_SAN_IPADDRESS, addr, n, GNUTLS_FSAN_APPEND) :
	    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME,
	    name, (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

static int
fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
    const char *const *names, int64_t now_s)
{
	unsigned char serial[SERIAL_N], id[64];
	size_t id_n = sizeof(id);
	const char *cn = names[0];
	int r;

	r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	if (r < 0)
		return r;
	serial[0] = (serial[0] & 0x7f) | 0x40;	/* positive, full length */
	if ((r = gnutls_x509_crt_set_version(crt, 3)) < 0 ||
	    (r = gnutls_x509_crt_set_serial(crt, serial, SERIAL_N)) < 0 ||
	    (r = gnutls_x509_crt_set_dn_by_oid(crt,
	    GNUTLS_OID_X520_COMMON_NAME, 0, cn,
	    (unsigned)strnlen(cn, CN_MAX))) < 0 ||
	    (r = gnutls_x509_crt_set_activation_time(crt,
	    (time_t)(now_s - DAY_S))) < 0 ||
	    (r = gnutls_x509_crt_set_expiration_time(crt,
	    (time_t)(now_s + VALID_S))) < 0 ||
	    (r = gnutls_x509_crt_set_key(crt, key)) < 0 ||
	    (r = gnutls_x509_crt_set_basic_constraints(crt, 0, -1)) < 0 ||
	    (r = gnutls_x509_crt_set_key_usage(crt,
	    GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0 ||
	    (r = gnutls_x509_crt_set_key_purpose_oid(crt,
	    GNUTLS_KP_TLS_WWW_SERVER, 0)) < 0 ||
	    (r = gnutls_x509_crt_get_key_id(crt, 0, id, &id_n)) < 0 ||
	    (r = gnutls_x509_crt_set_subject_key_id(crt, id, id_n)) < 0)
		return r;
	for (; *names != NULL; names++) {
		r = add_name(crt, *names);
		if (r < 0)
			return r;
	}
	return gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
}

static int
take(const gnutls_datum_t *d, struct pem_file *ret)
{
	ret->p = malloc((size_t)d->size + 1);
	if (ret->p == NULL)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(ret->p, d->data, d->size);
	ret->p[d->size] = '\0';
	ret->n = d->size;
	return 0;
}

static int
make(const char *const *names, int64_t now_s, struct pem_file *chain,
    struct pem_file *key)
{
	gnutls_datum_t crt_pem = { NULL, 0 }, key_pem = { NULL, 0 };
	gnutls_x509_privkey_t k = NULL;
	gnutls_x509_crt_t crt = NULL;
	int r;

	r = gnutls_x509_privkey_init(&k);
	if (r >= 0)
		r = gnutls_x509_privkey_generate(k, GNUTLS_PK_ECDSA,
		    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (r >= 0)
		r = gnutls_x509_crt_init(&crt);
	if (r >= 0)
		r = fill(crt, k, names, now_s);
	if (r >= 0)
		r = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM,
		    &crt_pem);
	if (r >= 0)
		r = gnutls_x509_privkey_export2_pkcs8(k, GNUTLS_X509_FMT_PEM,
		    NULL, GNUTLS_PKCS_PLAIN, &key_pem);
	if (r >= 0)
		r = take(&crt_pem, chain);
	if (r >= 0)
		r = take(&key_pem, key);
	if (key_pem.data != NULL)
		explicit_bzero(key_pem.data, key_pem.size);
	gnutls_free(key_pem.data);
	gnutls_free(crt_pem.data);
	if (crt != NULL)
		gnutls_x509_crt_deinit(crt);
	if (k != NULL)
		gnutls_x509_privkey_deinit(k);
	return r;
}

static int
write_all(int fd, const struct pem_file *f)
{
	size_t done = 0;
	ssize_t n;

	while (done < f->n) {
		n = write(fd, f->p + done, f->n - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

/* Beside the old one, then over it: there is always a whole file. */
static int
save(const char *dir, const struct pem_file *key,
    const struct pem_file *chain)
{
	int at, fd, err = 0;

	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	(void)unlinkat(at, SELF_SIGNED_FILE ".new", 0);	/* left by a crash */
	fd = openat(at, SELF_SIGNED_FILE ".new",
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		(void)close(at);
		return err;
	}
	err = write_all(fd, key);
	if (err == 0)
		err = write_all(fd, chain);
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && err == 0)
		err = -errno;
	if (err == 0 && renameat(at, SELF_SIGNED_FILE ".new", at,
	    SELF_SIGNED_FILE) < 0)
		err = -errno;
	if (err == 0 && fsync(at) < 0)
		err = -errno;
	(void)close(at);
	return err;
}

int
self_signed_get(const char *dir, const char *const *names, int64_t now_ms,
    char *why, struct pem_file *ret_chain, struct pem_file *ret_key,
    bool *ret_made)
{
	struct pem_file all = { NULL, 0 }, chain = all, key = all;
	int64_t now_s = now_ms / 1000;
	char path[4096];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, SELF_SIGNED_FILE);
	*ret_made = false;
	r = pem_read(path, why, &all, NULL, NULL);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && split(&all, &chain, &key) == 0 &&
	    still_good(chain.p, names, now_s) &&
	    pem_check_pair(&chain, &key, why) == 0)
		goto out;
	pem_fini(&all);
	pem_fini(&chain);
	pem_fini(&key);
	r = vendor(why, make(names, now_s, &chain, &key));
	if (r == 0) {
		r = save(dir, &key, &chain);
		if (r < 0)
			(void)fail(why, r, path, strerror(-r));
	}
	if (r < 0) {
		pem_fini(&chain);
		pem_fini(&key);
		return r;
	}
	*ret_made = true;
out:
	*ret_chain = chain;
	*ret_key = key;
	return 0;
}
