/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's end of TLS: a GnuTLS session over the caller's non-blocking
 * transport, with the same policy as the server (tls/policy.h).  Whom it
 * believes is a trust's (tls/trust.h), also when a session is resumed.
 *
 * A policy is made once and used for many connections, one after another; it
 * keeps the last session ticket, so that coming back is cheap.  A policy and
 * its connections belong to one thread.
 */
#ifndef CT_TLS_CLIENT_H
#define CT_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_client;
struct tls_client_policy;
struct tls_review;
struct tls_trust;

struct tls_client_spec {
	const char *priority;		/* NULL or "": tls_policy_default() */
	struct tls_trust *trust;	/* of servers */
	const void *chain_pem;		/* own certificate; NULL: none */
	size_t chain_n;
	const void *key_pem;		/* not encrypted */
	size_t key_n;
};

/* Keeps a reference to the trust.  Blocking (reads the system's store).
 * -EINVAL with why[TLS_WHY_SIZE] (may be NULL), -ENOMEM. */
int tls_client_policy_new(const struct tls_client_spec *, char *why,
    struct tls_client_policy **ret);
/* After every connection was freed. */
void tls_client_policy_free(struct tls_client_policy **);
/* tls_trust_info() of its trust. */
struct tls_trust_info;
void tls_client_policy_trust_info(const struct tls_client_policy *,
    struct tls_trust_info *ret);

/* Where the wire bytes go.  Both return how many bytes, or -errno (-EAGAIN: not
 * now); recv returns 0 at the end of the stream. */
struct tls_client_io {
	ssize_t (*recv)(void *ctx, void *to, size_t n);
	ssize_t (*send)(void *ctx, const void *from, size_t n);
	void *ctx;
};
/* For a connected, non-blocking socket.  Never raises SIGPIPE. */
struct tls_client_io tls_client_io_fd(int fd);

/* `host`: a name, sent as SNI, or an IP address as text; what the server's
 * certificate must be for.  -ENOMEM, -EINVAL. */
int tls_client_new(struct tls_client_policy *, const char *host,
    const struct tls_client_io *, struct tls_client **ret);
/* Sends nothing; keeps the ticket if there is one. */
void tls_client_free(struct tls_client **);

/*
 * Goes on with the handshake.  0 when it is done.  -EAGAIN: call again when the
 * descriptor is ready for what tls_client_wants_write() says.
 * -EACCES the server is not trusted, -ECONNABORTED its alert, -EPROTO it broke
 * the protocol or nothing fits, -ECONNRESET the stream ended, -errno of io.
 * tls_client_reason() has the words.
 */
int tls_client_handshake(struct tls_client *);

/* Plaintext received: how many bytes; 0 at the clean end (close_notify).
 * -EAGAIN, -ECONNRESET ended without close_notify, others as above. */
ssize_t tls_client_read(struct tls_client *, void *to, size_t n);

/* Takes up to a record of plaintext; what it returned is taken even if the wire
 * does not have it yet (then wants_write() is true).  -EAGAIN: nothing taken;
 * others as above. */
ssize_t tls_client_write(struct tls_client *, const void *from, size_t n);
/* Sends what was taken.  0, -EAGAIN, others as above. */
int tls_client_flush(struct tls_client *);
/* close_notify.  0, -EAGAIN, others as above. */
int tls_client_close(struct tls_client *);

/* What the last -EAGAIN (or a write that was taken) waits for. */
bool tls_client_wants_write(const struct tls_client *);

/* After the handshake.  Tests only. */
bool tls_client_resumed(const struct tls_client *);

/*
 * For diagnosis.  The judgement of this connection is also written to *review
 * (tls/review.h), which must stay.  With `go_on` a server that is refused is
 * talked to all the same: the caller says no secret to it,
 * and the policy has no certificate of ours.
 */
void tls_client_review(struct tls_client *, struct tls_review *, bool go_on);

/* From the server's certificate on, also when it was refused. */
struct tls_client_facts {
	char version[16], suite[64], group[32];	/* "": not known */
	bool asked;			/* for a certificate of ours */
};
void tls_client_facts(const struct tls_client *, struct tls_client_facts *ret);
/* The i-th certificate that the server has sent, and its OCSP response, in DER;
 * the connection's.  -ENOENT. */
int tls_client_sent(const struct tls_client *, unsigned i, const void **ret,
    size_t *ret_n);
int tls_client_staple(const struct tls_client *, const void **ret,
    size_t *ret_n);

/* RFC 9266.  -ENOTSUP: TLS 1.2 without extended master secret. */
int tls_client_exporter(const struct tls_client *, uint8_t ret[32]);
/* One line about the last error, owned by the connection. */
const char *tls_client_reason(const struct tls_client *);

#endif
