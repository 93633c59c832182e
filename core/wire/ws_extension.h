/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Negotiation of permessage-deflate (RFC 7692 section 7), the only extension
 * we know, from Sec-WebSocket-Extensions (RFC 6455 9.1).  Neither side ever
 * takes a context over from one message to the next.  Thread: any.
 */
#ifndef CT_WS_EXTENSION_H
#define CT_WS_EXTENSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/ws_token.h"

struct ws_deflate_params {
	bool enabled;
	uint8_t send_bits;		/* our largest window, 9..15 */
};

/* What a client sends; it fits what ws_deflate_check_answer() accepts. */
#define WS_DEFLATE_OFFER "permessage-deflate; " \
	"server_no_context_takeover; client_no_context_takeover"

#define WS_DEFLATE_ANSWER_SIZE 144

/*
 * Server: takes the first offer that we can serve.  Unknown, repeated or ill-
 * valued parameters and server_max_window_bits=8 (raw deflate of zlib has no
 * such window) decline an offer.  1: taken, answer[WS_DEFLATE_ANSWER_SIZE] is
 * the value of the response's header; 0: none taken, nothing is to be answered;
 * -EINVAL: not a list of extensions: refuse the request (RFC 6455 9.1).
 */
int ws_deflate_negotiate(const struct ws_headers *request, char *answer,
    struct ws_deflate_params *ret);

/*
 * Client: reads the server's answer to WS_DEFLATE_OFFER (`offered`) or to no
 * offer.  0: *ret says what is on; -EPROTO: the server took something that was
 * not offered or did not keep to the offer: fail the connection.
 */
int ws_deflate_check_answer(const struct ws_headers *response, bool offered,
    struct ws_deflate_params *ret);

#endif
