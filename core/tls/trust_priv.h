/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the peer policy share.  A trust is constant once made, and
 * any thread's. */
#ifndef CT_TLS_TRUST_PRIV_H
#define CT_TLS_TRUST_PRIV_H

#include <stdatomic.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls/pins.h"
#include "tls/review.h"
#include "tls/trust.h"

#define TLS_WEAKNESSES_MAX 8
#define TLS_WEAKNESS_SIZE 200

enum tls_san_kind { TLS_SAN_DNS, TLS_SAN_URI, TLS_SAN_IP };

struct tls_san {
	enum tls_san_kind kind;
	char *text;			/* without its kind */
	bool open;			/* dns: "*." before it; uri:
					 * "*" behind */
	uint8_t addr[16];
	uint8_t addr_n;			/* ip: 4 or 16 */
};

struct tls_trust {
	atomic_uint refs;
	bool of_clients, any_chain, self_signed, any_name, any_of;

	gnutls_x509_crt_t *ca;
	unsigned ca_n;
	uint8_t (*anchor)[TLS_MARK_SIZE];	/* of ca, sorted */
	unsigned crls;
	int64_t crl_next_update;
	uint8_t (*revoked)[TLS_MARK_SIZE];	/* sorted */
	size_t revoked_n;

	char *field[TLS_TRUST_FIELDS];
	struct tls_san *san;
	size_t sans_n;
	uint8_t (*fingerprint)[32];	/* sorted */
	size_t fingerprints_n;
	struct tls_pin pins[TLS_PINS_MAX];
	unsigned pins_n;

	char weakness[TLS_WEAKNESSES_MAX][TLS_WEAKNESS_SIZE];
	unsigned weaknesses_n;
};

/* trust_list.c: the criteria, from their texts. */
int tls_trust_lists(struct tls_trust *, const struct tls_trust_spec *,
    char *why);
void tls_trust_lists_free(struct tls_trust *);

/* trust_crl.c: adds to t->revoked, unsorted; t->ca is complete. */
int tls_trust_crl(struct tls_trust *, const struct tls_blob *, char *why);

/* trust.c: sorted arrays of marks and fingerprints. */
bool tls_mark_in(const uint8_t (*list)[TLS_MARK_SIZE], size_t n,
    const uint8_t *mark);
bool tls_trust_listed(const struct tls_trust *, const uint8_t sha256[32]);
/* Whether fingerprints have to be right, whatever else is. */
bool tls_trust_fingerprints_rule(const struct tls_trust *);
/* Blob of PEM, to be read so? */
bool tls_blob_is_pem(const struct tls_blob *);
/* Does it hold a block of that kind ("CERTIFICATE")? */
bool tls_blob_has(const struct tls_blob *, const char *kind);

/* trust_path.c */
/* Subject and key of a certificate.  -EINVAL. */
int tls_mark_id(gnutls_x509_crt_t, uint8_t ret[TLS_MARK_SIZE]);
/* Issuer's mark and a serial number as DER has it. */
int tls_mark_serial(const uint8_t issuer[TLS_MARK_SIZE], const uint8_t *serial,
    size_t n, uint8_t ret[TLS_MARK_SIZE]);
/* `by` signed `what`, whatever their dates. */
bool tls_signed_by(gnutls_x509_crt_t what, gnutls_x509_crt_t by);

/* From a leaf upwards; each step is a signature that was verified. */
struct tls_path {
	gnutls_x509_crt_t crt[TLS_PATH_MAX];
	unsigned n;
	bool anchored;			/* the last one is an anchor */
	gnutls_x509_crt_t own;		/* to be freed; NULL none */
};
/* sent[0] is the leaf.  The path borrows its certificates. */
void tls_path_find(const struct tls_trust *,
    gnutls_certificate_credentials_t, gnutls_x509_crt_t *sent, unsigned n,
    struct tls_path *ret);
void tls_path_fini(struct tls_path *);

/* trust_match.c: are the criteria met?  0, or -EACCES with why; -EINVAL the
 * certificate cannot be read. */
struct tls_match {
	char why[512];
	/* The fingerprint or the leaf's own key is one that is listed. */
	bool listed;
	struct tls_review *review;	/* the caller's; NULL: none wanted */
};
int tls_trust_match(const struct tls_trust *, const struct tls_path *,
    const uint8_t sha256[32], struct tls_match *ret);

/* trust_review.c: one more fault of an item; nothing when review is NULL. */
void tls_review_fault(struct tls_review *, enum tls_review_item,
    enum tls_review_state, const char *text);
/* It is met, if nothing was wrong so far. */
void tls_review_met(struct tls_review *, enum tls_review_item);

/* trust_judge.c */
struct tls_judgement {
	int error;			/* 0, -EACCES, -ENOMEM */
	gnutls_alert_description_t alert;
	/* "is expired": goes on after "client certificate ". */
	char why[512];
	/* Anchored, or listed by fingerprint or pin; else whoever showed it has
	 * proved nothing but that it has some key. */
	bool proved;
	struct tls_proof proof;
};
/* Puts the anchors where a session finds them. */
int tls_trust_apply(const struct tls_trust *,
    gnutls_certificate_credentials_t, char *why);
/*
 * Judges the certificates that the peer has shown, in a handshake or in the
 * ticket that it came back with.  host: NULL none.  There must be one.  review
 * (NULL: none) is filled with all that is to be said;
 * without it the first fault ends the work.
 */
void tls_trust_judge(const struct tls_trust *, gnutls_session_t,
    gnutls_certificate_credentials_t, const char *host,
    struct tls_review *review, struct tls_judgement *ret);

#endif
