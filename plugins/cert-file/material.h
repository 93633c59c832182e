/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that the files of an instance hold, before a slot chooses. */
#ifndef MATERIAL_H
#define MATERIAL_H

#include "cert/bundle.h"
#include "cert/chain.h"
#include "options.h"

#define STAPLES_MAX 8
#define LIMITED_MAX 8
/* An unencrypted key is on disk then; everybody may read it. */
#define MODE_OTHERS 07u

struct material {
	struct cert_bundle *bundle;
	struct cert_bundle *anchors;	/* NULL: none were named */
	struct cert_chain *chain;	/* of every key that may be chosen */
	size_t chain_n;
	struct cert_blob staple[STAPLES_MAX];
	size_t staple_n;
	char open_key[256];		/* a key file that everybody may read */
	char skipped[CERT_WHY_SIZE];	/* directory: the last bad file */
	unsigned skipped_n;
	/* directory: what a limit kept out */
	char limited[LIMITED_MAX][CERT_WHY_SIZE];
	unsigned limited_n;		/* also those without room */
	char no_staple[256];		/* a file of ocsp that is not there */
};

/* Reads all files.  password: NULL for none.  why[CERT_WHY_SIZE] and negative
 * errno. */
int material_read(const struct config *, const char *password, int64_t now_s,
    char *why, struct material *ret);
/* The chains of what was put into the bundle (allocated here) by others. */
int material_chains(struct material *, const char *choose, int64_t now_s,
    char *why);
void material_fini(struct material *);

#endif
