/* SPDX-License-Identifier: Apache-2.0 */
/* Safe reading of the operator's files. */
#include "cert/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

int
cert_why(char *why, int error, const char *fmt, ...)
{
	va_list ap;

	if (why != NULL) {
		va_start(ap, fmt);
		(void)vsnprintf(why, CERT_WHY_SIZE, fmt, ap);
		va_end(ap);
	}
	return error;
}

static void
stamp(const struct stat *st, struct cert_stamp *ret)
{
	ret->dev = st->st_dev;
	ret->ino = st->st_ino;
	ret->size = (uint64_t)st->st_size;
	ret->mtime_s = st->st_mtim.tv_sec;
	ret->mtime_ns = st->st_mtim.tv_nsec;
	ret->ctime_s = st->st_ctim.tv_sec;
	ret->ctime_ns = st->st_ctim.tv_nsec;
}

void
cert_stamp_of(const char *path, struct cert_stamp *ret)
{
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	if (stat(path, &st) == 0)
		stamp(&st, ret);
}

void
cert_blob_free(struct cert_blob *b)
{
	mem_free_wiped(b->p, b->n);
	b->p = NULL;
	b->n = 0;
}

static int
check_kind(const struct stat *st, const char *path, char *why)
{
	if (S_ISDIR(st->st_mode))
		return cert_why(why, -EISDIR, "%s: is a directory, not a file: "
		    "name the file in it", path);
	if (!S_ISREG(st->st_mode))
		return cert_why(why, -EINVAL, "%s: is not a regular file",
		    path);
	if (st->st_size == 0)
		return cert_why(why, -EINVAL, "%s: is empty: copy it "
		    "again", path);
	if (st->st_size > (off_t)CERT_FILE_MAX)
		return cert_why(why, -EFBIG, "%s: is larger than %u MiB, "
		    "so it is no certificate", path, CERT_FILE_MAX >> 20);
	return 0;
}

/* The file may shrink or grow while it is read: n is what arrived. */
static int
read_all(int fd, size_t size, struct cert_blob *b)
{
	int err;

	b->n = size;			/* what is wiped on failure */
	b->p = mem_alloc(size + 1);
	if (b->p == NULL)
		return -ENOMEM;
	err = file_read_up_to(fd, b->p, size, &b->n);
	b->p[b->n] = '\0';
	return err;
}

int
cert_file_read(const char *path, char *why, struct cert_blob *ret,
    struct cert_stamp *ret_stamp, unsigned *ret_mode)
{
	struct cert_blob b = { NULL, 0 };
	struct stat st;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err = -errno;
		if (fd >= 0)
			(void)close(fd);
		return cert_why(why, err, "%s: cannot be opened: %s", path,
		    strerror(-err));
	}
	err = check_kind(&st, path, why);
	if (err == 0) {
		err = read_all(fd, (size_t)st.st_size, &b);
		if (err < 0)
			(void)cert_why(why, err, "%s: cannot be read: %s",
			    path, strerror(-err));
	}
	(void)close(fd);
	if (err < 0) {
		cert_blob_free(&b);
		return err;
	}
	*ret = b;
	if (ret_stamp != NULL)
		stamp(&st, ret_stamp);
	if (ret_mode != NULL)
		*ret_mode = st.st_mode & 07777;
	return 0;
}
