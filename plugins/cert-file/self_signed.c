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

#include "cert/chain.h"
#include "cert/file.h"

#define DAY_S 86400
#define VALID_S (INT64_C(3650) * DAY_S)
#define RENEW_S (INT64_C(30) * DAY_S)
#define SERIAL_N 16
#define CN_MAX 64			/* RFC 5280 appendix A, ub-common-name */
#define MARK_SIZE 17
#define MARK_KEY "cleat self-signed host mark"
#define OID_SERIAL_NUMBER "2.5.4.5"	/* X.520, of the subject */

static int
vendor(char *why, int r)
{
	return r >= 0 ? 0 : cert_why(why, r == GNUTLS_E_MEMORY_ERROR ?
	    -ENOMEM : -EIO, "making a self-signed certificate: %s",
	    gnutls_strerror(r));
}

/*
 * What tells this host from a copy of its disk: a hash of the machine's id,
 * which is not to be shown itself (machine-id(5)).  "" when there is none.
 */
static void
host_mark(char to[MARK_SIZE])
{
	struct cert_blob id = { NULL, 0 };
	unsigned char hash[32];

	to[0] = '\0';
	if (cert_file_read("/etc/machine-id", NULL, &id, NULL, NULL) < 0)
		return;
	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, MARK_KEY, strlen(MARK_KEY),
	    id.p, id.n, hash) == 0) {
		for (size_t i = 0; i < (MARK_SIZE - 1) / 2; i++)
			(void)snprintf(to + 2 * i, 3, "%02x", hash[i]);
	}
	cert_blob_free(&id);
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

/* Made for another host, whose disk or image this one was copied from. */
static bool
has_mark(gnutls_x509_crt_t crt, const char *mark)
{
	char have[64];
	size_t n = sizeof(have);

	if (mark[0] == '\0')
		return true;
	return gnutls_x509_crt_get_dn_by_oid(crt, OID_SERIAL_NUMBER, 0, 0, have,
	    &n) >= 0 && strcmp(have, mark) == 0;
}

static bool
still_good(gnutls_x509_crt_t crt, const char *const *names, const char *mark,
    int64_t now_s)
{
	bool good;

	good = gnutls_x509_crt_get_activation_time(crt) <= now_s &&
	    gnutls_x509_crt_get_expiration_time(crt) - RENEW_S > now_s &&
	    has_mark(crt, mark);
	for (; good && *names != NULL; names++)
		good = has_san(crt, *names) ||
		    gnutls_x509_crt_check_hostname2(crt, *names, 0) != 0;
	return good;
}

/* Whether there is one that does; then it is in the bundle. */
static bool
take_old(const char *path, const char *const *names, const char *mark,
    int64_t now_s, struct cert_bundle *b)
{
	struct cert_bundle *own = NULL;
	struct cert_chain ch;
	bool good = false;
	size_t n;

	if (cert_bundle_new(&own) < 0)
		return false;
	if (cert_bundle_add_file(own, path, NULL, NULL, NULL, NULL) == 0 &&
	    cert_chain_all(own, now_s, 1, NULL, &ch, &n) == 0 &&
	    still_good(ch.crt[0]->crt, names, mark, now_s))
		good = cert_bundle_add_file(b, path, NULL, NULL, NULL,
		    NULL) == 0;
	cert_bundle_free(&own);
	return good;
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
    const char *const *names, const char *mark, int64_t now_s)
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
	    (mark[0] != '\0' && (r = gnutls_x509_crt_set_dn_by_oid(crt,
	    OID_SERIAL_NUMBER, 0, mark, (unsigned)strlen(mark))) < 0) ||
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
make(const char *const *names, const char *mark, int64_t now_s,
    gnutls_datum_t *ret_crt_pem, gnutls_datum_t *ret_key_pem)
{
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
		r = fill(crt, k, names, mark, now_s);
	if (r >= 0)
		r = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM,
		    ret_crt_pem);
	if (r >= 0)
		r = gnutls_x509_privkey_export2_pkcs8(k, GNUTLS_X509_FMT_PEM,
		    NULL, GNUTLS_PKCS_PLAIN, ret_key_pem);
	if (crt != NULL)
		gnutls_x509_crt_deinit(crt);
	if (k != NULL)
		gnutls_x509_privkey_deinit(k);
	return r;
}

static int
write_all(int fd, const gnutls_datum_t *d)
{
	size_t done = 0;
	ssize_t n;

	while (done < d->size) {
		n = write(fd, d->data + done, d->size - done);
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
save(const char *dir, const gnutls_datum_t *key, const gnutls_datum_t *crt)
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
		err = write_all(fd, crt);
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

static int
renew(const char *dir, const char *path, const char *const *names,
    const char *mark, int64_t now_s, char *why)
{
	gnutls_datum_t crt = { NULL, 0 }, key = { NULL, 0 };
	int r = vendor(why, make(names, mark, now_s, &crt, &key));

	if (r == 0) {
		r = save(dir, &key, &crt);
		if (r < 0)
			(void)cert_why(why, r, "%s: %s", path, strerror(-r));
	}
	if (key.data != NULL)
		explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	gnutls_free(crt.data);
	return r;
}

int
self_signed_get(const char *dir, const char *const *names, int64_t now_ms,
    char *why, struct cert_bundle *b, bool *ret_made)
{
	int64_t now_s = now_ms / 1000;
	char path[4096], mark[MARK_SIZE];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, SELF_SIGNED_FILE);
	host_mark(mark);
	if (take_old(path, names, mark, now_s, b))
		return 0;
	r = renew(dir, path, names, mark, now_s, why);
	if (r == 0)
		r = cert_bundle_add_file(b, path, NULL, why, NULL, NULL);
	if (r == 0)
		*ret_made = true;
	return r;
}
