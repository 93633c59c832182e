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
	const char *cert_cn;		/* verified client certificate; "" none */
};

struct cleat_msg {
	uint32_t size;			/* sizeof(struct cleat_msg) */
	uint32_t is_text;		/* 1: UTF-8 was checked; 0: binary */
	const void *p;			/* n bytes; no NUL behind them */
	size_t n;
};

enum cleat_auth_method {
	CLEAT_AUTH_CERTIFICATE = 1,	/* the TLS client certificate */
	CLEAT_AUTH_TOKEN = 2
};

/* What a device says of itself in its first message. */
struct cleat_hello {
	uint32_t size;			/* sizeof(struct cleat_hello) */
	uint32_t method;		/* enum cleat_auth_method */
	const char *endpoint;		/* the id it claims */
	const char *token;		/* CLEAT_AUTH_TOKEN, else NULL */
	const char *boot_id;		/* "" unknown */
	const char *agent;		/* name and version, "" unknown */
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
	 * A channel moves to another worker's instance.  Optional, but only
	 * together: without them it stays where it is.  export writes the
	 * session as bytes into to[cap] and returns how many, or -ENOBUFS, or
	 * -EBUSY (not just now); the session lives on.  import makes one from
	 * them for a channel of its own instance (host->chan_set_session()).
	 * forget frees a session whose channel lives on elsewhere, and makes no
	 * host call about it.
	 */
	int (*session_export)(void *inst, struct cleat_chan *, void *session,
	    void *to, size_t cap);
	int (*session_import)(void *inst, struct cleat_chan *, const void *p,
	    size_t n);
	void (*session_forget)(void *inst, void *session);
};

#ifdef __cplusplus
}
#endif

#endif
