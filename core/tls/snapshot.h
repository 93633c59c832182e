/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials and snapshots (decision 0005).  A credential is one certificate
 * chain with its key.  A snapshot is everything a handshake needs: slots by
 * server name, what each listener asks of clients, ticket master, policy, ACME
 * challenge certificates.  Both are immutable and reference-counted: they are
 * built and checked completely on a thread that may block, handed to the
 * workers by mailbox, and each handshake holds the snapshot it started with
 * until it ends.
 *
 * Every constructor writes one line into why[TLS_WHY_SIZE] when it fails; `why`
 * may be NULL.  Thread: any, if not said otherwise.
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
struct tls_proof;
struct tls_sign_job;
struct tls_trust;

/*
 * Signs with a key that is elsewhere (token, remote signer).  `request` is
 * called on the worker's thread inside a handshake, on a small stack (48 KiB
 * are left), must not block, and is answered from any thread, also from inside
 * the call, with tls_sign_done().  A negative return fails the handshake: then
 * there must be no answer.
 *
 * sign_algorithm is a TLS SignatureScheme (RFC 8446 4.2.3): ecdsa_* 0x0403
 * 0x0503 0x0603, rsa_pss_rsae_* 0x0804-0x0806, rsa_pss_pss_* 0x0809-0x080b,
 * rsa_pkcs1_* 0x0401 0x0501 0x0601 (TLS 1.2 only), ed25519 0x0807.  For ed25519
 * `data` is the message; for all others it is the hash, made with the scheme's
 * algorithm (for rsa_pkcs1_* without the DigestInfo around it).  In TLS 1.2 an
 * ecdsa scheme names the hash only; the curve is the key's.  `data` is
 * valid during the call.  The signature is as TLS carries it: DER for ECDSA.
 */
struct tls_signer {
	int (*request)(void *ctx, const char *key_id, int sign_algorithm,
	    const void *data, size_t n, struct tls_sign_job *job);
	void *ctx;
};

/* Answers a request; copies sig.  error: 0, or negative errno (sig ignored).
 * Any thread, exactly once for each job, also after its handshake was given
 * up. */
void tls_sign_done(struct tls_sign_job *job, int error, const void *sig,
    size_t n);

/*
 * Chain (PEM) and private key (PEM, unencrypted).  The leaf is the certificate
 * of the key; its issuers follow in any order, and certificates that issued
 * none of them are left out (cert/chain.h).  Checks that the key belongs to the
 * leaf and what clients would refuse: signatures in the chain, SHA-1, RSA below
 * 2048 bits, key usage.  Dates are for the caller to judge (tls_cred_info).
 * ocsp_der may be NULL; if it is there it must say that the leaf is good.  It
 * is sent as long as it is not out of date.  Blocking (signs once).  -EINVAL
 * with why, -ENOMEM.
 */
int tls_cred_new(const void *chain_pem, size_t chain_n, const void *key_pem,
    size_t key_n, const void *ocsp_der, size_t ocsp_n, char *why,
    struct tls_cred **ret);
/* The same with an external key: the leaf comes first, and its public key tells
 * the type.  The signer must outlive every snapshot with this credential. */
int tls_cred_new_external(const void *chain_pem, size_t chain_n,
    const struct tls_signer *, const char *key_id, const void *ocsp_der,
    size_t ocsp_n, char *why, struct tls_cred **ret);
struct tls_cred *tls_cred_ref(struct tls_cred *);
void tls_cred_unref(struct tls_cred **);

/* What is in a credential, for status and events.  Text is UTF-8. */
struct tls_cred_info {
	uint8_t sha256[32];
	char subject[256], issuer[256];
	char names[1024];			/* ", " between them */
	int64_t not_before, not_after;			/* seconds since 1970 */
	int64_t staple_until;		/* of the OCSP response; 0: none */
	bool self_signed, external;
	char key[32];				/* "EC/ECDSA 256 bits" */
};
void tls_cred_info(const struct tls_cred *, struct tls_cred_info *ret);

enum tls_client_auth {
	TLS_CLIENT_OFF, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED
};

#define TLS_SLOT_CREDS 2		/* ECDSA/EdDSA and RSA side by side */
struct tls_slot_spec {
	const char *name;		/* slot name, for logs */
	const char *const *names;	/* "*.x" allowed; NULL ends; or NULL */
	bool is_default;
	struct tls_cred *cred[TLS_SLOT_CREDS];	/* NULL = none */
	/* The caller's for each of them: what a handshake that it served tells
	 * (tls_peer.served).  0: none. */
	uint16_t number[TLS_SLOT_CREDS];
};
struct tls_listener_spec {
	enum tls_client_auth client_auth;
	struct tls_trust *trust;	/* of clients; NULL with OFF */
	const char *priority;		/* NULL or "": that of all */
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
	uint32_t ticket_lifetime_s;	/* 0: 6 h; at most 7 days (RFC 8446) */
};

/*
 * Copies or references all it needs.  -EINVAL with why, -ENOMEM.
 * A server name is looked up exactly, then as "*." and the rest, in all slots;
 * an unknown or missing one gets the default slot; without one the handshake
 * fails (-ENOKEY).  Of a slot's credentials the first that the client can
 * verify is used.  Tickets are bound to the listener's client_auth and to the
 * policy: with another of these they mean a full handshake.  The client
 * certificate in a ticket is judged again whenever it comes back.
 */
int tls_snapshot_new(const struct tls_snapshot_spec *, char *why,
    struct tls_snapshot **ret);
struct tls_snapshot *tls_snapshot_ref(struct tls_snapshot *);
void tls_snapshot_unref(struct tls_snapshot **);
/* Whether what the listener let in once would be let in now
 * (tls_trust_holds()); true where it asks for no certificates. */
bool tls_snapshot_holds(const struct tls_snapshot *, unsigned listener,
    const struct tls_proof *, const char **ret_why);
/* Whether both judge clients by the same trusts. */
bool tls_snapshot_same_trust(const struct tls_snapshot *,
    const struct tls_snapshot *);

/* Tests only: checks a priority string (NULL or "": the default) against the
 * policy: TLS 1.2 and 1.3 only; AES-GCM and CHACHA20-POLY1305 only; ECDHE with
 * a certificate (ECDHE-PSK, DHE-PSK and PSK may be added for resumption); no
 * SHA-1. -EINVAL with why, -ENOMEM. */
int tls_policy_check(const char *priority, char *why);
/* The built-in default as it goes to GnuTLS. */
const char *tls_policy_default(void);

/* Reads the ticket master from `path`, or makes it there (0600).  A file that
 * others may read is refused (-EPERM), one of another size too (-EINVAL).
 * rotate_s: replaced when older; 0 never.  Blocking.  -errno with why. */
int tls_ticket_master_load(const char *path, uint64_t rotate_s, char *why,
    uint8_t ret[TLS_TICKET_MASTER_SIZE]);
/* Reads one that several nodes share from "/PATH", or "credential:NAME" of the
 * service; never writes.  Refused as above, and when it was not random.
 * Blocking.  -errno with why. */
int tls_ticket_master_share(const char *where, char *why,
    uint8_t ret[TLS_TICKET_MASTER_SIZE]);

/* Once a process, before threads.  -ENOSYS with why: library too old. */
int tls_global_init(char *why);

#endif
