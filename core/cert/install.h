/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that belong together, put in service at once.  DIR holds one directory
 * for each generation (g-000001 …) and a link `current` to one of them; turning
 * that link is all that a reader sees of an installation.  A crash at any
 * moment leaves the old generation or the new one.  The generation that was
 * current before stays, for rollback; older ones are removed.
 *
 * Blocking: never on a worker.  Thread: any; processes exclude each other by a
 * lock on DIR.
 */
#ifndef CT_CERT_INSTALL_H
#define CT_CERT_INSTALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cert/file.h"

#define CERT_GENERATION_SIZE 32

struct cert_install_file {
	const char *name;		/* without directories */
	const void *p;
	size_t n;
};

struct cert_install_spec {
	const char *dir;		/* made (0700) if it is not there */
	const struct cert_install_file *files;
	size_t files_n;			/* not 0 */
	/* Who owns DIR, if it is made, and all that is put there; without it
	 * the owner of DIR. */
	bool has_owner;
	uid_t uid;
	gid_t gid;
};

/*
 * Writes a new generation (0700, files 0600) and makes it current.  On failure
 * what was current still is, unless the line says that only the last fsync
 * failed.  -EPERM (DIR is open to others; no right to give files away), -EBUSY
 * (another installation is under way), -errno, -ENOMEM, each with
 * why[CERT_WHY_SIZE].
 */
int cert_install(const struct cert_install_spec *, char *why,
    char ret_generation[CERT_GENERATION_SIZE]);

/* Makes the generation current that was so before the present one.
 * -ENOENT when there is none (any more); others as above. */
int cert_install_rollback(const char *dir, char *why,
    char ret_generation[CERT_GENERATION_SIZE]);

/* Which one is current.  -ENOENT: none; -EINVAL: `current` is not ours; with
 * why. */
int cert_install_current(const char *dir, char *why,
    char ret_generation[CERT_GENERATION_SIZE]);

#endif
