/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon offers a plugin.
 *
 * Threads.  A protocol plugin has one instance per worker, called on that
 * worker's thread.  A certificate-source or status instance has a thread and a
 * loop of its own.  Every op and callback of an instance comes on its one
 * thread, never two at a time, never from inside a host call.  Every function
 * below is to be called on that thread too, except log and post, which any
 * thread may call.  An op of a protocol must not block; one that takes over
 * 50 ms is logged.  A plugin's own threads are started in start() and
 * joined in stop().
 *
 * Ownership.  No allocated byte changes hands: the callee copies what it keeps,
 * and a pointer in a call is valid until the call returns.  Text is UTF-8 with
 * a NUL and never NULL unless it says so.
 *
 * Errors.  Negative errno.  A plugin must not exit, fork without exec, change
 * signal handlers, locale or umask, or write to standard output.
 */
#ifndef CLEAT_HOST_H
#define CLEAT_HOST_H

#include <cleat/abi.h>
#include <cleat/cert_source.h>
#include <cleat/protocol.h>
#include <cleat/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum cleat_log_level {			/* as in syslog */
	CLEAT_LOG_ERROR = 3,		/* someone must act */
	CLEAT_LOG_WARNING = 4,		/* degraded, going on */
	CLEAT_LOG_NOTICE = 5,		/* a state changed */
	CLEAT_LOG_INFO = 6,
	CLEAT_LOG_DEBUG = 7
};

#define CLEAT_FD_READ 1u
#define CLEAT_FD_WRITE 2u
#define CLEAT_FD_ERROR 4u		/* always reported */

struct cleat_timer;
struct cleat_fd;

struct cleat_host {
	uint32_t size;			/* sizeof(struct cleat_host) */
	uint16_t abi_major, abi_minor;

	/* ---- every kind ---- */

	/* One line; the instance's name is put in front.  Any thread. */
	void (*log)(struct cleat_self *, int level, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
	/* Its name.  This and state_dir: valid until close() returns. */
	const char *(*instance)(struct cleat_self *);
	/* Where the instance may keep files: an existing directory, 0700. */
	const char *(*state_dir)(struct cleat_self *);

	/* Option values by name.  opts NULL: those in force.  The name must
	 * be in the plugin's schema.  Text, of opt_item too: NULL when unset,
	 * else valid until the next reload (or, in prepare, until commit or
	 * discard).  Values have been checked against type and range; duration
	 * in ms, size in bytes. */
	const char *(*opt_text)(struct cleat_self *, const struct cleat_opts *,
	    const char *name);
	uint64_t (*opt_number)(struct cleat_self *, const struct cleat_opts *,
	    const char *name);	/* bool: 0, 1; unset: 0 */
	/* The i-th element of a list, NULL behind its end. */
	const char *(*opt_item)(struct cleat_self *, const struct cleat_opts *,
	    const char *name, unsigned i);

	uint64_t (*mono_ms)(struct cleat_self *);
	int64_t (*wall_ms)(struct cleat_self *);

	/* Calls fn(arg) on the instance's thread soon.  Any thread; the
	 * only way in for a plugin's own threads.  -EINVAL no fn, -ENOMEM,
	 * -ESHUTDOWN after stop. */
	int (*post)(struct cleat_self *, void (*fn)(void *), void *arg);
	/* Calls fn(arg) once after `ms`.  -EINVAL no fn, -ENOMEM. */
	int (*timer_new)(struct cleat_self *, void (*fn)(void *), void *arg,
	    struct cleat_timer **ret);
	void (*timer_set)(struct cleat_timer *, uint64_t ms);	/* restarts */
	void (*timer_stop)(struct cleat_timer *);
	void (*timer_free)(struct cleat_timer *);	/* NULL is fine */
	/* Watches a descriptor for CLEAT_FD_* (level-triggered); the plugin
	 * closes it after fd_free().  -EINVAL no fn or descriptor, -ENOMEM,
	 * -errno of epoll; fd_set: that alone. */
	int (*fd_new)(struct cleat_self *, int fd, unsigned events,
	    void (*fn)(void *, unsigned events), void *arg,
	    struct cleat_fd **ret);
	int (*fd_set)(struct cleat_fd *, unsigned events);
	void (*fd_free)(struct cleat_fd *);		/* NULL is fine */

	/* Publishes `plugin.event` with this text and JSON object (may be NULL)
	 * on the bus.  -EINVAL: no text, or not one JSON object; -EMSGSIZE:
	 * either is over 16 KiB; -ENOMEM. */
	int (*emit)(struct cleat_self *, const char *text,
	    const char *detail_json);

	/* ---- CLEAT_CERT_SOURCE ---- */

	/* Those that return an int are -ENOTSUP for other kinds. */

	/* The i-th slot that names this instance as its source; NULL ends.
	 * This and slot_name: valid until the next reload. */
	const char *(*slot)(struct cleat_self *, unsigned i);
	/* The i-th server name configured for a slot; NULL ends. */
	const char *(*slot_name)(struct cleat_self *, const char *slot,
	    unsigned i);
	/* Checks a credential completely (key against leaf, dates, …) and puts
	 * it in service for new handshakes.  0: every worker will serve it;
	 * else the one in service stays, and the reason is logged and
	 * published.  -EINVAL the credential, -ENOENT the slot, -ENOMEM. */
	int (*cred_publish)(struct cleat_self *, const char *slot,
	    const struct cleat_cred *);
	/* Nothing can be published now, because of `why`: logged and published
	 * as certificate.failed; what is in service stays. */
	void (*cred_failed)(struct cleat_self *, const char *slot,
	    const char *why);
	/* Answers a sign request: error 0 and the signature (DER for ECDSA, as
	 * TLS carries it), or negative errno.  -ENOENT:
	 * not waited for any more. */
	int (*sign_done)(struct cleat_self *, uint64_t request, int error,
	    struct cleat_bytes signature);
	/* ACME http-01 (RFC 8555 8.3): serve `body` at
	 * /.well-known/acme-challenge/<token>.  challenge_done(request) tells
	 * when every worker does.  -EAGAIN before start(), -EINVAL token or
	 * body, -ENOSPC too many, -ENOMEM. */
	int (*challenge_http)(struct cleat_self *, uint64_t request,
	    const char *token, const char *body);
	/* ACME tls-alpn-01 (RFC 8737): the certificate for `name`.
	 * challenge_done(request) as above.  -EAGAIN before start(), -EINVAL
	 * name, or credential (the log says why), -ENOSPC too many,
	 * -ENOMEM. */
	int (*challenge_alpn)(struct cleat_self *, uint64_t request,
	    const char *name, const struct cleat_cred *);
	/* Takes a token or name out of service.  Unknown ones are fine. */
	void (*challenge_remove)(struct cleat_self *,
	    const char *token_or_name);

	/* ---- CLEAT_PROTOCOL ---- */

	/* Unique among all channels of this epoch. */
	uint64_t (*chan_id)(const struct cleat_chan *);
	/* A channel of this instance's worker, or NULL. */
	struct cleat_chan *(*chan_find)(struct cleat_self *, uint64_t id);
	/* What the ops of this channel get as `session` from now on; the core
	 * only keeps it, and it is NULL until then. */
	void (*chan_set_session)(struct cleat_chan *, void *session);
	/* Sends one message; copies.  0; -EAGAIN the queue is full, drained()
	 * follows; -EPIPE it is closing; -EMSGSIZE; -EINVAL p is NULL and n is
	 * not 0; -ENOMEM. */
	int (*chan_send)(struct cleat_chan *, const struct cleat_msg *);
	/* Starts the closing handshake; closed() follows.  code: 1000 to 1003,
	 * 1007 to 1013, 3000 to 4999; any other becomes 1011.  `why` is cut to
	 * 123 bytes. */
	void (*chan_close)(struct cleat_chan *, uint16_t code, const char *why);
	/* "" before authentication.  Valid until closed() returns. */
	const char *(*chan_endpoint)(const struct cleat_chan *);
	/* 32 random bytes, made once and bound to this channel.  -EPERM after
	 * authentication, -EIO. */
	int (*auth_challenge)(struct cleat_chan *, unsigned char ret[32]);
	/* Asks the core who this is; authenticated() answers.  -EALREADY asked
	 * before, -EINVAL the id or another member is not valid, -EPIPE it is
	 * closing, -ENOMEM. */
	int (*auth_hello)(struct cleat_chan *, const struct cleat_hello *);
	/* What the device announced.  -EPERM before authentication and when it
	 * is closing; presence_power: -EINVAL. */
	int (*presence_power)(struct cleat_chan *, enum cleat_power);
	int (*presence_sleep)(struct cleat_chan *, int64_t until_wall_ms);
	int (*presence_bye)(struct cleat_chan *);
	/* Publishes endpoint.message with this JSON object.  -EPERM as above,
	 * and when another channel has taken its place; -EINVAL, -EMSGSIZE over
	 * 64 KiB. */
	int (*message_publish)(struct cleat_chan *, const char *json, size_t n);

	/* ---- 1.1, CLEAT_PROTOCOL ---- */

	/* What ends with completed(): `request` is the plugin's own number.
	 * All: -EPERM before authentication and when it is closing, -ENOMEM,
	 * -EAGAIN too much waits. */

	/* What the device announced so far is durable. */
	int (*presence_settle)(struct cleat_chan *, uint64_t request);
	/* Stores `json`, an array of n bytes, under this number of the
	 * device's; numbers up to the last stored one are known and stored no
	 * more.  -EINVAL. */
	int (*telemetry_put)(struct cleat_chan *, uint64_t request,
	    uint64_t seq, const char *json, size_t n);
	/* Changes the inventory by a merge patch (RFC 7396), one object.
	 * -EINVAL, -EMSGSIZE over 64 KiB, -EAGAIN also when another channel has
	 * taken its place. */
	int (*inventory_patch)(struct cleat_chan *, uint64_t request,
	    const char *json, size_t n);
	/* What became of a command; the device may forget it when completed()
	 * says so.  -EINVAL. */
	int (*command_outcome)(struct cleat_chan *, uint64_t request,
	    const struct cleat_command_result *);
	/* The device has recorded the command, and works on it.  Published, not
	 * answered.  percent: 0 to 100, or -1; text may be "".  -ENOENT: no
	 * open command of this endpoint; -EINVAL: no id or text. */
	int (*command_accepted)(struct cleat_chan *, const char *id);
	int (*command_progress)(struct cleat_chan *, const char *id,
	    int percent, const char *text);
	/* The device has no room for the command now: it is given again after
	 * some seconds.  -ENOENT: it was not sent on this channel; -EINVAL. */
	int (*command_later)(struct cleat_chan *, const char *id);

	/* ---- 1.1, CLEAT_STATUS ---- */

	/* Calls fn for every metric of the daemon, on this thread, before it
	 * returns.  Names are those of Prometheus: lower case, unit at the end,
	 * counters in _total.  `labels` is `a="b",…` or "".  Those of one name
	 * follow each other.  -EAGAIN before start() has returned,
	 * -ENOTSUP, -ENOMEM. */
	int (*metrics)(struct cleat_self *, void (*fn)(void *ctx,
	    const struct cleat_metric *), void *ctx);

	/* ---- 1.1, every kind ---- */

	/* A CLEAT_OPT_SECRET option as it is now: if it is in a file, that is
	 * read again, where opt_text has what it was when the configuration was
	 * read.  Calls fn once before it returns, with the text ("" if none is
	 * set) and NULL, or with NULL and one line that says why not.
	 * Blocking: not for protocols.  opts as above.  -errno as of the
	 * file, -ENOMEM. */
	int (*opt_secret)(struct cleat_self *, const struct cleat_opts *,
	    const char *name, void (*fn)(void *ctx, const char *text,
	    const char *why), void *ctx);
};

/* Whether the daemon is new enough to have member f. */
#define CLEAT_HOST_HAS(h, f) \
	((h)->size >= offsetof(struct cleat_host, f) + sizeof((h)->f))

#ifdef __cplusplus
}
#endif

#endif
