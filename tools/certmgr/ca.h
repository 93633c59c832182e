/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the authority share: its directory, locked, and what is in
 * it.  Each function that fails has said why. */
#ifndef CT_CERTMGR_CA_H
#define CT_CERTMGR_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ctl/text.h"
#include "certmgr.h"

#define CA_PATH_SIZE 4200
#define CA_DAY_S INT64_C(86400)

struct ca {
	const struct asked *a;
	int lock;
	struct cert_bundle *bundle;
	struct cert_chain chain;	/* the authority alone */
	int64_t not_after;
	struct text index;		/* the whole file */
	char out_password[PASSWORD_MAX];	/* of a PKCS#12; wiped */
};

/* A file of its directory; returns `path`. */
const char *ca_path(const struct ca *, const char *name,
    char path[CA_PATH_SIZE]);
/* "PATH: what", with the error's text unless that is 0; returns the status. */
enum status ca_fault(const struct ca *, enum status, const char *path,
    const char *what, int error);
enum status ca_put_file(const struct ca *, const char *path, const void *p,
    size_t n, unsigned mode);
/* What was done, with the files that were written; NULL ends. */
enum status ca_done(const struct ca *, const char *what, const char *serial,
    const char *const *files);
enum status ca_lock(struct ca *);
enum status ca_read(struct ca *);
enum status ca_read_index(struct ca *);
enum status ca_write_index(const struct ca *, const struct text *index);
enum status ca_usage(const struct asked *, const char *text);
/* --days in seconds. */
enum status ca_days(const struct asked *, unsigned long otherwise,
    int64_t *ret_s);
/* Fit for a line of the index. */
bool ca_plain(const char *text);

/* ca_revoke.c */
enum status ca_revoke(struct ca *);
enum status ca_crl(struct ca *);

#endif
