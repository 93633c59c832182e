/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a channel share.  A channel exists 15,000 times and idle:
 * everything that is only needed for a while hangs on a pointer.
 *
 * Phases:  OPEN  -> CLOSING (our close frame is out)  -> LINGER -> gone
 *               \-> LINGER  (both close frames are out, or it failed)
 *               \-> gone    (the descriptor is dead)
 * LINGER only waits until the peer has read our last bytes and closes, so that
 * a reset does not destroy them.
 */
#ifndef CT_CHANNEL_PRIV_H
#define CT_CHANNEL_PRIV_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/mailbox.h"
#include "base/slab.h"
#include "wire/deflate.h"
#include "wire/ws_close.h"
#include "wire/ws_frame.h"
#include "tls/trust.h"
#include "net/net.h"
#include "endpoint/endpoint.h"
#include "channel/channel.h"
#include "channel/table.h"

#define CHANNEL_MAGIC 0xc4a22e10u

/* Close codes of ours (doc/protocol.md). */
#define CLOSE_SUPERSEDED ENDPOINT_KICK_SUPERSEDED
#define CLOSE_REVOKED ENDPOINT_KICK_REVOKED
#define CLOSE_PROTOCOL_ERROR 4006

#define CLOSE_WAIT_MS 5000		/* for the peer's close frame */
#define LINGER_MS 2000

/* Inflated bytes of one wake-up, after which other channels have a turn: 70 KB
 * on the wire can be 70 MB. */
#define INFLATE_AT_ONCE ((size_t)1024 * 1024)

enum channel_phase { PHASE_OPEN, PHASE_CLOSING, PHASE_LINGER, PHASE_DEAD };

enum channel_todo {			/* for the end of the turn */
	TODO_AUTHENTICATED = 1,		/* tell the protocol who it is */
	TODO_CLOSED = 2,		/* tell the protocol that it ended */
	TODO_DRAINED = 4,		/* go on with held input, drained() */
	TODO_FREE = 8,
	TODO_COMMANDS = 16		/* offer it what waits */
};

/* Until the endpoint is known. */
struct channel_pre {
	uint32_t deadline;		/* ms, as channel.last_rx */
	uint32_t bytes;			/* received so far */
	bool challenged, asked, trusted;
	bool contested;			/* takeover.c asks the one before it */
	bool one_time;			/* a token to enrol came
					 * with the hello */
	enum channel_auth_method method;
	uint8_t challenge[32];
	char peer[ADDR_TEXT_SIZE];
	int verdict;			/* of the hello: 0, -EACCES */
	const char *cause;		/* of -EACCES; NULL: identity knows */
	enum channel_security security;	/* if the verdict is 0 */
	char *endpoint, *agent, *boot_id;	/* of the hello */
	uint64_t credential;		/* number of what proved it; 0 none */
	uint8_t exporter[32];		/* RFC 9266, if the channel has one */
	char cert_uri[129];		/* of the certificate; "" none */
	char enrolled[64];		/* the token that was made; "" none */
	char fingerprint[65];		/* of the key that was shown; "" none */
	struct hello_wait *wait;	/* for the store; NULL not */
	const char *listener;		/* its name; outlives the channel */
};

/* Of a verified client certificate; kept for revocation. */
struct channel_cert {
	struct tls_proof proof;
	unsigned listener;		/* counts as in the configuration */
	char cn[128];
};

/* A message that is not whole yet. */
struct assembly {
	size_t n, cap;
	uint8_t data[];
};

struct channel {
	struct stream stream;
	struct timer timer;		/* keepalive, or the end of a phase */
	struct ws_parser parser;
	struct channel_worker *owner;
	struct channel_protocol *protocol;
	void *session;			/* the protocol's */
	struct endpoint *endpoint;	/* NULL before authentication */
	struct channel_pre *pre;	/* NULL after it */
	struct channel_cert *cert;
	struct assembly *message;	/* data frames so far */
	struct assembly *control;	/* payload of a control frame so far */
	struct buf *held;		/* input that waits for room
					 * to answer */
	struct channel *next_todo;
	uint64_t id;
	struct addr admitted;		/* its place under net's limits */
	uint32_t magic;
	uint32_t last_rx, ping_at;	/* ms, wrapping */
	uint32_t unsent;		/* bytes, when the ping was due */
	uint16_t close_code;		/* once ended */
	uint16_t began;			/* channel_counters.began */
	uint8_t phase : 2;
	uint8_t security : 2;		/* before authentication */
	uint8_t deflate_bits : 4;	/* 0: not negotiated */
	uint8_t todo : 7;
	bool leaving : 1;		/* once nothing of it is under way */
	uint8_t completions;		/* that are under way (completion.h) */
	bool ping_out : 1, suspect : 1, ended : 1, want_drained : 1;
	bool has_exporter : 1;
	bool eof : 1;			/* the peer's end was seen */
	bool probed : 1;		/* a newcomer waits for its answer */
	bool draining : 1;		/* it was there when a drain began */
};

struct channel_worker {
	struct channel_shared shared;
	unsigned index;
	struct worker *worker;
	struct net_worker *net;
	struct loop *loop;
	struct channel_limits limits;
	struct tls_snapshot *trust;	/* NULL: nothing to judge by yet */
	struct channel_table table;
	struct slab slab;
	struct contest *contests;	/* of newcomers for channels here */
	bool stopping;
	bool holding;			/* no hello is heard now (handover.h) */
	struct channel *current;	/* whose wake-up it is */
	struct {
		uint64_t messages_in, messages_out, bytes_out;
	} traffic;			/* not told to the counters yet */
	size_t inflated;		/* bytes, in this wake-up */
	struct channel *todo, **todo_end;	/* queue by next_todo */
	struct defer defer;
	struct deflater *deflater;	/* made when first needed */
	struct inflater *inflater;
	uint64_t last_id;
	struct drain *drain;		/* that is under way; NULL: none */
	bool aborted;			/* the last one was given up */
};

#define COUNT(cw, what, n) \
	atomic_fetch_add_explicit(&(cw)->shared.counters->what, (n), \
	    memory_order_relaxed)

/* Tells the counters, which all workers share, of cw->traffic: once a wake-up,
 * or they would fight over one cache line for every message. */
void channel_tell_traffic(struct channel_worker *);

/* The staging areas for a channel: the worker's own in its wake-up, the side
 * ones outside of it, which are empty then. */
struct stage *channel_stage(struct channel *);

/* certificate.c */
struct tls_peer;
/* -ENOMEM. */
int channel_cert_keep(struct channel *, const struct tls_peer *,
    unsigned listener);
/* Closes it if its certificate would not be accepted any more. */
void channel_cert_check(struct channel *);

/* channel.c */
/* One that was open is no more. */
void channel_count_closed(struct channel_worker *, uint16_t began);
uint32_t channel_now(const struct channel_worker *);
/* Whether the endpoint's table holds this one for its live channel: one that
 * was replaced learns of it a little later. */
bool channel_is_live(const struct channel *);
int channel_make(struct channel_worker *, struct channel **ret);
void channel_todo_add(struct channel *, enum channel_todo);
/* Decided: presence and protocol learn of the end; once. */
void channel_end(struct channel *, uint16_t code, enum presence_reason);
/* The descriptor is of no use any more: end, then free. */
void channel_kill(struct channel *, uint16_t code, enum presence_reason);
/* Both sides are done: no more frames, wait for the peer to read and close. */
void channel_linger(struct channel *);
void channel_pre_free(struct channel *);

/* input.c */
void channel_wake(struct watch *, uint32_t events);
/* Parses plaintext as far as answers have room; holds the rest. */
void channel_feed(struct channel *, uint8_t *p, size_t n);
void channel_feed_held(struct channel *);
/* Other work of ours than passing on messages follows. */
void channel_messages_end(struct channel *);
/* What its input is held to just now. */
struct ws_rules channel_rules(const struct channel *);
/* Whether its socket is to be read. */
bool channel_wants_input(const struct channel *);
/* Notes that there is room again, at half the queue. */
void channel_check_drained(struct channel *);
/* After any work on the stream: flush, epoll interest, errors. */
void channel_settle(struct channel *);

/* message.c */
void channel_data(struct channel *, const struct ws_piece *);
void channel_control(struct channel *, const struct ws_piece *);
int assembly_add(struct assembly **, const void *p, size_t n, size_t limit);

/* output.c */
/* So much waits for the peer that nothing more is made for it. */
static inline bool
channel_blocked(const struct channel *c)
{
	return stream_backlog(&c->stream) >= c->owner->limits.send_queue;
}
/* Bytes that may wait for the peer, sealed. */
size_t channel_backlog_limit(const struct channel *);
int channel_frame(struct channel *, unsigned first_byte, const void *p,
    size_t n);
/* Fails the connection: close frame, end, linger. */
void channel_fail(struct channel *, uint16_t code, const char *why);
void channel_io_error(struct channel *, int err);

/* keepalive.c */
int64_t channel_seen(const struct channel *);	/* wall ms of its last byte */
void channel_heard(struct channel *);
/* Sends a ping beyond those that are due. */
void channel_probe(struct channel *);
/* Bytes that wait for the peer, here and in the kernel; saturates. */
uint32_t channel_unsent(const struct channel *);
void channel_pong(struct channel *, const uint8_t *p, size_t n);
void channel_timer(struct timer *);

/* export.c */
/* Whether everything of it can be written down just now. */
bool channel_exportable(const struct channel *);
/* Out of the loop and the worker's table: nothing happens to it. */
void channel_part(struct channel *);
/* Everything of a channel that has parted but its descriptor, as bytes
 * (versioned, length-checked).  -ENOBUFS, or the protocol's. */
int channel_export(struct channel *, struct outbuf *out);
/* The room that channel_export() may need. */
size_t channel_export_size(const struct channel *);
/* Changes when what is written down does. */
uint32_t channel_export_layout(void);
/* One that has parted goes on here. */
void channel_stay(struct channel *);
/* One that has parted is forgotten without an end; the descriptor
 * stays open. */
void channel_disown(struct channel *);
/* Makes a channel of the bytes that has not joined the loop yet.  -EINVAL,
 * -ENOENT no such protocol or endpoint here, -ENOMEM; the descriptor is the
 * caller's then. */
int channel_rebuild(struct channel_worker *, int fd, const uint8_t *p, size_t n,
    struct channel **ret);
/* The opposite. */
void channel_unmake(struct channel *);
/* It lives from now on; one that was taken over on the way is closed (4003).
 * -ENOMEM, -errno of epoll: nothing has changed. */
int channel_join(struct channel *);
/* Both. */
int channel_import(struct channel_worker *, int fd, const uint8_t *p, size_t n,
    struct channel **ret);

/* command_deliver.c: offers its endpoint's commands, as far as there
 * is room. */
void command_deliver(struct channel *);

/* drain.c */
void channel_drain_stop(struct channel_worker *);
/* One that is to go has come from another worker. */
void channel_drain_moved(struct channel *);

/* hello.c */
void channel_answer_hello(struct channel *);
/* The end of takeover_begin(): 0 it is the live one, with this number; -EBUSY
 * another one has the right of way; -EAGAIN, -ENOMEM, -ENOSPC. */
void channel_admitted(struct channel *, int error, uint64_t number);

/* takeover.c */
/* Its hello was accepted; channel_admitted() tells what came of it, in this
 * call or later, unless it ends meanwhile. */
void takeover_begin(struct channel *);
/* A probed channel was heard, or has ended. */
void takeover_decided(struct channel *, bool heard);
/* The worker stops: nobody waits for an answer any more. */
void takeover_stop(struct channel_worker *);

#endif
