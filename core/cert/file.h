/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of certificates and keys, read so that a FIFO, a device, a directory or
 * an endless file in somebody's configuration does no harm.  Blocking: never on
 * a worker.  Thread: any.
 */
#ifndef CT_CERT_FILE_H
#define CT_CERT_FILE_H

#include <stddef.h>
#include <stdint.h>

#define CERT_FILE_MAX (16u << 20)
/* One line for a person, always with a NUL. */
#define CERT_WHY_SIZE 512

struct cert_blob {
	uint8_t *p;			/* n bytes and a NUL; NULL: none */
	size_t n;
};

/* What tells that a file is another one than before. */
struct cert_stamp {
	uint64_t dev, ino, size;
	int64_t mtime_s, mtime_ns;
	int64_t ctime_s, ctime_ns;	/* also of a new mode or owner */
};

/*
 * Reads a regular file of 1 to CERT_FILE_MAX bytes through one descriptor.
 * -EISDIR, -EINVAL (no regular file, empty), -EFBIG, -errno of open and read,
 * -ENOMEM, each with why[CERT_WHY_SIZE] that begins with the path.  ret_stamp
 * and ret_mode (permission bits) may be NULL.
 */
int cert_file_read(const char *path, char *why, struct cert_blob *ret,
    struct cert_stamp *ret_stamp, unsigned *ret_mode);

/* Wipes and frees; empty is fine. */
void cert_blob_free(struct cert_blob *);

/* Zeroes when it cannot be looked at. */
void cert_stamp_of(const char *path, struct cert_stamp *ret);

/* One line into why[CERT_WHY_SIZE] (NULL: nowhere); returns `error`. */
int cert_why(char *why, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
