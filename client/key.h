/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's own key (Ed25519, RFC 8032): made once, kept in a file that only
 * its owner reads, never shown.  And what has to be signed at hello
 * (doc/protocol.md, "A key").  Any thread; one key at a time.
 */
#ifndef CT_CLIENT_KEY_H
#define CT_CLIENT_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_key;

/*
 * Reads the file (the seed in hexadecimal digits), or makes key and file (0600,
 * atomically, durable) when there is none.  Blocking.  *ret_made says which.
 * -EINVAL not such a key, -EPERM others may read the file, -EIO, -errno of the
 * file, -ENOMEM.
 */
int client_key_open(const char *path, struct client_key **ret, bool *ret_made);
void client_key_free(struct client_key **);

/* 64 hexadecimal digits, owned by the key. */
const char *client_key_public(const struct client_key *);

/* The signature of hello as 128 hexadecimal digits into to[129].  `exporter`:
 * the 32 bytes of the TLS exporter, or NULL (binding "none").  -EIO. */
int client_key_hello(const struct client_key *, const uint8_t nonce[32],
    const uint8_t *exporter, const char *endpoint, char *to);

#endif
