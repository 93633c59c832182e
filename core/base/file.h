/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole small files, read and written so that neither a FIFO, a directory, an
 * endless device nor a crash half-way does harm.  Blocking: any thread but a
 * worker's.
 */
#ifndef CT_FILE_H
#define CT_FILE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads a regular file of at most `limit` bytes; *ret has a NUL after its n
 * bytes and belongs to the caller (mem_free_wiped for secrets).
 * -EISDIR, -ENOTSUP (not a regular file), -EFBIG, -errno of open/read, -ENOMEM.
 */
int file_read(const char *path, size_t limit, uint8_t **ret, size_t *ret_n);

/*
 * What a file for a password says, to everybody who reads one: the first line
 * of its n bytes, without its end (LF or CRLF) and without a byte order mark
 * (UTF-8).  *ret points into p.  -EILSEQ: a NUL in it, as UTF-16 has.
 */
int file_line(const void *p, size_t n, const char **ret, size_t *ret_n);

/* Writes a new file beside `path`, fsyncs it, renames it over `path` and fsyncs
 * the directory.  `mode` e.g. 0600.  On failure `path` is as before (only when
 * the last fsync fails the new content is in place, perhaps not durably).
 * -errno, -ENOMEM. */
int file_write_atomic(const char *path, const void *p, size_t n, unsigned mode);

/* The same, but never over anything: -EEXIST when something has that name. */
int file_write_new(const char *path, const void *p, size_t n, unsigned mode);

/* file_write_atomic() for who goes on writing: *ret_fd is the new file, open to
 * read and write, the caller's, once it is at `path`.  So also when the last
 * fsync fails; file_sync_name() makes up for that. */
int file_replace(const char *path, const void *p, size_t n, unsigned mode,
    int *ret_fd);

/* Of an open file: fills p[0..cap) as far as it goes, *ret_n bytes; writes all
 * of p[0..n).  Signals do not disturb them.  -errno of read or write. */
int file_read_up_to(int fd, void *p, size_t cap, size_t *ret_n);
int file_write_all(int fd, const void *p, size_t n);

/* Fsyncs the directory that `path` is in.  -errno, -ENOMEM. */
int file_sync_name(const char *path);

#endif
