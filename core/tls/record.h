/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detached TLS: the record layer of a connection whose handshake GnuTLS has
 * done and whose session is gone.  TLS 1.3 (RFC 8446 4.6.3, 5, 6) and the AEAD
 * suites of TLS 1.2 (RFC 5246 6, 7.2; RFC 5288, 6655, 7905).  It implements
 * transport_ops under the name "tls", tag 'T'; st->aead must be set for read,
 * write and shutdown.  Belongs to one worker's thread at a time.
 *
 * What this layer adds to the contract of base/transport.h:
 *
 * - read() needs room for a whole record in rx (16,640 bytes).  At its end it
 *   answers all KeyUpdate requests of the call with one, unless tx has no room;
 *   then the next write() puts it out first.  An alert for which tx has no room
 *   is not sent.
 * - After -EPIPE from read() the stream may still write; it owes a shutdown().
 * - write() after shutdown() or after an error is -EPIPE.  A tx that is empty
 *   but too small for a whole record gets a smaller one.
 * - shutdown() is -ENOBUFS when tx has no room for an alert,
 *   and can then be called again.  After an error it has nothing to say: 0.
 * - export() after an error is -EINVAL.
 * - Limits without a clock, so that no peer can keep us busy with records that
 *   carry nothing: TLS_RECORD_EMPTY_MAX empty records, TLS_RECORD_WARNING_MAX
 *   warnings or TLS_RECORD_TICKET_MAX tickets in a row, that is without data
 *   between them; TLS_RECORD_RENEGOTIATE_MAX attempts to renegotiate in all.
 *   KeyUpdates: TLS_RECORD_KEYUPDATE_BURST at once, and one more is allowed for
 *   every TLS_RECORD_KEYUPDATE_EVERY records of data.
 * - It starts a KeyUpdate of its own after TLS_RECORD_REKEY_AFTER records under
 *   one key, so never in bursts: a GnuTLS peer gives up at more than 8 a
 *   second.
 */
#ifndef CT_TLS_RECORD_H
#define CT_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transport;
struct transport_ops;

#define TLS_RECORD_PLAIN_MAX 16384	/* RFC 8446 5.1, RFC 5246 6.2.1 */
#define TLS_RECORD_LIMIT_MIN 63		/* RFC 8449 4: 64 with the type byte */

#define TLS_RECORD_EMPTY_MAX 64
#define TLS_RECORD_WARNING_MAX 8
#define TLS_RECORD_TICKET_MAX 32
#define TLS_RECORD_RENEGOTIATE_MAX 3	/* this one closes */
#define TLS_RECORD_KEYUPDATE_BURST 32
#define TLS_RECORD_KEYUPDATE_EVERY 4

/* A sixth of the bound for AES-GCM (2^24.5, RFC 8446 5.5), half of the one for
 * AES-CCM (2^23, RFC 9147 4.5.3). */
#define TLS_RECORD_REKEY_AFTER (UINT64_C(1) << 22)

/* What GnuTLS knew when gnutls_handshake() returned. */
struct tls_direction {
	uint8_t key[32];
	size_t key_len;
	uint8_t iv[12];			/* TLS 1.2 GCM and CCM: 4 bytes */
	size_t iv_len;
	uint64_t seq;			/* of the next record */
	uint8_t secret[48];		/* TLS 1.3: the traffic secret */
	size_t secret_len;		/* 0 for TLS 1.2 */
};

struct tls_detach {
	int version;			/* 0x0303, 0x0304 */
	int cipher;			/* gnutls_cipher_algorithm_t */
	int prf;			/* gnutls_mac_algorithm_t; only 1.3 */
	bool is_client;
	/*
	 * The most plaintext that the peer takes in a record: from its
	 * record_size_limit (RFC 8449) or max_fragment_length, less the type
	 * byte for 1.3; 16384 without either.
	 */
	uint16_t limit;
	/* The most content that we take in a record: 16384, or what the
	 * peer's max_fragment_length has bound both ends to. */
	uint16_t take;
	struct tls_direction rd, wr;
};

extern const struct transport_ops tls_record_ops;

/*
 * Copies what it needs; the caller wipes *d.  -EINVAL a field is out of range
 * or the cipher is none of AES-GCM, AES-CCM (16 byte tag), CHACHA20-POLY1305;
 * -EBADMSG (1.3) the secrets do not give the keys; -ENOMEM.
 */
int tls_record_new(const struct tls_detach *d, struct transport **ret);

/*
 * Tests only: has a KeyUpdate go out with the next write() (also write of 0
 * bytes); `ask_peer`: the peer is to do the same.  (GnuTLS 3.7.9 ends the
 * connection when that crosses with a request of its own, against RFC 8446
 * 4.6.3; nothing here asks by itself.)  -ENOTSUP for TLS 1.2; -EAGAIN when
 * nothing was sealed under the present key yet.
 */
int tls_record_rekey(struct transport *, bool ask_peer);

/* Tests only: KeyUpdate after so many records (1.3), and used up after so many
 * (1.2); 0 restores the real bounds. */
void tls_record_test_bounds(uint64_t rekey_after, uint64_t tls12_max);
/* Tests only: how many there are.  No checker of leaks sees them. */
size_t tls_record_test_count(void);

#endif
