/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and checks PEM files.  A FIFO, a device, a directory or an endless file
 * in the operator's configuration must do no harm: nothing is read but regular
 * files, and no more than PEM_MAX of them.
 */
#include "pem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#define KEY_ID_SIZE 32

static int __attribute__((format(printf, 3, 4)))
fail(char *why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, PEM_WHY_SIZE, fmt, ap);
	va_end(ap);
	return err;
}

static void
stamp(const struct stat *st, struct pem_stamp *ret)
{
	ret->dev = st->st_dev;
	ret->ino = st->st_ino;
	ret->size = (uint64_t)st->st_size;
	ret->mtime_s = st->st_mtim.tv_sec;
	ret->mtime_ns = st->st_mtim.tv_nsec;
}

void
pem_stamp_of(const char *path, struct pem_stamp *ret)
{
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	if (stat(path, &st) == 0)
		stamp(&st, ret);
}

void
pem_fini(struct pem_file *f)
{
	if (f->p != NULL)
		explicit_bzero(f->p, f->n);
	free(f->p);
	f->p = NULL;
	f->n = 0;
}

/* The file may grow while it is read: the limit is on what arrives. */
static int
read_all(int fd, size_t size, struct pem_file *f)
{
	ssize_t n;

	f->p = malloc(size + 1);
	if (f->p == NULL)
		return -ENOMEM;
	f->n = 0;
	while (f->n < size) {
		n = read(fd, f->p + f->n, size - f->n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		f->n += (size_t)n;
	}
	f->p[f->n] = '\0';
	return 0;
}

int
pem_read(const char *path, char *why, struct pem_file *ret,
    struct pem_stamp *ret_stamp, unsigned *ret_mode)
{
	struct pem_file f = { NULL, 0 };
	struct stat st;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail(why, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0)
		err = fail(why, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		err = fail(why, -EINVAL, "%s: is not a regular file", path);
	else if (st.st_size == 0)
		err = fail(why, -EINVAL, "%s: is empty", path);
	else if (st.st_size > PEM_MAX)
		err = fail(why, -EFBIG, "%s: is larger than 1 MiB", path);
	else
		err = read_all(fd, (size_t)st.st_size, &f);
	(void)close(fd);
	if (err < 0) {
		if (f.p != NULL || err == -ENOMEM)
			(void)fail(why, err, "%s: %s", path, strerror(-err));
		pem_fini(&f);
		return err;
	}
	*ret = f;
	if (ret_stamp != NULL)
		stamp(&st, ret_stamp);
	if (ret_mode != NULL)
		*ret_mode = st.st_mode & 07777;
	return 0;
}

static int
key_id_of(const struct pem_file *key, char *why,
    unsigned char id[KEY_ID_SIZE])
{
	gnutls_datum_t d = { (unsigned char *)key->p, (unsigned)key->n };
	gnutls_x509_privkey_t k = NULL;
	size_t n = KEY_ID_SIZE;
	int r;

	r = gnutls_x509_privkey_init(&k);
	if (r >= 0)
		r = gnutls_x509_privkey_import2(k, &d, GNUTLS_X509_FMT_PEM,
		    NULL, 0);
	if (r >= 0)
		r = gnutls_x509_privkey_get_key_id(k,
		    GNUTLS_KEYID_USE_SHA256, id, &n);
	if (k != NULL)
		gnutls_x509_privkey_deinit(k);
	if (r < 0)
		return fail(why, -EINVAL, "the private key cannot be used: %s",
		    r == GNUTLS_E_DECRYPTION_FAILED ? "it is encrypted" :
		    gnutls_strerror(r));
	return 0;
}

int
pem_check_pair(const struct pem_file *chain, const struct pem_file *key,
    char *why)
{
	gnutls_datum_t d = { (unsigned char *)chain->p, (unsigned)chain->n };
	unsigned char id[KEY_ID_SIZE], have[KEY_ID_SIZE];
	gnutls_x509_crt_t *crt = NULL;
	unsigned crt_n = 0;
	bool found = false;
	size_t n;
	int r;

	r = key_id_of(key, why, id);
	if (r < 0)
		return r;
	r = gnutls_x509_crt_list_import2(&crt, &crt_n, &d,
	    GNUTLS_X509_FMT_PEM, 0);
	if (r < 0)
		return fail(why, -EINVAL, "the certificate chain cannot be "
		    "read: %s", gnutls_strerror(r));
	for (unsigned i = 0; i < crt_n; i++) {
		n = sizeof(have);
		if (gnutls_x509_crt_get_key_id(crt[i],
		    GNUTLS_KEYID_USE_SHA256, have, &n) >= 0 &&
		    memcmp(have, id, sizeof(id)) == 0)
			found = true;
		gnutls_x509_crt_deinit(crt[i]);
	}
	gnutls_free(crt);
	return found ? 0 : fail(why, -EINVAL, "the private key belongs to no "
	    "certificate of the chain");
}
