/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials and snapshots (decision 7).  A credential is one certificate chain
 * with its key.  A snapshot is everything a handshake needs: slots by server
 * name, what each listener asks of clients, ticket master, policy, ACME
 * challenge certificates.  Both are immutable and reference-counted: they are
 * built and checked completely on a thread that may block, handed to the workers
 * by mailbox, and each handshake holds the snapshot it started with until it ends.
 *
 * Every constructor writes one line into why[TLS_WHY_SIZE] when it fails.
 */
#ifndef CT_TLS_SNAPSHOT_H
#define CT_TLS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_WHY_SIZE 256
#define TLS_TICKET_MASTER_SIZE 64
#define TLS_CHALLENGES_MAX 64

struct tls_cred;
struct tls_snapshot;
struct tls_sign_job;

/*
 * Signs with a key that is elsewhere (token, remote signer).  `request` is
 * called on the worker's thread inside a handshake, must not block, and
 * answers later from any thread with tls_sign_done(); it may not call it itself.
 * A negative return fails the handshake.
 */
struct tls_signer {
	int (*request)(void *ctx, const char *key_id, int sign_algorithm,
	    const void *data, size_t n, struct tls_sign_job *job);
	void *ctx;
};

/* Answers a request; copies sig.  error: 0, or negative errno (sig ignored).
 * Any thread, exactly once for each job, also after its handshake was given up. */
void tls_sign_done(struct tls_sign_job *job, int error, const void *sig,
    size_t n);

/*
 * Chain (leaf first, PEM) and private key (PEM, unencrypted).  Checks that the
 * key belongs to the leaf.  ocsp_der may be NULL.  Blocking (signs once).
 * -EINVAL with why, -ENOMEM.
 */
int tls_cred_new(const void *chain_pem, size_t chain_n, const void *key_pem,
    size_t key_n, const void *ocsp_der, size_t ocsp_n, char *why,
    struct tls_cred **ret);
/* The same with an external key: the public key of the leaf tells its type. */
int tls_cred_new_external(const void *chain_pem, size_t chain_n,
    const struct tls_signer *, const char *key_id, char *why,
    struct tls_cred **ret);
struct tls_cred *tls_cred_ref(struct tls_cred *);
void tls_cred_unref(struct tls_cred **);

/* What is in a credential, for status and events.  Text is UTF-8. */
struct tls_cred_info {
	uint8_t sha256[32];
	char subject[256], issuer[256], names[512];	/* names: ", " between */
	int64_t not_before, not_after;			/* seconds since 1970 */
	bool self_signed, external;
	char key[32];					/* "EC/ECDSA 256 bits" */
};
void tls_cred_info(const struct tls_cred *, struct tls_cred_info *ret);

enum tls_client_auth {
	TLS_CLIENT_OFF, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED
};

#define TLS_SLOT_CREDS 2		/* ECDSA/EdDSA and RSA side by side */
struct tls_slot_spec {
	const char *name;		/* slot name, for logs */
	const char *const *names;	/* server names, "*.x" allowed; NULL ends */
	bool is_default;
	struct tls_cred *cred[TLS_SLOT_CREDS];	/* NULL = none */
};
struct tls_listener_spec {
	enum tls_client_auth client_auth;
	const void *ca_pem;		/* trust anchors for client certificates */
	size_t ca_n;
};
/* An ACME tls-alpn-01 certificate (RFC 8737), found by ALPN and name. */
struct tls_challenge_spec {
	const char *name;
	struct tls_cred *cred;
};
struct tls_snapshot_spec {
	const struct tls_slot_spec *slots;
	size_t slots_n;
	const struct tls_listener_spec *listeners;	/* by listener index */
	size_t listeners_n;
	const struct tls_challenge_spec *challenges;
	size_t challenges_n;
	const char *priority;		/* NULL or "": the default policy */
	const uint8_t *ticket_master;	/* TLS_TICKET_MASTER_SIZE; NULL: none */
	uint32_t ticket_lifetime_s;
};

/* Copies or references all it needs.  -EINVAL with why, -ENOMEM. */
int tls_snapshot_new(const struct tls_snapshot_spec *, char *why,
    struct tls_snapshot **ret);
struct tls_snapshot *tls_snapshot_ref(struct tls_snapshot *);
void tls_snapshot_unref(struct tls_snapshot **);

/* Checks a priority string against the policy: TLS 1.2 and 1.3 only, no CBC, no
 * SHA-1, AEAD suites left for at least one of them.  -EINVAL with why. */
int tls_policy_check(const char *priority, char *why);
/* The built-in default as it goes to GnuTLS. */
const char *tls_policy_default(void);

/* Reads the ticket master from `path`, or makes it there (0600).  A file that
 * others may read is refused (-EPERM).  rotate_s: replaced when older; 0 never.
 * Blocking. */
int tls_ticket_master_load(const char *path, uint64_t rotate_s, char *why,
    uint8_t ret[TLS_TICKET_MASTER_SIZE]);

/* Once a process, before threads.  -ENOSYS with why: library too old. */
int tls_global_init(char *why);

#endif
