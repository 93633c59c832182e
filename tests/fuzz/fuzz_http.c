/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes into a plain connection, through libmicrohttpd, up to a channel: the
 * first byte says in which pieces, the others are sent, then the sender's end.
 * Whatever comes, the connection ends; what a channel got is exactly what stood
 * behind a request's empty line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/conn.h"
#include "../lib/nettest.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct nettest t;

#define MUST(c) ((c) ? (void)0 : abort())

static void
start(void)
{
	static const struct net_listener_opts plain = {
		.name = "fuzz", .address = "127.0.0.1:0", .backlog = 1
	};
	char why[256];

	t.limits = nettest_limits();
	t.limits.http_header = 2048;
	t.route_subprotocol = "a";
	t.route_compression = true;
	log_set_level(LOG_LVL_ERROR);
	MUST(nettest_start(&t, &plain, 1, why) == 0);
}

static bool
is_over(void *arg)
{
	static char sink[64 * 1024];
	const int *fd = arg;

	while (recv(*fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		continue;
	return atomic_load(&net_counters(t.net)->connections) == 0;
}

static void
check_channel(const uint8_t *p, size_t n)
{
	const struct nettest_channel *ch = &t.channels[0];

	MUST(t.channels_n == 1);
	MUST(ch->got_n < n);
	MUST(memcmp(ch->got, p + n - ch->got_n, ch->got_n) == 0);
	MUST(p[n - ch->got_n - 1] == '\n');
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct conn_origin from = { .site = 0 };
	size_t piece, at, part;
	int fd[2];

	if (n == 0 || n > 60000)
		return 0;
	if (t.net == NULL)
		start();
	piece = p[0] == 0 ? SIZE_MAX : (size_t)p[0] * p[0];
	p++;
	n--;
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	from.fd = fd[1];
	from.peer.ss_family = AF_UNIX;
	conn_new(t.w, &from);
	/* Small pieces cost a turn each: only at first. */
	for (at = 0; at < n; at += part) {
		part = n - at < piece || at > 200 * piece ? n - at : piece;
		if (send(fd[0], p + at, part, MSG_NOSIGNAL) != (ssize_t)part)
			break;
		nettest_turn(&t, 0);
	}
	(void)shutdown(fd[0], SHUT_WR);
	MUST(nettest_until(&t, is_over, &fd[0], 5000));
	if (t.channels_n > 0)
		check_channel(p, n);
	t.channels_n = 0;
	(void)close(fd[0]);
	return 0;
}
