/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kind CLEAT_CERT_SOURCE: finds server certificates and publishes them into
 * slots.  Each instance has a thread and loop of its own; every call is on that
 * thread, and blocking in it delays nobody but the instance.
 */
#ifndef CLEAT_CERT_SOURCE_H
#define CLEAT_CERT_SOURCE_H

#include <cleat/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The slot keeps what this instance published with the other kind of key: RSA
 * stands beside ECDSA or Ed25519.  Without it the credential replaces both. */
#define CLEAT_CRED_BESIDE 1u
/* This one was in service before the daemon was restarted, and there is nothing
 * better: it is taken although it is out of date or lacks its staple. */
#define CLEAT_CRED_AGAIN 2u

/* What an instance publishes with host->cred_publish(). */
struct cleat_cred {
	uint32_t size;			/* sizeof(struct cleat_cred) */
	uint32_t flags;			/* CLEAT_CRED_* */
	struct cleat_bytes chain_pem;	/* leaf first, then intermediates */
	struct cleat_bytes key_pem;	/* unencrypted; empty: external key */
	const char *key_id;		/* external key: handed to sign() */
	struct cleat_bytes ocsp_der;	/* staple for the leaf; empty: none */
};

struct cleat_sign_request {
	uint32_t size;			/* sizeof(struct cleat_sign_request) */
	uint32_t scheme;		/* TLS SignatureScheme
					 * (RFC 8446 4.2.3) */
	uint64_t request;		/* for host->sign_done() */
	const char *key_id;
	/* What is to be signed: a hash made by the scheme's algorithm when
	 * is_hash is 1, the message itself when it is 0 (Ed25519). */
	struct cleat_bytes data;
	uint32_t is_hash;
};

struct cleat_cert_source_ops {
	uint32_t size;			/* sizeof(struct
					 * cleat_cert_source_ops) */
	uint32_t reserved;
	/* Look again now (a slot was added or has other names; later also at an
	 * operator's wish): publish what is valid for `slot`,
	 * or say why not with host->cred_failed().  Mandatory. */
	void (*refresh)(void *inst, const char *slot);
	/* Sign with an external key; answer with host->sign_done(), from inside
	 * this call or later.  Mandatory for sources that publish a key_id. */
	void (*sign)(void *inst, const struct cleat_sign_request *);
	/* A challenge that was put is served by every worker (result 0) or
	 * could not be.  Optional. */
	void (*challenge_done)(void *inst, uint64_t request, int result);
};

#ifdef __cplusplus
}
#endif

#endif
