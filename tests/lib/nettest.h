/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/net in one process: a struct net with one worker whose loop the test
 * turns, clients on loopback, and an upper layer that keeps what it was given
 * and echoes.  Asserts with cmocka's means are left to the tests.
 */
#ifndef CT_TEST_NETTEST_H
#define CT_TEST_NETTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/worker.h"
#include "net/net.h"

#define NETTEST_CHANNELS 16

struct nettest_channel {
	struct stream stream;
	struct nettest *test;
	struct addr admitted;
	bool open, compression;
	uint8_t got[512 * 1024];	/* early bytes, then what was read */
	size_t got_n, early_n;
	char path[128], target[128], subprotocol[64], peer[120];
};

struct nettest {
	struct net *net;
	struct worker worker;
	struct net_worker *w;
	struct net_limits limits;
	char address[120];		/* of listener 0 */
	/* What the upper layer is to do. */
	bool ready, refuse_upgraded;
	int route_status;
	const char *route_why, *route_subprotocol;
	bool route_compression;
	unsigned routed;
	struct nettest_channel *channels;	/* NETTEST_CHANNELS */
	unsigned channels_n;
};

/* Generous limits, to be changed by the test. */
struct net_limits nettest_limits(void);
/* Starts with these listeners; 0 or the errno of net_new or net_worker_new.
 * t->limits is used as it is; t->channels is allocated. */
int nettest_start(struct nettest *t, const struct net_listener_opts *,
    size_t n, char *why);
void nettest_stop(struct nettest *t);
/* Turns the loop until done(arg) or for `ms`; whether it was done. */
bool nettest_until(struct nettest *t, bool (*done)(void *), void *arg,
    unsigned ms);
void nettest_turn(struct nettest *t, unsigned ms);

/* A blocking descriptor connected to `address`, or -errno. */
int nettest_connect(const char *address);
/* Sends everything while the loop turns; false when the peer is gone. */
bool nettest_send(struct nettest *t, int fd, const void *p, size_t n);
/*
 * Reads into to[cap] while the loop turns until `want` bytes are there, or the
 * end came (*ret_eof), or 3 s have passed.  Returns how many there are; `to` is
 * terminated.
 */
size_t nettest_read(struct nettest *t, int fd, char *to, size_t cap,
    size_t want, bool *ret_eof);

#define NETTEST_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define NETTEST_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
/* A good upgrade request for a target. */
#define NETTEST_UPGRADE(target) \
	"GET " target " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" \
	"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: " NETTEST_KEY "\r\n\r\n"

#endif
