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
 * The descriptor may be another one after each call of the library.  The client
 * connects, verifies the server, says hello, answers pings, notices a dead
 * server, and reconnects for ever with full jitter, as the server's hints and
 * close codes say (doc/protocol.md).  A client belongs to one thread; it starts
 * none, and never waits: neither for names nor for a proxy.  Errors are
 * negative errno.  Texts given to a callback live until it returns.
 * cleat-client(3).
 */
#ifndef CLEAT_CLIENT_H
#define CLEAT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEAT_CLIENT_API __attribute__((visibility("default")))

struct cleat_client;

enum cleat_client_state {
	CLEAT_CLIENT_WAITING,		/* for the next attempt */
	CLEAT_CLIENT_CONNECTING,	/* names, TCP, TLS, upgrade, hello */
	CLEAT_CLIENT_ONLINE,
	CLEAT_CLIENT_STOPPED		/* cleat_client_stop() is done */
};

enum cleat_client_level {
	CLEAT_CLIENT_WARNING = 4,	/* also each weakening */
	CLEAT_CLIENT_NOTICE = 5,
	CLEAT_CLIENT_INFO = 6
};

/* How a call ended. */
struct cleat_client_answer {
	/* 0; -EREMOTEIO the server's error; -ENOTCONN the channel ended
	 * before the answer: perhaps it was done, perhaps not. */
	int error;
	int code;			/* JSON-RPC's, of the server's error */
	const char *text;		/* of the error; never NULL */
	const char *json;		/* the result, or data of the error */
};

struct cleat_client_opts {
	size_t size;			/* sizeof(struct cleat_client_opts) */

	/* "wss://host[:443][/v1/channel]" or "host[:8443]"; several, separated
	 * by commas or spaces, are tried in this order. */
	const char *server;
	/* Where lists of servers that the server sends (hello, drain,
	 * set-server) are kept, or NULL: they are forgotten at the end.  The
	 * servers above are tried after them.  A file that holds no such list,
	 * or, where the first above has TLS, a server without, is removed. */
	const char *servers_file;
	const char *endpoint;		/* who we are */
	const char *agent;		/* "name version" of the program */
	const char *boot_id;		/* of this boot of the
					 * device, or NULL */
	uint32_t retry_min_ms, retry_max_ms;	/* 0: 1 s and 120 s */
	uint32_t approval_ms;		/* between questions; 0: 30 s */

	/* Who we are, one of: a token; a certificate; a key of our own. */
	const char *token;
	/* PEM, DER, PKCS#8, PKCS#12, also both in one file; NULL none. */
	const char *cert_file, *key_file;
	const char *key_passphrase;	/* of the key; NULL not encrypted */
	/* Ed25519 key (the seed, 64 hexadecimal digits).  Made when the file
	 * is not there, 0600. */
	const char *identity_file;
	/* The key is not known to the server yet: enrol with it.  That it
	 * is, is kept in the file identity_file + ".enrolled".  When the
	 * server refuses the key later, it is enrolled again. */
	bool enrol;
	const char *enrol_token;	/* one-time, or NULL */

	/* What the server has to prove. */
	/* PEM or DER: a file, or a directory of them; NULL: the system's
	 * authorities. */
	const char *ca_file;
	/* Revocation lists, likewise; each signed by one of ca_file. */
	const char *crl_file;
	/* "sha256/BASE64" of the server's public key (SPKI), "ca:sha256/..."
	 * of an authority that signed it; separated by commas or spaces.  One
	 * has to match, besides all else.  Give two: one is the backup. */
	const char *pins;
	/* SHA-256 of the server's certificate, hexadecimal, with or without
	 * colons; separated likewise.  One has to match. */
	const char *fingerprints;
	/* Exact values that its subject and issuer must have. */
	const char *subject_cn, *subject_o, *subject_ou;
	const char *issuer_cn, *issuer_o, *issuer_ou;
	/* Alternative names, "dns:NAME", "dns:*.NAME", "uri:URI",
	 * "uri:PREFIX*", "ip:ADDRESS"; separated likewise.  One has to be
	 * there. */
	const char *sans;
	/* Weakenings, each to be switched on knowingly; each is logged as a
	 * warning.  Pins, fingerprints and what else is asked of the
	 * certificate are checked whatever the first three say. */
	bool no_verify_chain;		/* any issuer, any dates */
	bool no_verify_host;		/* any name in the certificate */
	bool allow_self_signed;		/* a certificate signed by itself */
	bool any_criterion;		/* one of pins ... sans is enough */

	/* "http://[user:password@]host[:3128]"; "none"; NULL: from
	 * https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY and no_proxy. */
	const char *proxy;
	const char *proxy_user, *proxy_password;	/* or NULL */
	/* "none", "basic", "digest"; NULL: what the proxy asks for, digest if
	 * it has the choice. */
	const char *proxy_auth;

	/* What is spoken: "modern" (TLS 1.3), "intermediate" (also 1.2),
	 * "custom" (tls_priority, a GnuTLS string, narrowed to what is
	 * allowed); NULL: custom with a priority, else intermediate.
	 * cipher_suite, an OpenSSL cipher list, narrows the profile; not
	 * together with tls_priority.  What came of them is logged. */
	const char *tls_profile, *tls_priority, *cipher_suite;
	bool fips_require;		/* only if GnuTLS is in FIPS mode */

	void *ctx;
	/* The state changed, or another attempt failed (WAITING again);
	 * `why` is one line for the log. */
	void (*state)(void *ctx, enum cleat_client_state, const char *why);
	/* A line for the log; no secrets in it.  May be NULL. */
	void (*log)(void *ctx, enum cleat_client_level, const char *text);
	/* The server sent a notification (JSON text of its params); may be
	 * NULL.  `drain` is told and done by the client itself. */
	void (*notification)(void *ctx, const char *method,
	    const char *params_json);
	/* The server asks (`command`, `cancel`).  0: answered with {};
	 * -ENOSYS: unknown method or verb, -EINVAL: a member is wrong,
	 * -EAGAIN: not just now, -ENOENT: the command to be cancelled was never
	 * recorded, others: internal error.  May be NULL: unknown verb, and
	 * never recorded. */
	int (*request)(void *ctx, const char *method, const char *params_json);
	/* Each time we come online, before `state`: the result of hello. */
	void (*hello)(void *ctx, const char *result_json);
	/* An operator has to approve this device: the SHA-256 of its key in
	 * hexadecimal, to be shown and compared.  May be NULL. */
	void (*approval)(void *ctx, const char *fingerprint);
};

/*
 * Every function is called on the client's one thread, and does not wait but
 * where that is said.  All texts are UTF-8, are copied where they are kept,
 * and stay the caller's.
 */

#define CLEAT_CLIENT_WHY_SIZE 512
/*
 * Copies the options and reads the files; makes the key if it is missing.  It
 * connects in cleat_client_process() only, which looks at the files of TLS
 * again before each attempt: changed ones count from then on, or, when they
 * cannot be used, the old ones, with a warning to `log`.  *ret is the caller's,
 * to be freed with cleat_client_free().  `log` may be called.  Blocks on local
 * files.  -EINVAL an option is missing or wrong, -EPERM others may read the
 * key, -ENOMEM, or -errno of a file; one line in why[CLEAT_CLIENT_WHY_SIZE],
 * *ret untouched.
 */
CLEAT_CLIENT_API int cleat_client_new(const struct cleat_client_opts *,
    char *why, struct cleat_client **ret);
/* Ends the channel without goodbye and sets the pointer to NULL; NULL inside
 * is fine.  Calls that wait are not answered any more.  Never from a callback.
 */
CLEAT_CLIENT_API void cleat_client_free(struct cleat_client **);

/* What to watch until the next call of the library: it stays the client's; -1:
 * nothing. */
CLEAT_CLIENT_API int cleat_client_fd(const struct cleat_client *);
/* POLLIN, POLLOUT or both, for that descriptor. */
CLEAT_CLIENT_API short cleat_client_poll_events(const struct cleat_client *);
/* Milliseconds until cleat_client_process() is wanted in any case, at most an
 * hour; 0 at once; -1 never (STOPPED). */
CLEAT_CLIENT_API int cleat_client_timeout_ms(const struct cleat_client *);
/* Does what can be done without waiting; all callbacks but `log` come from
 * here and from cleat_client_stop().  Harmless when there is nothing to do,
 * never from a callback.  What fails is told to `state`, and tried again. */
CLEAT_CLIENT_API void cleat_client_process(struct cleat_client *);

/* What `state` was told last, WAITING at the start; ONLINE until the goodbye is
 * over.  Also from a callback; does not fail. */
CLEAT_CLIENT_API enum cleat_client_state cleat_client_get_state(
    const struct cleat_client *);
/* The public key of identity_file, 64 hexadecimal digits, the client's until
 * it is freed; NULL: there is none. */
CLEAT_CLIENT_API const char *cleat_client_public_key(
    const struct cleat_client *);

/*
 * What is said to the server.  All of these return 0: it is on its way;
 * -ENOTCONN not online, -ENOBUFS too much waits to be sent or answered,
 * -EINVAL not JSON of the right kind, or nested too deep (protocol.md says how
 * deep a message may be), -EMSGSIZE more than the server takes,
 * -EIO no random numbers, -ENOMEM no memory, or a text that is not UTF-8.
 * After an error nothing was sent.
 *
 * When a call returns 0, `done` (may be NULL) is called once, later, inside
 * cleat_client_process() or cleat_client_stop(), with `arg`, which stays the
 * caller's; after an error it is not.  What it is given lives until it
 * returns.  Calls are answered in any order; at most CLEAT_CLIENT_CALLS_MAX
 * wait.
 */
#define CLEAT_CLIENT_CALLS_MAX 64

/* A request of any method; `params_json` is one JSON object. */
CLEAT_CLIENT_API int cleat_client_call(struct cleat_client *,
    const char *method, const char *params_json,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg);
/* A notification, which nobody answers; `params_json` is one JSON object. */
CLEAT_CLIENT_API int cleat_client_notify(struct cleat_client *,
    const char *method, const char *params_json);

/* `seq` from 1 on, rising; `data_json`: an array.  The result {"stored":N}:
 * forget all up to N.  An error: doc/protocol.md says which are for good. */
CLEAT_CLIENT_API int cleat_client_telemetry(struct cleat_client *,
    uint64_t seq, const char *data_json,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg);
/* `patch_json`: an object, a merge patch (RFC 7396). */
CLEAT_CLIENT_API int cleat_client_inventory(struct cleat_client *,
    const char *patch_json,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg);
/* `percent` 0 to 100, or negative: not told; `text` may be NULL.  A
 * notification: it may be lost. */
CLEAT_CLIENT_API int cleat_client_progress(struct cleat_client *,
    const char *command_id, int percent, const char *text);
/* `outcome`: ok, error, cancelled, interrupted; `result_json` any JSON value
 * or NULL; `message` or NULL.  Say it again until it is answered. */
struct cleat_client_outcome {
	const char *command_id, *outcome, *result_json, *message;
};
CLEAT_CLIENT_API int cleat_client_outcome(struct cleat_client *,
    const struct cleat_client_outcome *,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg);
/* `power`: on, shutting-down, rebooting, suspending. */
CLEAT_CLIENT_API int cleat_client_state(struct cleat_client *,
    const char *power,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg);
/* Silent until then (milliseconds since 1970-01-01 UTC).  Once it is answered
 * cleat_client_free() ends the channel: cleat_client_stop() would say that the
 * device has left. */
CLEAT_CLIENT_API int cleat_client_sleep(struct cleat_client *,
    int64_t until_ms,
    void (*done)(void *arg, const struct cleat_client_answer *), void *arg);

/* Servers to use from the next connection on, best first, as in opts.server;
 * "" none but those.  Kept in servers_file: blocks on it.  -EINVAL one is no
 * URL, or has no TLS where the first of opts.server has, -ENOMEM: nothing
 * changed; -errno of the file: they are used, but not kept. */
CLEAT_CLIENT_API int cleat_client_set_servers(struct cleat_client *,
    const char *servers);

/* Says bye with this reason (not NULL) and closes; the state becomes STOPPED,
 * at once or within 3 s of cleat_client_process(), and stays so.  In a
 * callback it takes effect when cleat_client_process() is about to return. */
CLEAT_CLIENT_API void cleat_client_stop(struct cleat_client *,
    const char *reason);

#ifdef __cplusplus
}
#endif
#endif
