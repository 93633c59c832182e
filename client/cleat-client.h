/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcleat-client: one device's channel to a cleat server, for any event loop.
 *
 * The loop asks for a descriptor, what to wait for and until when, and calls
 * cleat_client_process() when either happened:
 *
 *	for (;;) {
 *		struct pollfd p = { cleat_client_fd(c),
 *		    cleat_client_poll_events(c), 0 };
 *		poll(&p, p.fd >= 0, cleat_client_timeout_ms(c));
 *		cleat_client_process(c);
 *	}
 *
 * The client connects, verifies the server, says hello, answers pings, notices a
 * dead server, and reconnects for ever with full jitter, as the server's hints
 * and close codes say (doc/protocol.md).  A client belongs to one thread; it
 * starts none.  Names are resolved by getaddrinfo(3), which may block for as long
 * as the system's resolver does.  Errors are negative errno.
 */
#ifndef CLEAT_CLIENT_H
#define CLEAT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cleat_client;

enum cleat_client_state {
	CLEAT_CLIENT_WAITING,		/* for the next attempt */
	CLEAT_CLIENT_CONNECTING,	/* TCP, TLS, upgrade, hello */
	CLEAT_CLIENT_ONLINE,
	CLEAT_CLIENT_STOPPED		/* cleat_client_stop() is done */
};

struct cleat_client_opts {
	const char *server;		/* "wss://host[:8443][/v1/channel]" */
	const char *endpoint;		/* who we are */
	const char *token;		/* or NULL: by certificate */
	const char *cert_file, *key_file;	/* PEM; NULL none */
	const char *ca_file;		/* PEM; NULL: the system's authorities */
	/* A weakening, to be switched on knowingly: accept any name in the
	 * server's certificate. */
	bool no_verify_host;
	const char *agent;		/* name and version of the program */
	const char *boot_id;		/* of this boot of the device, or NULL */
	uint32_t retry_min_ms, retry_max_ms;	/* 0: 1 s and 120 s */

	void *ctx;
	/* The state changed; `why` is one line for the log. */
	void (*state)(void *ctx, enum cleat_client_state, const char *why);
	/* The server sent a notification (JSON text of its params); may be
	 * NULL. */
	void (*notification)(void *ctx, const char *method,
	    const char *params_json);
};

#define CLEAT_CLIENT_WHY_SIZE 512
/* Copies the options and reads the files.  -EINVAL and others, with one line in
 * why[CLEAT_CLIENT_WHY_SIZE]; -ENOMEM. */
int cleat_client_new(const struct cleat_client_opts *, char *why,
    struct cleat_client **ret);
/* Ends the channel without goodbye. */
void cleat_client_free(struct cleat_client **);

int cleat_client_fd(const struct cleat_client *);	/* -1 none now */
short cleat_client_poll_events(const struct cleat_client *);
int cleat_client_timeout_ms(const struct cleat_client *);	/* -1 never */
/* Does what can be done without waiting. */
void cleat_client_process(struct cleat_client *);

enum cleat_client_state cleat_client_get_state(const struct cleat_client *);

/*
 * Sends a notification; `params_json` is one JSON object.  -ENOTCONN when not
 * online, -ENOBUFS when too much waits to be sent.
 */
int cleat_client_notify(struct cleat_client *, const char *method,
    const char *params_json);
/* Says bye and closes; the state becomes STOPPED and stays so.  In a callback it
 * takes effect when cleat_client_process() is about to return; a client is never
 * freed in one. */
void cleat_client_stop(struct cleat_client *, const char *reason);

#endif
