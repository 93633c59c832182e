/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the record layer share; nobody else includes it.
 * record.c makes and frees, record_read.c opens records, record_message.c
 * understands alerts and handshake messages, record_reason.c names what went
 * wrong, record_write.c seals, record_export.c moves.  A transport belongs to
 * the thread of its channel.
 */
#ifndef CT_TLS_RECORD_PRIV_H
#define CT_TLS_RECORD_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/transport.h"
#include "tls/aead.h"
#include "tls/record.h"

#define REC_HEADER 5
#define REC_IV 12			/* place kept; TLS 1.2 GCM uses 4 */
#define REC_HS_HEADER 4
#define REC_KEYUPDATE 5			/* a whole KeyUpdate message */
/* The longest ticket that RFC 8446 4.6.1 allows, with room to spare; a
 * ClientHello is shorter. */
#define REC_SKIP_MAX 131400

enum rec_type {				/* RFC 8446 5.1 */
	REC_CCS = 20,
	REC_ALERT = 21,
	REC_HANDSHAKE = 22,
	REC_DATA = 23
};

enum rec_alert {			/* RFC 8446 6, RFC 5246 7.2 */
	ALERT_CLOSE_NOTIFY = 0,
	ALERT_UNEXPECTED_MESSAGE = 10,
	ALERT_BAD_RECORD_MAC = 20,
	ALERT_RECORD_OVERFLOW = 22,
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_ILLEGAL_PARAMETER = 47,
	ALERT_DECODE_ERROR = 50,
	ALERT_PROTOCOL_VERSION = 70,
	ALERT_INTERNAL_ERROR = 80,
	ALERT_USER_CANCELED = 90,
	ALERT_NO_RENEGOTIATION = 100
};

enum rec_dir { RD = 0, WR = 1 };

enum rec_flag {
	REC_13 = 0x01,			/* TLS 1.3, else 1.2 */
	REC_CLIENT = 0x02,		/* we are the client */
	REC_READ_CLOSED = 0x04,		/* close_notify came */
	REC_WRITE_CLOSED = 0x08,	/* close_notify or a fatal alert went */
	REC_FAILED = 0x10,
	REC_OWE_UPDATE = 0x20,		/* the peer asked for a KeyUpdate */
	REC_REKEY = 0x40,		/* we want one */
	REC_REKEY_ASK = 0x80		/* and the peer's as well */
};

/* What a cipher needs.  The index is the number in an export. */
struct rec_cipher {
	int gnutls_id;
	int prf13;			/* 0: not in TLS 1.3 */
	uint8_t secret_n;		/* of that hash */
	uint8_t key_n;
	uint8_t explicit12;		/* nonce bytes on the wire, TLS 1.2 */
	uint64_t max12;			/* records under one key, TLS 1.2 */
};
extern const struct rec_cipher rec_ciphers[];
#define REC_CIPHERS 5

/*
 * One connection.  Owned by its stream.  keys[] holds, for RD and then for WR:
 * secret (1.3 only), key, IV; it is as long as the cipher needs, since there is
 * one of these for every device.
 */
struct tls_record {
	struct transport t;
	uint64_t seq[2];
	uint64_t key_id[2];		/* aead_key_id() */
	uint32_t hs_skip;		/* bytes of a message to be ignored */
	uint16_t limit;			/* plaintext we may send in a record */
	uint16_t take;			/* ... and that we take */
	uint8_t flags;
	uint8_t cipher;			/* index of rec_ciphers */
	uint8_t hs[REC_HS_HEADER];	/* start of a handshake message */
	uint8_t hs_n;
	uint8_t empties, warnings, tickets, renegotiations;
	uint8_t update_credit;		/* in records of data */
	uint8_t reason;			/* enum rec_reason */
	uint8_t peer_alert;
	uint8_t keys[];
};

enum rec_reason {
	WHY_NONE, WHY_CLOSED, WHY_PEER_ALERT, WHY_BAD_MAC, WHY_TYPE,
	WHY_VERSION, WHY_TOO_LONG, WHY_TOO_SHORT, WHY_NO_TYPE, WHY_EMPTY,
	WHY_EMPTIES, WHY_ALERT_FORM, WHY_WARNINGS, WHY_INTERLEAVED, WHY_MESSAGE,
	WHY_MESSAGE_LONG, WHY_UPDATE_FORM, WHY_UPDATE_VALUE, WHY_UPDATE_LAST,
	WHY_UPDATES, WHY_TICKETS, WHY_RENEGOTIATE, WHY_SEQUENCE, WHY_USED_UP,
	WHY_MEMORY, REC_REASONS
};

static inline struct tls_record *
rec_of(struct transport *t)
{
	return (struct tls_record *)(void *)t;
}

static inline bool
rec_is(const struct tls_record *r, unsigned flag)
{
	return (r->flags & flag) != 0;
}

/* Where things lie in keys[]; inline, since every record asks for them. */
static inline size_t
rec_secret_n(const struct tls_record *r)
{
	return rec_is(r, REC_13) ? rec_ciphers[r->cipher].secret_n : 0;
}

static inline size_t
rec_direction_n(const struct tls_record *r)
{
	return rec_secret_n(r) + rec_ciphers[r->cipher].key_n + REC_IV;
}

static inline uint8_t *
rec_secret(struct tls_record *r, enum rec_dir dir)
{
	return r->keys + (size_t)dir * rec_direction_n(r);
}

static inline uint8_t *
rec_key(struct tls_record *r, enum rec_dir dir)
{
	return rec_secret(r, dir) + rec_secret_n(r);
}

static inline uint8_t *
rec_iv(struct tls_record *r, enum rec_dir dir)
{
	return rec_key(r, dir) + rec_ciphers[r->cipher].key_n;
}

/* Nonce bytes that travel with each record. */
static inline size_t
rec_explicit(const struct tls_record *r)
{
	return rec_is(r, REC_13) ? 0 : rec_ciphers[r->cipher].explicit12;
}

/* Header, explicit nonce, tag, and the type byte of 1.3. */
static inline size_t
rec_overhead(const struct tls_record *r)
{
	return REC_HEADER + rec_explicit(r) + AEAD_TAG_SIZE +
	    (rec_is(r, REC_13) ? 1 : 0);
}

/* record.c */
/* Zeroed but for ops, flags, cipher, key ids and credit.  NULL: no memory. */
struct tls_record *rec_alloc(unsigned flags, unsigned cipher);
/* Fills what both directions have in common; nonce and aad are the caller's
 * areas, `explicit` are the 8 wire bytes or NULL. */
struct aead_op rec_op(struct tls_record *, enum rec_dir,
    const uint8_t *explicit_nonce, uint8_t nonce[AEAD_NONCE_SIZE]);
/* TLS 1.2 (RFC 5246 6.2.3.3); aad has 13 bytes. */
void rec_aad12(uint64_t seq, uint8_t type, size_t n, uint8_t *aad);
/* Next secret, key and IV of one direction; sequence 0.  -ENOMEM. */
int rec_update(struct tls_record *, struct stage *, enum rec_dir);

/* record_write.c */
/* One record into tx.  -ENOBUFS, -ENOMEM, -EOVERFLOW (sequence). */
int rec_seal(struct tls_record *, struct stage *, uint8_t type,
    const uint8_t *p, size_t n);
/* A KeyUpdate that is owed or wanted, if any and if there is room. */
int rec_put_update(struct tls_record *, struct stage *);
ssize_t rec_write(struct transport *, struct stage *, const uint8_t *, size_t);
/* Tests only: room in tx for at least one record of n plaintext bytes. */
size_t rec_sealed_size(const struct transport *, size_t n);

/* record_message.c */
/* The flags are set; nobody needs the keys of what has ended (RFC 8446 6). */
void rec_end(struct tls_record *, struct stage *, unsigned flags,
    enum rec_reason);
/* Sends the alert, remembers why, ends both directions: -EPROTO. */
int rec_fail(struct tls_record *, struct stage *, enum rec_alert,
    enum rec_reason);
int rec_no_memory(struct tls_record *, struct stage *);
int rec_take_alert(struct tls_record *, struct stage *, const uint8_t *p,
    size_t n);
int rec_take_handshake(struct tls_record *, struct stage *, const uint8_t *p,
    size_t n);
/* Whether a handshake message of this type may come after the handshake. */
bool rec_may_come(const struct tls_record *, uint8_t message);
int rec_shutdown(struct transport *, struct stage *);

/* record_reason.c */
const char *rec_reason_text(const struct transport *);

/* record_read.c */
ssize_t rec_read(struct transport *, struct stage *, const uint8_t *, size_t);

/* record_export.c */
int rec_export(const struct transport *, struct outbuf *);
int rec_import(const uint8_t *, size_t, struct transport **);

#endif
