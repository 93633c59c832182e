/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 (RFC 8032) by GnuTLS: a device's key, and the proof that it has it.
 * A private key is its 32-byte seed.  Thread: any.
 */
#ifndef CT_TLS_ED25519_H
#define CT_TLS_ED25519_H

#include <stddef.h>
#include <stdint.h>

#define ED25519_KEY 32
#define ED25519_SIGNATURE 64

/* 0; -EACCES not a signature by that key; -EIO, -ENOMEM. */
int ed25519_verify(const uint8_t public_key[ED25519_KEY], const void *p,
    size_t n, const uint8_t signature[ED25519_SIGNATURE]);
/* A new key; the caller wipes the seed.  -EIO. */
int ed25519_generate(uint8_t ret_seed[ED25519_KEY],
    uint8_t ret_public[ED25519_KEY]);
int ed25519_public(const uint8_t seed[ED25519_KEY],
    uint8_t ret_public[ED25519_KEY]);
int ed25519_sign(const uint8_t seed[ED25519_KEY], const void *p, size_t n,
    uint8_t ret[ED25519_SIGNATURE]);

/*
 * What a device signs in its hello (doc/protocol.md, "A key"): context, nonce,
 * exporter value (RFC 9266; NULL: not bound), endpoint id.  Into
 * to[ED25519_HELLO_MAX]; returns its length, 0 if the id is too long.
 */
#define ED25519_HELLO_MAX (15 + 32 + 33 + 255)
size_t ed25519_hello(const uint8_t nonce[32], const uint8_t *exporter,
    const char *endpoint, uint8_t *to);

#endif
