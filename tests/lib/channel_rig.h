/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/channel in one thread: a real net with a plain and a TLS listener, two
 * workers whose loops the test turns, a clock that the test moves, a bus that
 * is watched, and a protocol whose every op a test may replace.  The clients on
 * the other side are sockets and, over TLS, GnuTLS.
 *
 * The protocol echoes; "hello ID TOKEN" and "cert ID" authenticate and are
 * answered with "ok NUMBER SECURITY" or "no ERROR"; so do "key ID - KEY
 * SIGNATURE BOUND" and "enrol ID TOKEN [KEY SIGNATURE BOUND]" ("-": no token).
 * When `numbered` is set, messages are 8 bytes that count from 1, checked and
 * answered with our count.
 */
#ifndef CT_TEST_CHANNEL_RIG_H
#define CT_TEST_CHANNEL_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "base/worker.h"
#include "channel/channel_priv.h"
#include "store/store.h"
#include "certs.h"
#include "event_tap.h"

#define RIG_WORKERS 2
#define RIG_DEVICES 50			/* "dev-1" and so on have a token */
#define RIG_TLS13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define RIG_TLS12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define RIG_TLS12_NO_EMS RIG_TLS12 ":%NO_SESSION_HASH"

struct rig;

struct rig_protocol {
	struct channel_protocol base;
	struct rig *rig;
};

struct rig_session {
	struct rig *rig;
	uint64_t in, out;		/* numbered messages */
};

struct rig {
	struct net *net;
	struct net_limits net_limits;
	struct worker worker[RIG_WORKERS];
	struct net_worker *nw[RIG_WORKERS];
	struct channel_worker *cw[RIG_WORKERS];
	struct endpoint_table *endpoints;
	struct event_tap tap;
	struct channel_counters counters;
	struct channel_limits limits;
	struct channel_shared shared;
	struct rig_protocol protocol[RIG_WORKERS];
	struct auth_file *auth;
	struct store *store;
	struct identity *identity;
	char directory[64], database[80];
	struct test_cert ca, server, device;
	char plain[120], tls[120];	/* addresses */

	/* What the protocol is to do; NULL: as said above. */
	void (*on_open)(struct rig *, struct channel *);
	void (*on_message)(struct rig *, struct channel *, uint8_t *, size_t,
	    bool text);
	void (*on_drained)(struct rig *, struct channel *);
	void (*on_authenticated)(struct rig *, struct channel *,
	    const struct channel_auth_result *);
	void (*on_closed)(struct rig *, struct channel *, uint16_t code);
	bool numbered, untrusted, cannot_export;
	bool threaded;			/* the workers run: do not turn */
	int import_error;

	/* What it saw. */
	unsigned opened, closed, messages, drained, authenticated, disorder;
	unsigned sessions;		/* that live */
	size_t last_n, max_n;
	uint16_t close_code;
	uint64_t last_id;
	char enrolled[64];		/* the last token that was made */
	void *arg;			/* the test's */
};

/* Clears, fills limits and protocol with defaults that a test may change before
 * rig_start(). */
void rig_init(struct rig *);
void rig_start(struct rig *);
void rig_stop(struct rig *);

/* The fake clock: all loops turn once every step (of at most 16 ms). */
void rig_advance(struct rig *, uint32_t ms);
uint64_t rig_now_ms(void);
void rig_turn(struct rig *);		/* each loop once, no waiting; or
					 * 1 ms */
void rig_settle(struct rig *);		/* a few turns */
/* Real time, for deadlines of tests. */
uint64_t rig_real_ms(void);

struct rig_client {
	struct rig *rig;
	int fd;
	gnutls_session_t tls;
	gnutls_certificate_credentials_t cred;
	uint8_t *in;
	size_t in_n, in_cap;
	uint8_t *frame;
	bool eof, clean_eof;
	bool deflate;			/* was negotiated */
	uint8_t *out;			/* TLS bytes to send */
	size_t out_n;
	bool holding;			/* they stay in `out` */
	size_t records;			/* application records received */
	size_t record_left;
	uint8_t record_head[5];
	size_t record_head_n;
};

struct rig_dial {
	const char *priority;		/* NULL: without TLS */
	const struct test_cert *cert;
	const char *extensions;		/* Sec-WebSocket-Extensions */
	const void *early;		/* sent with the request */
	size_t early_n;
	int rcvbuf;			/* 0: the default */
};

/* Connects, upgrades.  Aborts the test when that does not work. */
void rig_dial(struct rig *, const struct rig_dial *, struct rig_client *);
void rig_hang_up(struct rig_client *);

/* Sends the first n bytes of what is held back (all: SIZE_MAX). */
bool rig_release(struct rig_client *, size_t n);
/* Sends all while the loops turn; false: the peer is gone. */
bool rig_send(struct rig_client *, const void *, size_t);
/* A masked frame. */
bool rig_send_frame(struct rig_client *, unsigned first_byte, const void *,
    size_t);
bool rig_send_text(struct rig_client *, const char *);
/* Appends a masked frame to buf; returns its size. */
size_t rig_frame_bytes(uint8_t *to, unsigned first_byte, const void *,
    size_t);

struct rig_frame {
	unsigned first_byte;
	const uint8_t *p;		/* until the next call */
	size_t n;
	uint16_t code;			/* of a close frame; 1005: none */
};
/* The next frame of the server; false: the end came, or 10 s of real time. */
bool rig_frame(struct rig_client *, struct rig_frame *);
/* One look at the socket, without turning: how many bytes came. */
size_t rig_look(struct rig_client *);
/* The next frame must be this. */
void rig_expect_text(struct rig_client *, const char *);
/* The next frame must be a close frame with this code. */
void rig_expect_close(struct rig_client *, uint16_t code);
void rig_expect_eof(struct rig_client *);
/* "hello", expects "ok"; returns the channel number. */
uint64_t rig_hello(struct rig_client *, const char *id);
/* Turns until the last channel is gone. */
void rig_wait_empty(struct rig *);
size_t rig_channels(const struct rig *);

#define RIG_NUMBER 7			/* of the server's certificate */
#define RIG_TOKEN "0123456789abcdef0123456789abcdef"

#endif
