/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a channel calls: the protocol that translates its messages.  One per
 * protocol plugin instance and worker; plug/proto_host fills it from the
 * plugin's ops.  Every call is on the worker's thread and never
 * re-entrant: what a call causes (a send that fails, a close) is delivered
 * after it has returned.
 */
#ifndef CT_CHANNEL_PROTOCOL_H
#define CT_CHANNEL_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel;
struct net_request;
struct outbuf;

enum channel_auth_method {
	AUTH_NONE, AUTH_CERTIFICATE, AUTH_TOKEN, AUTH_KEY, AUTH_ENROL
};

struct channel_auth_result {
	int error;			/* 0; -EACCES refused, -EAGAIN try
					 * later, -EINPROGRESS, -EBUSY,
					 * -EDQUOT */
	const char *endpoint;		/* the identity that was proven */
	uint64_t channel_number;	/* of this endpoint */
	uint64_t epoch;
	int security;			/* enum channel_security */
	uint64_t telemetry_seq;		/* last one that is stored; 0 none */
	const char *enrolled;		/* a token that was made; "" none */
	const char *fingerprint;	/* -EINPROGRESS: of the key; "" none */
};

/* What a call with a request number led to, once it is durable or
 * has failed. */
struct channel_completion {
	int error;			/* 0, or negative errno */
	uint64_t request, value;
};

struct channel_command {
	bool again;			/* it may have been delivered before */
	const char *id, *verb;
	const char *args;		/* a JSON object */
	int64_t deadline_ms;		/* wall */
};

struct channel_drain {
	uint32_t window_ms;
	const char *servers;		/* comma-separated; "" the same */
	const char *why;		/* restart, rebalance, moved */
};

struct channel_protocol {
	const char *name;		/* instance name */
	const char *const *subprotocols;	/* NULL ends */
	const char *const *paths;		/* NULL ends */
	size_t max_message;		/* bytes, after inflating */
	bool compression;
	bool anonymous;			/* no authentication, no
					 * auth deadline */

	/* The channel is open.  `request` is valid during the call. */
	void (*open)(struct channel_protocol *, struct channel *,
	    const struct net_request *request);
	/* One whole message; p is valid during the call and may be changed. */
	void (*message)(struct channel *, uint8_t *p, size_t n, bool text);
	/* Optional: nothing but message() was done since the first of a row of
	 * them, and the row ends.  For who wants to know how long it took. */
	void (*messages_end)(struct channel *);
	/* There is room in the send queue again after -EAGAIN. */
	void (*drained)(struct channel *);
	/* The answer to channel_authenticate(). */
	void (*authenticated)(struct channel *,
	    const struct channel_auth_result *);
	/* Optional, together: the session as bytes for a move to another worker
	 * (or process).  export: -ENOBUFS; the session stays until closed() or
	 * forget().  import makes the session from them.  forget: the channel
	 * lives on elsewhere; frees the session, nothing else. */
	int (*export)(struct channel *, struct outbuf *out);
	int (*import)(struct channel_protocol *, struct channel *,
	    const uint8_t *p, size_t n);
	void (*forget)(struct channel *);
	/* Optional, each by itself; only after authentication.  command: 0 it
	 * is on its way, -EAGAIN offer it again after drained(), -ENOTSUP. */
	void (*completed)(struct channel *, const struct channel_completion *);
	int (*command)(struct channel *, const struct channel_command *);
	void (*command_cancel)(struct channel *, const char *id);
	void (*drain)(struct channel *, const struct channel_drain *);
	/* The last call.  code: RFC 6455 7.4 (1006: no close frame). */
	void (*closed)(struct channel *, uint16_t code, const char *why);
};

#endif
