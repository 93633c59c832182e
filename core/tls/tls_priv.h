/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of credentials, snapshots and handshakes, shared by the files of
 * core/tls that implement them and by nobody else.
 */
#ifndef CT_TLS_PRIV_H
#define CT_TLS_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/mailbox.h"
#include "tls/handshake.h"
#include "tls/snapshot.h"
#include "tls/trust_priv.h"

/* ---- credentials (cred.c, signer.c) ---- */

#define TLS_CHAIN_MAX 16
#define TLS_PEM_MAX (1024 * 1024)

struct tls_cred {
	atomic_uint refs;
	gnutls_pcert_st pcert[TLS_CHAIN_MAX];
	unsigned pcert_n;
	gnutls_ocsp_data_st ocsp;	/* leaf's; response.data NULL: none */
	int64_t staple_from, staple_until;	/* seconds since 1970 */
	gnutls_privkey_t key;
	gnutls_pk_algorithm_t pk;
	unsigned bits;
	struct tls_signer signer;	/* request NULL: the key is here */
	char *key_id;
	struct tls_cred_info info;
};

/* Whether it has an OCSP response that is not out of date at that time. */
bool tls_cred_staples(const struct tls_cred *, int64_t now_s);
/* The signature algorithms that a key of this type can do, in TLS. */
bool tls_sign_fits(gnutls_pk_algorithm_t pk, unsigned bits,
    gnutls_sign_algorithm_t);
/* Makes *key a key whose signatures come from c->signer. */
int tls_signer_import(struct tls_cred *c, gnutls_privkey_t key);

/* One outstanding signature.  Its memory is the handshake's; the signer's
 * thread owns it between request and tls_sign_done(). */
#define TLS_SIGNATURE_MAX 1024		/* RSA with 8192 bits */
struct tls_sign_job {
	struct mail mail;
	struct mailbox *mailbox;
	int error;
	size_t n;
	uint8_t sig[TLS_SIGNATURE_MAX];
};

/* ---- snapshots (snapshot.c, select.c) ---- */

struct tls_slot {
	char *name;
	char **names;			/* lower case, no trailing dot */
	size_t names_n;
	struct tls_cred *cred[TLS_SLOT_CREDS];
	uint16_t number[TLS_SLOT_CREDS];	/* the caller's */
};

struct tls_listener {
	enum tls_client_auth client_auth;
	struct tls_trust *trust;	/* NULL: no client certificates */
	gnutls_certificate_credentials_t xcred;
	gnutls_priority_t priority;	/* NULL: the snapshot's */
	/* Derived from the master and the mode: a ticket is worth nothing at a
	 * listener that would have asked something else. */
	uint8_t ticket_key[TLS_TICKET_MASTER_SIZE];
};

struct tls_challenge {
	char *name;
	struct tls_cred *cred;
};

struct tls_snapshot {
	atomic_uint refs;
	gnutls_priority_t priority;
	struct tls_slot *slots;
	size_t slots_n;
	const struct tls_slot *fallback;	/* the default slot, or NULL */
	struct tls_listener *listeners;
	size_t listeners_n;
	struct tls_challenge *challenges;
	size_t challenges_n;
	bool has_tickets, has_external;
	uint32_t ticket_lifetime_s;
};

/* GnuTLS asks which credential to use (select.c). */
gnutls_certificate_retrieve_function3 tls_select_cred;
/* The number of what would be shown to a client that needs to see nothing,
 * as it resumes; 0 none (select.c). */
uint16_t tls_select_unseen(gnutls_session_t);
/* Was acme-tls/1 agreed on? */
bool tls_select_challenge(gnutls_session_t);
/* GnuTLS asks whether the client's certificate is good (peer.c). */
gnutls_certificate_verify_function tls_peer_verify;

/* ---- handshakes (handshake.c, hs_record.c, refuse.c, hello.c, peer.c,
 *      detach.c) ---- */

#define TLS_RECORD_HEADER 5
#define TLS_ALPN_HTTP "http/1.1"
#define TLS_ALPN_ACME "acme-tls/1"	/* RFC 8737 */
#define TLS_SERVER_NAME_MAX 255

struct tls_worker {
	struct mailbox *mailbox;
	struct coro_pool *stacks;
	size_t suspended;
};

enum hs_state {
	HS_OPEN,			/* wants wire bytes */
	HS_SUSPENDED,			/* a signer has the job */
	HS_ANSWERED,			/* the next step resumes the stack */
	HS_DONE, HS_CHALLENGE, HS_FAILED
};

/* From the ClientHello (hello.c), the last one when there were two. */
struct tls_hello {
	uint16_t record_limit;		/* as on the wire; 0: not there */
	bool suite_ecdsa, suite_rsa;	/* TLS 1.2 ECDHE by certificate */
};

struct tls_handshake {
	uint32_t magic;
	enum hs_state state;
	struct tls_worker *worker;
	struct tls_snapshot *snapshot;
	const struct tls_listener *listener;
	void (*resumed)(void *);
	void *ctx;
	gnutls_session_t session;

	struct stage *st;		/* of the present step; NULL outside */
	const uint8_t *rec;		/* the one record GnuTLS may read */
	size_t rec_n;
	uint8_t head[TLS_RECORD_HEADER];	/* in place of its header */
	size_t head_n;			/* still to be read of that */
	bool ccs_seen;
	uint8_t msg_head[4];		/* of a message in plain records */
	uint8_t msg_head_n;
	uint32_t msg_left;
	size_t total;			/* wire bytes taken so far */
	bool tx_full;

	struct coro *coro;		/* while it runs or is suspended */
	bool given_up;
	int rc;				/* of gnutls_handshake() */
	struct tls_sign_job job;
	int signer_error;		/* why the external signature failed */

	struct tls_hello hello;
	uint16_t served;		/* number of what was shown; 0 none */
	bool no_cred;			/* nothing to show for that name */
	bool challenge;			/* acme-tls/1 was chosen */
	bool peer_refused;		/* its certificate, with reason */
	gnutls_alert_description_t peer_alert;
	bool proved;			/* the client's certificate counts */
	struct tls_proof proof;
	unsigned warnings;
	uint8_t secret_rd[48], secret_wr[48];
	size_t secret_n;		/* TLS 1.3 application secrets */
	char reason[384];
};

static inline struct tls_handshake *
tls_session_handshake(gnutls_session_t s)
{
	return gnutls_session_get_ptr(s);
}

/* Looks into a ClientHello before GnuTLS does (hello.c). */
void tls_hello_look(struct tls_hello *, const gnutls_datum_t *msg);
/* ... and into the client's Certificate: GnuTLS checks the signature in the
 * CertificateVerify of TLS 1.3 before it asks anybody.  0, or a GnuTLS error
 * with h->reason (peer.c). */
int tls_peer_look(struct tls_handshake *, const gnutls_datum_t *msg);
/* Plaintext that the peer takes in a record (hello.c). */
uint16_t tls_hello_limit(const struct tls_handshake *);
/* ... and that it may send us in one. */
uint16_t tls_hello_take(const struct tls_handshake *);

/* How long the record at p is with its header, 0: more bytes are needed;
 * h->head is what GnuTLS gets for its header.  -EPROTO, -EMSGSIZE
 * (hs_record.c). */
ssize_t tls_hs_record(struct tls_handshake *, const uint8_t *p, size_t n);

/* After a resumption: is what the ticket says of the peer still good?  0 or
 * -EACCES with h->reason and *ret_alert (peer.c). */
int tls_peer_recheck(struct tls_handshake *, gnutls_alert_description_t *);
/* The client's certificate was refused: reason and alert (peer.c). */
void tls_peer_refused(struct tls_handshake *, int gnutls_error,
    gnutls_alert_description_t *ret);
/* Everything that is to be kept of the peer.  -EACCES, -EIO, -ENOMEM. */
int tls_peer_fill(struct tls_handshake *, struct tls_peer *ret);

/* Takes the keys out of the session (detach.c).  -EPROTO, -ENOMEM. */
int tls_detach_session(struct tls_handshake *, struct transport **ret);
/* A gnutls_handshake_secret_func (detach.c). */
int tls_detach_secret(gnutls_session_t, gnutls_record_encryption_level_t,
    const void *rd, const void *wr, size_t n);

/* Ends the handshake with a reason; returns `error` (refuse.c). */
int tls_fail(struct tls_handshake *, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with an alert for the peer. */
int tls_refuse(struct tls_handshake *, gnutls_alert_description_t, int error,
    const char *why);
void tls_refuse_alert(struct tls_handshake *, gnutls_alert_description_t);
/* The peer's alert: -ECONNABORTED. */
int tls_refuse_peer_alert(struct tls_handshake *);
/* A fatal result of gnutls_handshake(): reason, alert, errno. */
int tls_refuse_result(struct tls_handshake *, int gnutls_error);
/* p[0..n) is how something else than TLS begins: -EPROTO. */
int tls_refuse_foreign(struct tls_handshake *, const uint8_t *p, size_t n);

/* A request's suspension and its answer (handshake.c). */
void tls_handshake_suspend(struct tls_handshake *);

#endif
