/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that is looked at before a chain goes live.  Each failed check is
 * one line that names file, certificate and remedy.  The daemon, cert-file and
 * cleat-certmgr all judge by this and by nothing else.  Thread: any.
 */
#ifndef CT_CERT_CHECK_H
#define CT_CERT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cert/chain.h"

#define CERT_FINDINGS_MAX 32
#define CERT_FINDING_SIZE 400

enum cert_level {
	CERT_NOTE,			/* worth knowing */
	CERT_WARNING,			/* works, but not for
					 * everybody or long */
	CERT_ERROR			/* does not go live */
};

struct cert_finding {
	/* key, dates, chain, ca, usage, names, strength, staple, stray */
	const char *check;
	enum cert_level level;
	char text[CERT_FINDING_SIZE];	/* one line */
};

struct cert_findings {
	struct cert_finding f[CERT_FINDINGS_MAX];
	size_t n;
	unsigned errors, warnings;	/* also those that found no room */
};

/* Which checks are made; the others are left out. */
#define CERT_CHECK_KEY 0x01u		/* the key signs, the leaf verifies */
#define CERT_CHECK_DATES 0x02u		/* of all certificates */
#define CERT_CHECK_CHAIN 0x04u		/* signatures; to a root or an anchor */
#define CERT_CHECK_CA 0x08u		/* leaf is none, issuers are */
#define CERT_CHECK_USAGE 0x10u		/* key usage, extended key usage */
#define CERT_CHECK_NAMES 0x20u
#define CERT_CHECK_STRENGTH 0x40u	/* keys, hashes */
#define CERT_CHECK_STAPLE 0x80u
#define CERT_CHECK_STRAYS 0x100u	/* what is left out is named */
#define CERT_CHECK_ALL 0x1ffu

struct cert_check_spec {
	unsigned checks;		/* CERT_CHECK_* */
	int64_t now_s;			/* seconds since 1970 */
	/* Server names (also "*.x" and addresses) that the leaf must cover;
	 * NULL ends; NULL: none. */
	const char *const *names;
	/* Certificates that the chain has to reach; NULL: a root of its own is
	 * enough. */
	const struct cert_bundle *anchors;
	/* Without anchors: a certificate that comes alone, without the issuer
	 * that it names, is an error, not only a warning. */
	bool complete;
	/* Certificates of this bundle that are in none of `all` (NULL: in this
	 * chain) are named. */
	const struct cert_bundle *strays;
	const struct cert_chain *all;
	size_t all_n;
	/* OCSP response (DER) for the leaf; NULL: none. */
	const void *staple;
	size_t staple_n;
	bool client;			/* a client's certificate */
};

/* One more, after those that are as bad.  The text follows on the name of the
 * certificate. */
void cert_found(struct cert_findings *, const char *check, enum cert_level,
    const struct cert_item *, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Fills *ret, worst first.  -ENOMEM. */
int cert_check(const struct cert_chain *, const struct cert_check_spec *,
    struct cert_findings *ret);

/* What CERT_CHECK_STRAYS does, added to findings. */
void cert_check_strays(const struct cert_check_spec *,
    const struct cert_chain *, struct cert_findings *);

/* A signature of the key that the public key verifies: they belong together,
 * and the key is able to sign.  0 or a code of GnuTLS. */
struct gnutls_privkey_st;
struct gnutls_pubkey_st;
int cert_key_prove(struct gnutls_privkey_st *, struct gnutls_pubkey_st *);

/* Clocks of responders differ a little.  A response without nextUpdate says
 * that there is always a newer one (RFC 6960 4.2.2.1): GnuTLS takes it for
 * so long.  Seconds. */
#define CERT_STAPLE_SKEW_S 300
#define CERT_STAPLE_AGE_S (15 * 86400)

/* Whether an OCSP response (DER) says, at whatever time,
 * that the chain's leaf is good, and is its issuer's. */
bool cert_staple_fits(const struct cert_chain *, const void *der, size_t n);

const char *cert_level_name(enum cert_level);	/* "note", … */

#endif
