/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in configurations: passphrases, tokens, PINs.  A value is the secret
 * itself, or says where it is:
 *
 *	file:/PATH		a file that not everybody may read
 *	credential:NAME		a file in $CREDENTIALS_DIRECTORY, see
 *				systemd.exec(5)
 *	encrypted:BASE64	with the key of this host (AES-256-GCM)
 *	plain:TEXT		TEXT, whatever it begins with
 *
 * Of a file the first line counts (file_line()).  The key of the host is 32
 * random bytes in a file that is made at the first encryption; there is no
 * other.  No message has a secret in it.  Blocking; any thread.
 */
#ifndef CT_TLS_SECRET_H
#define CT_TLS_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define SECRET_MAX 4096			/* bytes */
#define SECRET_KEY_SIZE 32

/* Whether it says where the secret is, instead of being it. */
bool secret_is_elsewhere(const char *text);

/* Where the service manager put the credential `name`.  -EINVAL, -ENOENT,
 * -ENAMETOOLONG with why[TLS_WHY_SIZE]. */
int secret_credential(const char *name, char *why, char *path, size_t cap);

/* The secret, ended by NUL, the caller's (mem_free_wiped()).  key_file may be
 * NULL if nothing is encrypted.  -EINVAL, -EPERM, -errno of a file,
 * -EBADMSG (damaged, or of another key) with why[TLS_WHY_SIZE]; -ENOMEM. */
int secret_open(const char *text, const char *key_file, char *why, char **ret);

/* As secret_open(), for who is not the service and checks its configuration:
 * where there is no $CREDENTIALS_DIRECTORY, a credential is taken to be there,
 * and its text stands for it. */
int secret_check(const char *text, const char *key_file, char *why, char **ret);

/* "encrypted:BASE64" of n bytes without a NUL, 1 to SECRET_MAX; mem_free().
 * Makes the key file (0600, owned as its directory) if there is none.  Errors
 * as above. */
int secret_encrypt(const void *p, size_t n, const char *key_file, char *why,
    char **ret);

#endif
