/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes and keeps the self-signed certificate (RFC 5280).  It is no authority
 * (CA:FALSE) and good for TLS servers only, so that trusting it trusts nothing
 * else.
 */
#include "cert/self.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/mem.h"
#include "cert/chain.h"
#include "cert/describe.h"
#include "cert/file.h"
#include "cert/make.h"

#define DAY_S 86400
#define VALID_S (INT64_C(3650) * DAY_S)
#define RENEW_S (INT64_C(30) * DAY_S)
#define FILE_LIMIT 65536
#define MARK_SIZE 17
#define MARK_KEY "cleat self-signed host mark"

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
	    id.p, id.n, hash) == 0)
		hex_write(hash, (MARK_SIZE - 1) / 2, to);
	cert_blob_free(&id);
}

/* ---- one that is there --------------------------------------------------- */

/* Or made for another host, whose disk or image this one was copied from. */
static bool
has_mark(gnutls_x509_crt_t crt, const char *mark)
{
	struct cert_facts f;

	return mark[0] == '\0' || (cert_describe(crt, &f) == 0 &&
	    strcmp(f.subject.ou, mark) == 0);
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
		good = cert_has_san(crt, *names) ||
		    gnutls_x509_crt_check_hostname2(crt, *names, 0) != 0;
	return good;
}

static bool
read_own(const char *path, struct cert_bundle *b)
{
	uint8_t text[FILE_LIMIT];
	struct stat st;
	bool good;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_uid == geteuid() || st.st_uid == 0) && st.st_nlink == 1 &&
	    st.st_size < FILE_LIMIT;
	n = good ? read(fd, text, sizeof(text)) : 0;
	(void)close(fd);
	good = n > 0 && cert_bundle_add(b, path, text, (size_t)n, NULL,
	    NULL) == 0;
	mem_wipe(text, sizeof(text));
	return good;
}

/* Whether there is one that does; then it is *ret. */
static bool
take_old(const char *path, const char *const *names, const char *mark,
    int64_t now_s, struct cert_bundle **ret)
{
	struct cert_bundle *own = NULL;
	struct cert_chain ch;
	size_t n;

	if (cert_bundle_new(&own) < 0)
		return false;
	if (read_own(path, own) &&
	    cert_chain_all(own, NULL, now_s, 1, NULL, &ch, &n) == 0 &&
	    still_good(ch.crt[0]->crt, names, mark, now_s)) {
		*ret = own;
		return true;
	}
	cert_bundle_free(&own);
	return false;
}

/* ---- a new one ----------------------------------------------------------- */

/* Beside the old one, then over it: there is always a whole file. */
static int
save(const char *dir, const struct cert_blob *key,
    const struct cert_blob *crt)
{
	int at, fd, err = 0;

	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	(void)unlinkat(at, CERT_SELF_FILE ".new", 0);	/* left by a crash */
	fd = openat(at, CERT_SELF_FILE ".new",
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		(void)close(at);
		return err;
	}
	err = file_write_all(fd, key->p, key->n);
	if (err == 0)
		err = file_write_all(fd, crt->p, crt->n);
	if (err == 0 && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && err == 0)
		err = -errno;
	if (err == 0 && renameat(at, CERT_SELF_FILE ".new", at,
	    CERT_SELF_FILE) < 0)
		err = -errno;
	if (err == 0 && fsync(at) < 0)
		err = -errno;
	(void)close(at);
	return err;
}

/* Made and saved; what is given back comes from memory: whoever owns dir could
 * have put something else in its place by now, and we may be root. */
static int
renew(const char *dir, const char *path, const char *const *names,
    const char *mark, int64_t now_s, char *why, struct cert_bundle *to)
{
	const struct cert_make_spec spec = {
		.kind = CERT_MAKE_SELF, .cn = names[0],
		.ou = mark[0] != '\0' ? mark : NULL, .names = names,
		.from_s = now_s - DAY_S, .to_s = now_s + VALID_S
	};
	struct cert_blob crt = { NULL, 0 }, key = { NULL, 0 };
	int r = cert_make(&spec, NULL, why, &crt, &key);

	if (r == 0) {
		r = save(dir, &key, &crt);
		if (r < 0)
			(void)cert_why(why, r, "%s: %s", path, strerror(-r));
	}
	if (r == 0)
		r = cert_bundle_add(to, path, key.p, key.n, NULL, why);
	if (r == 0)
		r = cert_bundle_add(to, path, crt.p, crt.n, NULL, why);
	cert_blob_free(&key);
	cert_blob_free(&crt);
	return r;
}

int
cert_self_get(const char *dir, const char *const *names, int64_t now_s,
    char *why, struct cert_bundle **ret, bool *ret_made)
{
	struct cert_bundle *b = NULL;
	char path[4096], mark[MARK_SIZE];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, CERT_SELF_FILE);
	host_mark(mark);
	if (take_old(path, names, mark, now_s, ret))
		return 0;
	r = cert_bundle_new(&b);
	if (r < 0)
		return cert_why(why, r, "out of memory");
	r = renew(dir, path, names, mark, now_s, why, b);
	if (r < 0) {
		cert_bundle_free(&b);
		return r;
	}
	*ret = b;
	*ret_made = true;
	return 0;
}
