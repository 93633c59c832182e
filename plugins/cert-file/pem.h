/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM files of a certificate source: read whole, checked as a pair, wiped.
 */
#ifndef PEM_H
#define PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEM_MAX (1024 * 1024)
#define PEM_WHY_SIZE 400

struct pem_file {
	char *p;			/* n bytes and a NUL; NULL: none */
	size_t n;
};

/* What tells that a file is another one than before. */
struct pem_stamp {
	uint64_t dev, ino, size;
	int64_t mtime_s, mtime_ns;
};

/*
 * Reads a regular file of at most PEM_MAX bytes, through one descriptor. 
 * Negative errno with why[PEM_WHY_SIZE]; ret_stamp and ret_mode may be NULL.
 */
int pem_read(const char *path, char *why, struct pem_file *ret,
    struct pem_stamp *ret_stamp, unsigned *ret_mode);
/* Wipes and frees. */
void pem_fini(struct pem_file *);
/* Zeroes when it cannot be looked at. */
void pem_stamp_of(const char *path, struct pem_stamp *ret);

/* The key is that of a certificate in the chain.  -EINVAL with why. */
int pem_check_pair(const struct pem_file *chain, const struct pem_file *key,
    char *why);

#endif
