/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client share.  All on the thread that runs it. */
#ifndef CT_CLIENT_PRIV_H
#define CT_CLIENT_PRIV_H

#include <jansson.h>

#include "backoff.h"
#include "base/buf.h"
#include "cleat-client.h"
#include "key.h"
#include "link.h"
#include "proxy.h"
#include "servers.h"
#include "url.h"
#include "wire/ws_frame.h"
#include "wire/ws_handshake.h"

#define CLIENT_OUT_MAX (256 * 1024)
#define CLIENT_MESSAGE_MAX (64 * 1024)
#define CLIENT_DEPTH_MAX 32		/* of messages, the protocol's */
#define CLIENT_HEAD_MAX 8192		/* of the server's HTTP answer */
#define CLIENT_ATTEMPT_MS 20000		/* names to hello's answer */
#define CLIENT_GOODBYE_MS 3000
#define CLIENT_APPROVAL_MS 30000
#define CLIENT_READS_MAX 64		/* in one turn of the loop */
#define CLIENT_FILES 4			/* CA, CRL, own certificate, its key */
#define CLIENT_SUBPROTOCOL "cleat.v1.jsonrpc"

enum client_phase {
	CLIENT_WAIT,			/* until wake_ms */
	CLIENT_LINK,			/* names, TCP, proxy and TLS */
	CLIENT_UPGRADE,			/* request sent */
	CLIENT_HELLO,			/* upgraded; hello is or will be sent */
	CLIENT_UP,
	CLIENT_GOODBYE,			/* our close is out */
	CLIENT_DONE
};

/* A request of ours that is not answered yet; id 0: a free place. */
struct client_call {
	int64_t id;
	void (*done)(void *arg, const struct cleat_client_answer *);
	void *arg;
};

struct cleat_client {
	struct cleat_client_opts opts;	/* its texts are copies */
	struct servers servers;
	struct url url;			/* of this attempt */
	struct proxy proxy;
	struct client_key *key;		/* NULL: none */
	bool enrolled;			/* the server knows the key */
	struct tls_client_policy *policy;	/* NULL: not needed yet */
	uint64_t stamps[CLIENT_FILES];	/* of the policy's files */
	char stale[CLEAT_CLIENT_WHY_SIZE];	/* why those changed in vain */
	struct backoff backoff;
	enum client_phase phase;
	bool stopping;
	bool draining;			/* goodbye because of a drain */
	bool pending;			/* an operator has to approve us */
	bool inside;			/* of cleat_client_process() */
	bool stop_asked;		/* by a callback */
	char stop_reason[128];
	uint64_t wake_ms;		/* CLIENT_WAIT: when to try */
	uint64_t deadline_ms;		/* of the attempt, or the goodbye */
	uint64_t heard_ms;		/* the server's last byte */
	uint64_t up_ms;			/* hello was answered; 0: not */
	uint64_t drain_ms;		/* when to leave; 0: stay */
	uint32_t ping_ms, dead_ms;	/* from hello's answer */
	uint32_t max_message;
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
	/* client_send_hello(), or what stands for it. */
	int (*challenged)(struct cleat_client *, const json_t *challenge);
	int64_t hello_id;		/* 0: not said */
	struct client_call calls[CLEAT_CLIENT_CALLS_MAX];
	uint16_t close_code;		/* of the server's close
					 * frame, or 1006 */
	char why[LINK_WHY_SIZE + 64];	/* why the channel ended */
};

uint64_t client_now_ms(void);
/* Frees what it holds but its options, which a probe only borrows. */
void client_fini(struct cleat_client *);
/* Takes in what has come, up to a limit.  0, or the channel has ended. */
int client_read(struct cleat_client *);
void client_set_phase(struct cleat_client *, enum client_phase,
    const char *why);
void client_log(const struct cleat_client *, enum cleat_client_level,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* opts.c: what a client is made of.  As cleat_client_new(). */
int client_opts_take(struct cleat_client *, const struct cleat_client_opts *,
    char *why);
void client_opts_free(struct cleat_client *);
/* Opens identity_file, or makes it; likewise. */
int client_take_key(struct cleat_client *, char *why);

/* policy.c: reads the files of TLS, when there is no policy yet or they have
 * changed; those of the policy that is there stay in force, with a line in the
 * log, if the new ones cannot be used.  No connection is open.  -errno with
 * why[CLEAT_CLIENT_WHY_SIZE]: there is none. */
int client_make_policy(struct cleat_client *, char *why);

/* own.c: PEM of the certificate's chain and of its key, both empty without one;
 * cert_blob_free().  -errno with why. */
struct cert_blob;
int client_own_read(const struct cleat_client_opts *, char *why,
    struct cert_blob *ret_chain, struct cert_blob *ret_key);

/* attempt.c */
void client_begin(struct cleat_client *);
/* The attempt or channel ended; waits, or is done when stopping. */
void client_lost(struct cleat_client *, const char *why);
void client_reset_channel(struct cleat_client *);
/* Says bye and close; the phase becomes CLIENT_GOODBYE. */
void client_say_bye(struct cleat_client *, const char *reason);

/* socket.c: HTTP upgrade and frames */
int client_start_upgrade(struct cleat_client *);
int client_take_answer(struct cleat_client *);	/* -EAGAIN, or failed */
int client_frame(struct cleat_client *, unsigned opcode, const void *p,
    size_t n);
int client_feed(struct cleat_client *, uint8_t *p, size_t n);
int client_flush(struct cleat_client *);

/* rpc.c: messages */
int client_message(struct cleat_client *, const char *p, size_t n);
/* Takes `params` over; *ret_id (may be NULL:
 * a notification) is the request's. */
int client_request(struct cleat_client *, const char *method, json_t *params,
    int64_t *ret_id);

/* hello.c */
int client_send_hello(struct cleat_client *, const json_t *challenge);
void client_hello_answered(struct cleat_client *, const json_t *answer);
/* An array of URLs that the server names, of hello or drain, counts from the
 * next connection on, and is kept in servers_file; an empty one, or none,
 * changes nothing.  What is wrong is logged. */
void client_take_servers(struct cleat_client *, const json_t *);

/* calls.c */
void client_call_answered(struct cleat_client *, int64_t id,
    const json_t *answer);
/* All that wait end with -ENOTCONN. */
void client_calls_lost(struct cleat_client *);

#endif
