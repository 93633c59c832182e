/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opening handshake without HTTP itself: what a server checks in an upgrade
 * request and chooses for its answer, what a client checks in that answer.
 * RFC 6455 sections 4.1 and 4.2.  SHA-1 is the caller's, because
 * cryptography lives in core/tls.  Thread: any.
 */
#ifndef CT_WS_HANDSHAKE_H
#define CT_WS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/ws_extension.h"
#include "wire/ws_token.h"

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WS_KEY_SIZE 24			/* base64 of 16 bytes */
#define WS_ACCEPT_INPUT_SIZE 60		/* key and GUID */
#define WS_ACCEPT_SIZE 28		/* base64 of a SHA-1 */

struct ws_request {
	const char *method;		/* "GET" */
	const char *version;		/* "HTTP/1.1" */
	const struct ws_headers *headers;
};

/* How to say no. */
struct ws_refusal {
	unsigned status;		/* HTTP */
	const char *why;		/* static text */
	struct {			/* to be sent with it; NULL: none */
		const char *name, *value;
	} header[2];
};

/*
 * Whether the request asks for a WebSocket at all: a token of its Upgrade
 * headers is "websocket".  Then ws_request_check() has the say.
 */
bool ws_request_is_upgrade(const struct ws_headers *);

/*
 * RFC 6455 4.2.1: GET, HTTP/1.1 or a later 1.x, one Host, Upgrade, Connection,
 * version 13, a key of 16 bytes.  0; -EPROTO: refuse as *ret_refusal (set only
 * then) says.  The key's unused last bits are not looked at.
 */
int ws_request_check(const struct ws_request *,
    struct ws_refusal *ret_refusal);

/* The key's 24 characters of a request that passed; not terminated. */
const char *ws_request_key(const struct ws_headers *);

/* What Sec-WebSocket-Accept is the base64 of the SHA-1 of, into
 * to[WS_ACCEPT_INPUT_SIZE].  RFC 6455 4.2.2 step 5.4. */
void ws_accept_input(const char *key, uint8_t *to);

#define WS_SUBPROTOCOLS_MAX 16
#define WS_SUBPROTOCOLS_TEXT 1024
/* What a client offers, in its order.  Points into itself: never copied. */
struct ws_subprotocols {
	const char *name[WS_SUBPROTOCOLS_MAX + 1];	/* NULL ends */
	char text[WS_SUBPROTOCOLS_TEXT];
};

/* Reads Sec-WebSocket-Protocol.  0 (maybe none); -EINVAL: not a list of
 * different tokens; -E2BIG: more than fits.  *ret is of no use then. */
int ws_request_subprotocols(const struct ws_headers *,
    struct ws_subprotocols *ret);

/* A server's answer, and what the client had asked for. */
struct ws_response {
	unsigned status;
	const struct ws_headers *headers;
	const char *accept;		/* wanted, WS_ACCEPT_SIZE and a NUL */
	const char *const *subprotocols;	/* offered; or NULL */
	bool deflate_offered;		/* WS_DEFLATE_OFFER was sent */
};

struct ws_agreed {
	const char *subprotocol;	/* element of `subprotocols`, or NULL */
	struct ws_deflate_params deflate;
};

/* RFC 6455 4.1, the client's checks 1 to 6.  0; -EPROTO, *ret_why is static
 * text (set only then). */
int ws_response_check(const struct ws_response *, struct ws_agreed *ret,
    const char **ret_why);

#endif
