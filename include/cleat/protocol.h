/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kind CLEAT_PROTOCOL: translates a device protocol into host calls.  There is
 * one instance for each worker; it is called on that worker's thread only, so
 * it needs no locks, and must never block.  Calls are not re-entrant: what a
 * host call causes is delivered after the op that made it has returned.
 */
#ifndef CLEAT_PROTOCOL_H
#define CLEAT_PROTOCOL_H

#include <cleat/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cleat_chan;			/* a channel; valid until closed() */

enum cleat_security {
	CLEAT_SECURITY_NONE, CLEAT_SECURITY_WS, CLEAT_SECURITY_WSS,
	CLEAT_SECURITY_WSS_SAFE
};

/* The request that opened the channel. */
struct cleat_request {
	uint32_t size;			/* sizeof(struct cleat_request) */
	uint32_t security;		/* enum cleat_security, before hello */
	const char *listener;		/* its name */
	const char *peer;		/* address and port as text */
	const char *target;		/* request target as sent; peer text */
	const char *subprotocol;	/* chosen; "" none */
	const char *user_agent;		/* peer text; "" none */
	const char *cert_cn;		/* verified client
					 * certificate; "" none */
};

struct cleat_msg {
	uint32_t size;			/* sizeof(struct cleat_msg) */
	uint32_t is_text;		/* 1: UTF-8 was checked; 0: binary */
	const void *p;			/* n bytes; no NUL behind them */
	size_t n;
};

enum cleat_auth_method {
	CLEAT_AUTH_CERTIFICATE = 1,	/* the TLS client certificate */
	CLEAT_AUTH_TOKEN = 2,
	/* 1.1: a signature by a key that is known for the endpoint */
	CLEAT_AUTH_KEY = 3,
	/* 1.1: not known yet; see public_key and token below */
	CLEAT_AUTH_ENROL = 4
};

/* What a device says of itself in its first message. */
struct cleat_hello {
	uint32_t size;			/* sizeof(struct cleat_hello) */
	uint32_t method;		/* enum cleat_auth_method */
	const char *endpoint;		/* the id it claims */
	const char *token;		/* CLEAT_AUTH_TOKEN, else NULL */
	const char *boot_id;		/* "" unknown */
	const char *agent;		/* name and version, "" unknown */
	/* 1.1.  Ed25519 (RFC 8032): public key 32 bytes, signature 64 bytes
	 * over what doc/protocol.md says; n 0: none.  KEY: both.  ENROL:
	 * the one-time token in `token` (NULL: none, where the operator
	 * lets or approves), and the key that shall be known from now on
	 * with a signature by it, or none: then a token is made and given
	 * in the result. */
	struct cleat_bytes public_key, signature;
	uint32_t bound;			/* 1: the TLS exporter is in what was
					 * signed; 0: it is not */
	uint32_t reserved;
};

struct cleat_auth_result {
	uint32_t size;			/* sizeof(struct cleat_auth_result) */
	int32_t error;			/* 0; -EACCES; -EAGAIN: try later */
	const char *endpoint;
	uint64_t channel;		/* channel number of this endpoint */
	uint64_t epoch;			/* number of the daemon's start */
	uint32_t security;		/* enum cleat_security */
	uint32_t ping_ms, dead_ms;
	uint32_t retry_min_ms, retry_max_ms;	/* for the next reconnect */
	uint32_t max_message;		/* bytes the device may send at once */
	/* 1.1.  error may also be -EINPROGRESS: an operator has to approve;
	 * -EBUSY: another channel has the id (first-in-wins); -EDQUOT: too many
	 * attempts. */
	const char *enrolled_token;	/* what enrolment yielded; "" nothing */
	const char *fingerprint;	/* -EINPROGRESS: SHA-256 of the key in
					 * hex; "" none */
	uint64_t telemetry_seq;		/* last one that is stored; 0 none */
};

/* 1.1: a command for the device.  Text is valid during the call. */
struct cleat_command {
	uint32_t size;			/* sizeof(struct cleat_command) */
	uint32_t again;			/* 1: it may have been
					 * delivered before */
	const char *id;			/* 1 to 64 of a-z A-Z 0-9 . _ - */
	const char *verb;
	const char *args_json;		/* one JSON object */
	int64_t deadline_wall_ms;
};

enum cleat_outcome {
	CLEAT_OUTCOME_OK = 1, CLEAT_OUTCOME_ERROR, CLEAT_OUTCOME_EXPIRED,
	CLEAT_OUTCOME_CANCELLED, CLEAT_OUTCOME_INTERRUPTED
};

/* 1.1: what became of a command. */
struct cleat_command_result {
	uint32_t size;			/* sizeof(struct
					 * cleat_command_result) */
	uint32_t outcome;		/* enum cleat_outcome; never EXPIRED */
	const char *id;
	const char *result_json;	/* any JSON value, or "" */
	const char *message;		/* for people, or "" */
};

/* 1.1: what a host call with a request number led to. */
struct cleat_completion {
	uint32_t size;			/* sizeof(struct cleat_completion) */
	int32_t error;			/* 0: it is durable; negative errno:
					 * -EAGAIN, -EIO, -ENOSPC try later,
					 * -EINVAL, -EMSGSIZE, -ENOENT */
	uint64_t request;		/* the number given in the call */
	uint64_t value;			/* telemetry: last seq that is stored;
					 * inventory: revision; outcome: the
					 * enum cleat_outcome that is final */
};

/* 1.1: the daemon wants the device to connect again, elsewhere or later. */
struct cleat_drain {
	uint32_t size;			/* sizeof(struct cleat_drain) */
	uint32_t window_ms;		/* at a random time within */
	const char *servers;		/* URLs, comma-separated; "" the same */
	const char *why;		/* "restart", "rebalance", "moved" */
};

enum cleat_power {
	CLEAT_POWER_ON, CLEAT_POWER_SHUTTING_DOWN, CLEAT_POWER_REBOOTING,
	CLEAT_POWER_SUSPENDING
};

#define CLEAT_PROTOCOL_ANONYMOUS 1u	/* no hello, no deadline for it */

struct cleat_protocol_ops {
	uint32_t size;			/* sizeof(struct cleat_protocol_ops) */
	uint32_t flags;
	/* Sec-WebSocket-Protocol tokens it answers to; NULL ends; may be NULL.
	 * Its paths are options of the section (`paths`), these the default. */
	const char *const *subprotocols;
	const char *const *paths;
	/* A channel is open.  The plugin may store a pointer of its own with
	 * host->chan_set_session(), or refuse with host->chan_close().
	 * Mandatory. */
	void (*open)(void *inst, struct cleat_chan *,
	    const struct cleat_request *);
	/* One whole message.  `session` is what was stored.  Mandatory. */
	void (*message)(void *inst, struct cleat_chan *, void *session,
	    const struct cleat_msg *);
	/* The send queue has room again after -EAGAIN.  Optional. */
	void (*drained)(void *inst, struct cleat_chan *, void *session);
	/* The answer to host->auth_hello().  Mandatory unless ANONYMOUS. */
	void (*authenticated)(void *inst, struct cleat_chan *, void *session,
	    const struct cleat_auth_result *);
	/* The last call for this channel; free the session.  code as in RFC
	 * 6455 7.4; 1006: it ended without a close frame.  Mandatory. */
	void (*closed)(void *inst, struct cleat_chan *, void *session,
	    uint16_t code);
	/*
	 * A channel moves to another worker's instance, or to that of the next
	 * process (a live upgrade), which may have another version of the
	 * plugin: the bytes should say theirs.  Optional, but only together:
	 * without them a channel stays on its worker, and an upgrade closes it
	 * with 1012.  export writes the session as bytes into to[cap] and
	 * returns how many, or -ENOBUFS, or -EBUSY (not just now); the session
	 * lives on.  import makes one from them for a channel of its own
	 * instance (host->chan_set_session()).  forget frees a session whose
	 * channel lives on elsewhere, and makes no host call about it.
	 */
	int (*session_export)(void *inst, struct cleat_chan *, void *session,
	    void *to, size_t cap);
	int (*session_import)(void *inst, struct cleat_chan *, const void *p,
	    size_t n);
	void (*session_forget)(void *inst, void *session);
	/* ---- 1.1, all optional; only after authentication ---- */
	/* The answer to a host call that has a request number. */
	void (*completed)(void *inst, struct cleat_chan *, void *session,
	    const struct cleat_completion *);
	/* Sends a command to the device.  0: it is on its way (the device says
	 * host->command_accepted(), _later() or _outcome()); -EAGAIN: not
	 * now, it is offered again after drained(); -ENOTSUP: this protocol
	 * cannot. */
	int (*command)(void *inst, struct cleat_chan *, void *session,
	    const struct cleat_command *);
	/* Asks the device to give a command up that it was sent. */
	void (*command_cancel)(void *inst, struct cleat_chan *, void *session,
	    const char *id);
	void (*drain)(void *inst, struct cleat_chan *, void *session,
	    const struct cleat_drain *);
};

#ifdef __cplusplus
}
#endif

#endif
