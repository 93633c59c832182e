/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom to believe: the one policy for the other side of a TLS session,
 * whichever side we are (doc/security.md).  The listener judges client
 * certificates with it, the agent and the client library judge the server.  A
 * chain to an anchor, dates and purpose (RFC 5280), revocation lists, the name,
 * and what else the operator asks of the certificate: the six fields of the
 * EMS, alternative names, fingerprints, pinned keys.
 *
 * A trust is immutable and reference-counted.  It never accepts because
 * something could not be looked at.  Thread: any.
 */
#ifndef CT_TLS_TRUST_H
#define CT_TLS_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_trust;

/* Lists of fingerprints and names; longer ones are refused. */
#define TLS_TRUST_LIST_MAX 4096
#define TLS_TRUST_SANS_MAX 64
/* Certificates from the leaf to the anchor. */
#define TLS_PATH_MAX 6
#define TLS_MARK_SIZE 16

enum tls_trust_field {
	TLS_SUBJECT_CN, TLS_SUBJECT_O, TLS_SUBJECT_OU,
	TLS_ISSUER_CN, TLS_ISSUER_O, TLS_ISSUER_OU, TLS_TRUST_FIELDS
};

/* A file, as it is: certificates in any format of cert/bundle.h,
 * or PEM with any number of revocation lists in it, or one in DER. */
struct tls_blob {
	void *p;
	size_t n;
	char *name;			/* for messages; NULL: none */
	bool among_others;		/* may hold nothing of the kind */
};

/* NULL and "" are the same in all texts. */
struct tls_trust_spec {
	bool of_clients;		/* the peers are clients,
					 * else servers */
	/* Anchors; none: the system's (of_clients: nobody). */
	const struct tls_blob *ca;
	size_t ca_n;
	/* Each must be signed by a certificate of `ca`. */
	const struct tls_blob *crl;
	size_t crl_n;

	/* Weakenings. */
	bool any_chain;			/* any issuer, any dates, any purpose */
	bool self_signed;		/* one signed by itself will do */
	bool any_name;			/* the host's name is not compared */
	bool any_of;			/* one of the criteria
					 * below is enough */

	/* Criteria; those that are there must all be met. */
	const char *field[TLS_TRUST_FIELDS];	/* exactly that value */
	/* One of them: "dns:NAME", "dns:*.NAME", "uri:URI", "uri:PREFIX*",
	 * "ip:ADDRESS". */
	const char *sans;
	/* SHA-256 of the certificate, in hexadecimal, with or without colons;
	 * one of them. */
	const char *fingerprints;
	const char *pins;		/* pins_parse(); one of them */
};

/* Blocking (the system's trust store).  -EINVAL with why[TLS_WHY_SIZE] (may be
 * NULL), -ENOMEM. */
int tls_trust_new(const struct tls_trust_spec *, char *why,
    struct tls_trust **ret);
struct tls_trust *tls_trust_ref(struct tls_trust *);
void tls_trust_unref(struct tls_trust **);

/* The i-th thing that makes it weaker than it could be, as one line, or NULL
 * behind the last. */
const char *tls_trust_weakness(const struct tls_trust *, unsigned i);

struct tls_trust_info {
	unsigned anchors;		/* 0: the system's */
	unsigned crls;
	size_t revoked;			/* certificates that they name */
	int64_t crl_next_update;	/* s since 1970,
					 * of the first due; 0 none */
};
void tls_trust_info(const struct tls_trust *, struct tls_trust_info *ret);

/*
 * What is kept of a certificate that was accepted, to judge it again while its
 * channel lives.  Marks are hashes: `id` names a certificate by subject and
 * public key (so that a CA that was renewed is the same one), `serial` by
 * issuer and serial number.
 */
struct tls_mark {
	uint8_t id[TLS_MARK_SIZE], serial[TLS_MARK_SIZE];
};
struct tls_proof {
	uint8_t sha256[32];		/* of the leaf */
	int64_t not_after;		/* s since 1970 */
	bool anchored;			/* a chain to an anchor was verified */
	uint8_t path_n;
	struct tls_mark path[TLS_PATH_MAX];	/* leaf first */
};

/* Whether what was accepted once would be today: its anchor is still there, no
 * certificate below it is revoked, and its fingerprint is still allowed if
 * fingerprints decide.  *ret_why (may be NULL) says what is not. */
bool tls_trust_holds(const struct tls_trust *, const struct tls_proof *,
    const char **ret_why);

/* ---- files -------------------------------------------------------------- */

#define TLS_BLOB_MAX (16 * 1024 * 1024)	/* of a file, and of all of a set */
#define TLS_BLOBS_MAX 4096

struct tls_blobs {
	struct tls_blob *blob;
	size_t n;
};
/* Reads `path`: a file, or every file of a directory whose name does not begin
 * with a dot.  Blocking.  -errno, -EFBIG, -ENOENT the directory is empty, with
 * why[TLS_WHY_SIZE] (may be NULL); -ENOMEM. */
int tls_blobs_read(const char *path, char *why, struct tls_blobs *ret);
void tls_blobs_free(struct tls_blobs *);
/* Changes when the file does, or one of the directory; 0: it cannot be read.
 * Blocking. */
uint64_t tls_blobs_stamp(const char *path);

#endif
