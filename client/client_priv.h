/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client share. */
#ifndef CT_CLIENT_PRIV_H
#define CT_CLIENT_PRIV_H

#include <jansson.h>

#include "backoff.h"
#include "base/buf.h"
#include "cleat-client.h"
#include "link.h"
#include "url.h"
#include "wire/ws_frame.h"
#include "wire/ws_handshake.h"

#define CLIENT_OUT_MAX (256 * 1024)
#define CLIENT_MESSAGE_MAX (64 * 1024)
#define CLIENT_PEM_MAX (4 * 1024 * 1024)
#define CLIENT_HEAD_MAX 8192		/* of the server's HTTP answer */
#define CLIENT_ATTEMPT_MS 20000		/* TCP to hello's answer */
#define CLIENT_GOODBYE_MS 3000
#define CLIENT_SUBPROTOCOL "cleat.v1.jsonrpc"

enum client_phase {
	CLIENT_WAIT,			/* until wake_ms */
	CLIENT_LINK,			/* TCP and TLS */
	CLIENT_UPGRADE,			/* request sent */
	CLIENT_HELLO,			/* upgraded; hello is or will be sent */
	CLIENT_UP,
	CLIENT_GOODBYE,			/* our close is out */
	CLIENT_DONE
};

struct cleat_client {
	struct cleat_client_opts opts;	/* its texts are copies */
	struct url url;
	struct tls_client_policy *policy;	/* NULL without TLS */
	struct backoff backoff;
	enum client_phase phase;
	bool stopping;
	bool inside;			/* of cleat_client_process() */
	bool stop_asked;		/* by a callback */
	char stop_reason[128];
	uint64_t wake_ms;		/* CLIENT_WAIT: when to try */
	uint64_t deadline_ms;		/* of the attempt, or the goodbye */
	uint64_t heard_ms;		/* the server's last byte */
	uint32_t ping_ms, dead_ms;	/* from hello's answer */
	bool pinged;

	struct link link;
	struct buf *out;
	char accept[WS_ACCEPT_SIZE + 1];
	char *head;			/* of the answer, as far as it came */
	size_t head_n;
	struct ws_parser parser;
	uint8_t *message;		/* fragments so far */
	size_t message_n;
	uint8_t control[WS_CONTROL_MAX];
	size_t control_n;
	int64_t call_id;		/* of the last request */
	uint16_t close_code;		/* of the server's close frame, or 1006 */
	char why[LINK_WHY_SIZE + 64];	/* why the channel ended */
};

uint64_t client_now_ms(void);
/* The attempt or channel ended; waits, or is done when stopping. */
void client_lost(struct cleat_client *, const char *why);
void client_set_phase(struct cleat_client *, enum client_phase,
    const char *why);

/* socket.c: HTTP upgrade and frames */
int client_start_upgrade(struct cleat_client *);
int client_take_answer(struct cleat_client *);	/* -EAGAIN, or failed */
int client_frame(struct cleat_client *, unsigned opcode, const void *p,
    size_t n);
int client_feed(struct cleat_client *, uint8_t *p, size_t n);
int client_flush(struct cleat_client *);

/* rpc.c: messages */
int client_send_hello(struct cleat_client *);
int client_message(struct cleat_client *, const char *p, size_t n);
int client_request(struct cleat_client *, const char *method, json_t *params,
    bool answer);

#endif
