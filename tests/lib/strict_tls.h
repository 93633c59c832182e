/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS record peer for tests, written from the RFCs without any code of
 * core/tls: HKDF by HMAC, a fresh cipher handle for every record, GnuTLS's
 * scatter calls.  It sends whatever a test wants, also what is forbidden, and
 * checks strictly what it gets: above all that the answer to a KeyUpdate
 * request comes before the next data (RFC 8446 4.6.3), which no ordinary client
 * looks at.
 */
#ifndef CT_TEST_STRICT_TLS_H
#define CT_TEST_STRICT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_detach;

struct strict_suite {
	const char *name;
	int version, cipher, prf;
	size_t key_n, hash_n;		/* hash_n 0 for TLS 1.2 */
	bool explicit_nonce;
};
extern const struct strict_suite strict_suites[];
#define STRICT_SUITES 9
#define STRICT_SUITES_13 4		/* the first ones */

struct strict_half {
	uint8_t secret[48], key[32], iv[12];
	uint64_t seq;
};

struct strict_peer {
	const struct strict_suite *suite;
	struct strict_half out, in;	/* as the peer sees it */
	size_t limit;			/* plaintext it accepts in a record */
	bool asked;			/* it asked for a KeyUpdate */
	bool ended;			/* close_notify or a fatal alert came */
	/* what came */
	uint8_t data[160 * 1024];
	size_t data_n;
	unsigned records, updates, requests, warnings;
	int alert, level;		/* the last one, -1: none */
	const char *wrong;		/* the first rule broken, or NULL */
};

/* Secrets and keys from `seed`; *ret_detach is what the other side needs. */
void strict_init(struct strict_peer *, const struct strict_suite *,
    bool other_is_client, unsigned seed, struct tls_detach *ret_detach);
/* The peer of whoever has d. */
void strict_adopt(struct strict_peer *, const struct strict_suite *,
    const struct tls_detach *d);
/* Seals one record to `to`; for TLS 1.3 with `pad` zero bytes behind the type.
 * Returns its length. */
size_t strict_seal(struct strict_peer *, uint8_t type, const void *p, size_t n,
    size_t pad, uint8_t *to);
/* Like that, but the content of TLS 1.3 is taken as it is, type included. */
size_t strict_seal_inner(struct strict_peer *, const uint8_t *inner, size_t n,
    uint8_t *to);
/* Like that, with a header of the caller's choice, which is authenticated. */
size_t strict_seal_as(struct strict_peer *, uint8_t type, unsigned version,
    const uint8_t *inner, size_t n, uint8_t *to);
/* A KeyUpdate message, sealed; the peer's next record has the new key. */
size_t strict_key_update(struct strict_peer *, bool ask, uint8_t *to);
/* The key change alone, after a KeyUpdate sealed by hand. */
void strict_next_key(struct strict_half *, const struct strict_suite *);
/* Another TLS 1.3 secret, of n bytes, its keys and sequence 0. */
void strict_set_secret(struct strict_half *, const struct strict_suite *,
    const void *secret, size_t n);
/* Opens one record of n bytes under that key and counts it; the plaintext of
 * TLS 1.3 keeps padding and type.  Returns its length; -1: it does not open. */
ssize_t strict_open(const struct strict_peer *, struct strict_half *,
    const uint8_t *p, size_t n, uint8_t *to);
/* Takes whole records; false (see ->wrong) when a rule is broken. */
bool strict_take(struct strict_peer *, const uint8_t *p, size_t n);

#endif
