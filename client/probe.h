/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens a channel as a device does, once, and tells every step: what was
 * found, and all that is wrong, not only what is wrong first.  It goes the
 * client's own way (link, TLS, upgrade) and judges by the client's own policy.
 *
 * A server that is refused is visited a second time, without a certificate of
 * ours and without any secret, to see what it speaks.  It never enrols, never
 * makes a key, writes no file.  Blocking, but never longer than its deadline.
 * Thread: any, one probe at a time.
 */
#ifndef CT_CLIENT_PROBE_H
#define CT_CLIENT_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "cleat-client.h"

struct cert_facts;

enum probe_level { PROBE_OK, PROBE_SKIP, PROBE_WARNING, PROBE_FAIL };

/* What the first failure is about. */
enum probe_result {
	PROBE_GOOD,
	PROBE_SETTINGS,			/* a file or an option of ours */
	PROBE_UNREACHED,		/* name, TCP, proxy */
	PROBE_UNTRUSTED,		/* TLS, or its certificate */
	PROBE_OTHER,			/* upgrade, challenge: no cleat */
	PROBE_REFUSED			/* hello */
};

struct probe_line {
	const char *check;
	enum probe_level level;
	/* May hold the server's words: to be escaped. */
	const char *text;
	int64_t took_ms;		/* -1: no time of its own */
	const struct cert_facts *cert;	/* of a certificate; else NULL */
};

struct probe_spec {
	/* As of a device, but for what it keeps (servers_file) and its
	 * callbacks, which are not used; `server` is the one address to be
	 * tried.  Who it is may be missing without `hello`. */
	const struct cleat_client_opts *opts;
	uint32_t timeout_ms;		/* for all of it */
	/* Also says hello: this ends the channel that the device may have. */
	bool hello;
	/* The device has nothing but its certificate to prove who it is. */
	bool cert_is_all;
	void (*line)(void *ctx, const struct probe_line *);
	void *ctx;
};

enum probe_result probe_run(const struct probe_spec *);

#endif
