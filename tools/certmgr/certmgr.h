/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of cleat-certmgr share: what was asked for, what was found,
 * how it is told.  One thread.
 */
#ifndef CT_CERTMGR_H
#define CT_CERTMGR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/bundle.h"
#include "cert/chain.h"
#include "cert/check.h"
#include "cert/choose.h"
#include "cert/install.h"

#define NAMES_MAX 32
#define FILES_MAX 16
#define WORDS_MAX 4
#define PASSWORD_MAX 1024
#define CHAINS_MAX CERT_KINDS		/* side by side */

/* cleat-certmgr(1), EXIT STATUS */
enum status {
	STATUS_OK,
	STATUS_REFUSED,			/* certificate, key, password */
	STATUS_USAGE,
	STATUS_NOTHING,			/* nothing installed, nothing kept */
	STATUS_FILES,			/* cannot be read or written */
	STATUS_NOT_LIVE,		/* the daemon refused it, or too late */
	STATUS_UNREACHABLE,		/* no daemon to ask */
	STATUS_BROKEN			/* memory, output */
};

struct asked {
	const char *cert[FILES_MAX];	/* NULL ends; like all lists here */
	const char *key, *pkcs12;
	const char *pass, *pass_file, *pass_credential;
	bool pass_stdin;
	bool self, show, help, version, json, check, rollback, wait_live;
	const char *name[NAMES_MAX + 1];
	const char *ocsp[CHAINS_MAX + 1];
	const char *anchors;
	const char *directory, *owner, *socket, *slot;
	const char *timeout;
	/* ca */
	const char *word[WORDS_MAX];
	size_t words;
	const char *cn, *o, *ou, *days, *out, *reason;
	const char *out_pass_file;
	/* made of these */
	char password[PASSWORD_MAX];	/* wiped at the end */
	bool has_password;
	char default_dir[4096];
	uint64_t timeout_ms;
	int64_t now_s;
};

/* args.c: STATUS_OK or STATUS_USAGE (said).  A password in argv is wiped. */
enum status args_read(int argc, char **argv, struct asked *ret);
void args_help(void);

/* password.c: into a->password, or the first line of a file into
 * to[PASSWORD_MAX].  STATUS_USAGE, STATUS_FILES. */
enum status password_read(struct asked *a);
enum status password_file(const struct asked *, const char *path, char *to);

/* say.c.  A line to standard error.  say_error() is the end: with --json it is
 * also the object on standard output, and who gets its status says no more. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
enum status say_error(const struct asked *, enum status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What the errno of a function with `why` means for the exit. */
enum status status_of(int error);
/* Puts a text out, all of it.  STATUS_BROKEN (said). */
enum status put_out(const char *p, size_t n);

/* What is judged or shown. */
struct material {
	struct cert_bundle *bundle;
	struct cert_bundle *anchors;	/* NULL: none were named */
	struct cert_chain *all;		/* that were given; NULL: `chain` */
	size_t all_n;
	struct cert_chain chain[CHAINS_MAX];	/* that are served */
	size_t n;
	struct cert_findings found[CHAINS_MAX];
	struct cert_blob staple[CHAINS_MAX];	/* OCSP responses, DER */
	size_t staples_n;
	bool refused;			/* a check found an error */
	bool self_signed;		/* made by cleat-certmgr */
	char generation[CERT_GENERATION_SIZE];
};

/* material.c.  The nth response that fits a chain is in a file of that name. */
extern const char *const staple_file[CHAINS_MAX];
enum status material_given(struct asked *, struct material *ret);
enum status material_current(const struct asked *, struct material *ret);
/* The same; why[CERT_WHY_SIZE] is not said yet. */
enum status material_installed(const struct asked *, char *why,
    struct material *ret);
/* All checks, by which it chooses what is served of all that was given.  What
 * they found is not said yet. */
enum status material_check(const struct asked *, const struct material *now,
    struct material *);
/* Whether it is one of the chains'. */
bool material_fits(const struct material *, const struct cert_blob *staple);
void material_free(struct material *);

/* show.c */
enum status show(const struct asked *, const struct material *);
/* The findings, then `done` (NULL: nothing); with --json all in one object. */
enum status report(const struct asked *, const struct material *,
    enum status, const char *done);

/* put.c: installs. */
enum status put_given(struct asked *);
enum status put_self(struct asked *);
enum status put_back(struct asked *);

/* live.c: returns when the daemon serves the leaves of the material, which are
 * installed; what failed since then is told. */
enum status live_wait(const struct asked *, const struct material *);

/* ca.c */
enum status ca_run(struct asked *);

#endif
