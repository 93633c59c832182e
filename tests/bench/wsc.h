/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WebSocket client connection of the load generator: TCP, TLS 1.3 (OpenSSL,
 * so that no server is measured with its own library), upgrade, frames.
 * Everything sent during one wake-up leaves in one send(); each message is a
 * TLS record of its own.  One thread.  Not a general client: answers are
 * expected in the forms that servers give to a plain echo.
 */
#ifndef BENCH_WSC_H
#define BENCH_WSC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#define WSC_TEXT 1
#define WSC_BINARY 2

struct wsc;

/* The target, constant for a run. */
struct wsc_target {
	uint16_t port;			/* on 127.0.0.1 */
	bool tls;
	const char *path, *subprotocol;	/* NULL: none */
	SSL_CTX *ctx;			/* if tls */
	int epoll;
	void (*opened)(struct wsc *);	/* the 101 came */
	void (*message)(struct wsc *, int opcode, const uint8_t *, size_t);
	void (*pinged)(struct wsc *);	/* NULL: nobody cares */
	/* The connection failed or the server ended it; already closed. */
	void (*failed)(struct wsc *, const char *why);
};

enum wsc_state { WSC_CLOSED, WSC_CONNECTING, WSC_TLS, WSC_UPGRADE, WSC_OPEN };

struct wsc {
	const struct wsc_target *target;
	SSL *ssl;
	SSL_SESSION *session;		/* the last ticket; is kept */
	uint8_t *part;			/* of a frame that is not whole yet */
	uint8_t *out;			/* what the socket did not take */
	size_t part_n, out_n;
	unsigned number;
	int fd;
	enum wsc_state state;
	unsigned todo, done;		/* the mode's own */
	bool up;
};

/* TLS 1.3 or 1.2, X25519, AES-GCM.  `ca`: a PEM file; the server's
 * chain has to lead there, by the certificates that it sends (NULL: it is not
 * looked at).  NULL: failed. */
#define WSC_RESUME 1u			/* with the last ticket, if any */
#define WSC_PSK_KE 2u			/* offers it, beside psk_dhe_ke */
#define WSC_TLS12 4u			/* instead of TLS 1.3 */
SSL_CTX *wsc_context(const char *ca, unsigned flags);
/* Starts a connection from 127.0.0.(2 + number % 24); 0 or -errno.  Only the
 * ticket of the one before is kept. */
int wsc_start(struct wsc *, const struct wsc_target *, unsigned number);
/* To be called with what epoll said. */
void wsc_event(struct wsc *, uint32_t events);
/* A masked frame; it leaves when the wake-up ends or with wsc_flush(). */
void wsc_send(struct wsc *, int opcode, const void *, size_t);
void wsc_flush(struct wsc *);
/* Of an open connection: a ticket was accepted; without a key exchange. */
bool wsc_resumed(const struct wsc *);
bool wsc_without_ecdhe(const struct wsc *);
/* Closes with RST, so that neither side is left with TIME_WAIT. */
void wsc_reset(struct wsc *);

#endif
