/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections before their upgrade: limits, gates, PROXY header, deadlines
 * (core/net/conn.c, acceptor.c, net.c), plain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "../lib/nettest.h"
#include "../lib/under_valgrind.h"

static struct nettest t;
static char reply[64 * 1024], why[256];

static const struct net_listener_opts plain = {
	.name = "plain", .address = "127.0.0.1:0", .backlog = 4096
};

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.limits = nettest_limits();
	log_set_level(LOG_LVL_ERROR);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (t.net != NULL)
		nettest_stop(&t);
	return 0;
}

static void
start(const struct net_listener_opts *o)
{
	if (nettest_start(&t, o, 1, why) != 0)
		fail_msg("%s", why);
}

static struct net_counters *
count(void)
{
	return net_counters(t.net);
}

static bool
nobody_left(void *arg)
{
	(void)arg;
	return atomic_load(&count()->connections) == 0;
}

static bool
at_least(void *arg)
{
	const uint64_t *want = arg;

	return atomic_load(&count()->connections) >= *want;
}

/* Whether a whole request is answered on this connection. */
static bool
is_served(int fd)
{
	static const char one[] = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
	bool eof;

	if (!nettest_send(&t, fd, one, strlen(one)))
		return false;
	(void)nettest_read(&t, fd, reply, sizeof(reply), 12, &eof);
	return strncmp(reply, "HTTP/1.1 200", 12) == 0;
}

static bool
is_closed(int fd)
{
	bool eof;

	(void)nettest_read(&t, fd, reply, sizeof(reply), 1, &eof);
	return eof;
}

static void
silent_connects_are_bounded(void **state)
{
	enum { N = 2500 };
	int *fd = malloc(N * sizeof(fd[0]));
	uint64_t turns;

	(void)state;
	assert_non_null(fd);
	t.limits.handshakes = 50;
	t.limits.http_ms = 400;
	start(&plain);
	for (int i = 0; i < N; i++) {
		fd[i] = nettest_connect(t.address);
		assert_true(fd[i] >= 0);
		nettest_turn(&t, 0);
		assert_true(atomic_load(&count()->handshakes_now) <= 50);
	}
	assert_true(atomic_load(&count()->gated) > 0);
	/* No spinning while the gate is shut. */
	turns = clock_mono_ms();
	for (int i = 0; i < 4; i++)
		nettest_turn(&t, 20);
	assert_true(clock_mono_ms() - turns >= 20);
	for (int i = 0; i < N; i++)
		(void)close(fd[i]);
	free(fd);
	/* The gate opens again: a late comer is served. */
	{
		int late = nettest_connect(t.address);

		assert_true(late >= 0);
		for (int i = 0; i < 20 && !is_served(late); i++)
			continue;
		assert_true(strncmp(reply, "HTTP/1.1 200", 12) == 0);
		(void)close(late);
	}
	assert_true(nettest_until(&t, nobody_left, NULL, 10000));
}

static void
the_connection_limit_shuts_and_opens_the_gate(void **state)
{
	uint64_t three = 3;
	int fd[4];

	(void)state;
	t.limits.connections = 3;
	start(&plain);
	for (int i = 0; i < 4; i++)
		fd[i] = nettest_connect(t.address);
	assert_true(nettest_until(&t, at_least, &three, 3000));
	for (int i = 0; i < 3; i++)
		assert_true(is_served(fd[i]));
	nettest_turn(&t, 20);
	assert_int_equal(atomic_load(&count()->accepted), 3);
	(void)close(fd[0]);
	assert_true(is_served(fd[3]));
	for (int i = 1; i < 4; i++)
		(void)close(fd[i]);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
one_address_has_its_own_limit(void **state)
{
	int a, b, c;

	(void)state;
	t.limits.connections_per_address = 2;
	start(&plain);
	a = nettest_connect(t.address);
	b = nettest_connect(t.address);
	assert_true(is_served(a));
	assert_true(is_served(b));
	c = nettest_connect(t.address);
	assert_true(is_closed(c));
	(void)close(c);
	assert_int_equal(atomic_load(&count()->refused_address), 1);
	(void)close(a);
	(void)close(b);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
	c = nettest_connect(t.address);
	assert_true(is_served(c));
	(void)close(c);
}

static void
a_channel_keeps_its_place_until_released(void **state)
{
	static const char up[] = NETTEST_UPGRADE("/");
	int a, b;
	bool eof;

	(void)state;
	t.limits.connections_per_address = 1;
	start(&plain);
	a = nettest_connect(t.address);
	assert_true(nettest_send(&t, a, up, strlen(up)));
	(void)nettest_read(&t, a, reply, sizeof(reply), 12, &eof);
	assert_memory_equal(reply, "HTTP/1.1 101", 12);
	assert_int_equal(atomic_load(&count()->handshakes_now), 0);
	assert_int_equal(atomic_load(&count()->connections), 1);
	b = nettest_connect(t.address);
	assert_true(is_closed(b));
	(void)close(b);
	(void)close(a);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
	b = nettest_connect(t.address);
	assert_true(is_served(b));
	(void)close(b);
}

static void
run_out(bool switch_off_and_on)
{
	struct rlimit old, few;
	int fd[40], made = 0, turns = 0, spare;
	uint64_t begin, failed;
	/* Its accept() takes what is over the limit,
	 * closes it and says EMFILE. */
	bool lost = under_valgrind();

	start(&plain);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (; made < 20; made++)
		fd[made] = nettest_connect(t.address);
	spare = dup(0);
	few = old;
	few.rlim_cur = (rlim_t)spare + 5;
	(void)close(spare);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	begin = clock_mono_ms();
	while (clock_mono_ms() - begin < 250) {
		nettest_turn(&t, 100);
		turns++;
	}
	failed = atomic_load(&count()->accept_failed);
	assert_true(failed >= 1 && failed <= 4);
	assert_true(turns < 60);	/* no spin */
	if (switch_off_and_on)
		assert_int_equal(net_worker_accept(t.w, false), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	if (switch_off_and_on)
		assert_int_equal(net_worker_accept(t.w, true), 0);
	for (int i = 0; i < made; i++)
		assert_true(is_served(fd[i]) || (lost && is_closed(fd[i])));
	for (int i = 0; i < made; i++)
		(void)close(fd[i]);
	fd[0] = nettest_connect(t.address);
	assert_true(is_served(fd[0]));
	(void)close(fd[0]);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
running_out_of_descriptors_pauses_and_recovers(void **state)
{
	(void)state;
	run_out(false);
}

static void
a_pause_ends_when_accepting_is_switched_off_and_on(void **state)
{
	(void)state;
	run_out(true);
}

static void
silence_ends_at_the_deadline(void **state)
{
	int fd;

	(void)state;
	t.limits.http_ms = 100;
	start(&plain);
	fd = nettest_connect(t.address);
	assert_true(is_closed(fd));
	(void)close(fd);
	assert_int_equal(atomic_load(&count()->http_timeouts), 1);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

/* ---- PROXY -------------------------------------------------------------- */

static struct addr_range trusted[1];
static struct net_listener_opts proxied = {
	.name = "proxied", .address = "127.0.0.1:0", .backlog = 128,
	.proxy = true, .trusted = trusted, .trusted_n = 1
};

static void
start_proxied(const char *range)
{
	assert_int_equal(addr_range_parse(range, &trusted[0]), 0);
	start(&proxied);
}

static const char *
upgrade_behind(const void *header, size_t n, size_t chop)
{
	static const char up[] = NETTEST_UPGRADE("/p");
	char all[1024];
	int fd = nettest_connect(t.address);
	size_t at, whole = n + strlen(up);
	unsigned before = t.channels_n;
	bool eof;

	memcpy(all, header, n);
	memcpy(all + n, up, strlen(up));
	for (at = 0; at < whole; at += chop) {
		if (!nettest_send(&t, fd, all + at,
		    whole - at < chop ? whole - at : chop))
			break;
	}
	(void)nettest_read(&t, fd, reply, sizeof(reply), 12, &eof);
	(void)close(fd);
	return t.channels_n > before ? t.channels[before].peer : "refused";
}

#define V1 "PROXY TCP4 192.0.2.7 192.0.2.8 1234 443\r\n"

static const uint8_t v2[] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51,
    0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0, 12, 192, 0, 2, 9, 192, 0, 2, 8,
    4, 210, 1, 187 };
static const uint8_t v2_local[] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
    0x51, 0x55, 0x49, 0x54, 0x0a, 0x20, 0x00, 0, 0 };

static void
a_trusted_proxy_announces_its_peer(void **state)
{
	(void)state;
	start_proxied("127.0.0.0/8");
	assert_string_equal(upgrade_behind(V1, strlen(V1), 2000), "192.0.2.7");
	assert_string_equal(upgrade_behind(V1, strlen(V1), 1), "192.0.2.7");
	assert_string_equal(upgrade_behind(v2, sizeof(v2), 2000), "192.0.2.9");
	assert_string_equal(upgrade_behind(v2, sizeof(v2), 3), "192.0.2.9");
	assert_string_equal(upgrade_behind(v2_local, sizeof(v2_local), 2000),
	    "127.0.0.1");
	assert_string_equal(upgrade_behind("PROXY UNKNOWN\r\n", 15, 2000),
	    "127.0.0.1");
}

static void
missing_and_wrong_headers_are_refused(void **state)
{
	(void)state;
	start_proxied("127.0.0.0/8");
	assert_string_equal(upgrade_behind("", 0, 2000), "refused");
	assert_string_equal(upgrade_behind("PROXY TCP4 1 2 3 4\r\n", 20, 2000),
	    "refused");
	assert_string_equal(upgrade_behind("\x16\x03\x01", 3, 2000),
	    "refused");
	assert_int_equal(atomic_load(&count()->refused_proxy), 3);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
an_untrusted_source_is_refused(void **state)
{
	(void)state;
	start_proxied("10.0.0.0/8");
	assert_string_equal(upgrade_behind(V1, strlen(V1), 2000), "refused");
	assert_int_equal(atomic_load(&count()->refused_proxy), 1);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
limits_count_the_announced_address(void **state)
{
	(void)state;
	t.limits.connections_per_address = 0;
	start_proxied("127.0.0.0/8");
	assert_string_equal(upgrade_behind(V1, strlen(V1), 2000), "refused");
	assert_int_equal(atomic_load(&count()->refused_address), 1);
	tear_down(NULL);
	set_up(NULL);
	t.limits.connections_per_address = 1;
	start_proxied("127.0.0.0/8");
	{
		int a = nettest_connect(t.address);
		int b = nettest_connect(t.address);
		int c = nettest_connect(t.address);

		assert_true(nettest_send(&t, a, V1, strlen(V1)));
		assert_true(is_served(a));
		assert_true(nettest_send(&t, b, v2, sizeof(v2)));
		assert_true(is_served(b));
		assert_true(nettest_send(&t, c, V1, strlen(V1)));
		assert_true(is_closed(c));
		(void)close(a);
		(void)close(b);
		(void)close(c);
	}
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
a_header_that_never_ends_meets_its_deadline(void **state)
{
	int fd;

	(void)state;
	t.limits.handshake_ms = 100;
	start_proxied("127.0.0.0/8");
	fd = nettest_connect(t.address);
	assert_true(nettest_send(&t, fd, "PROXY TCP4 ", 11));
	assert_true(is_closed(fd));
	(void)close(fd);
	assert_int_equal(atomic_load(&count()->handshake_timeouts), 1);
}

/* ---- all listeners ------------------------------------------------------ */

static void
a_unix_listener_serves(void **state)
{
	struct net_listener_opts o = plain;
	char dir[] = "/tmp/cleat-conn-XXXXXX", address[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(address, sizeof(address), "unix:%s/s", dir);
	o.address = address;
	t.limits.connections_per_address = 1;
	start(&o);
	assert_string_equal(t.address, address);
	for (int i = 0; i < 3; i++) {
		static const char up[] = NETTEST_UPGRADE("/u");
		bool eof;

		fd = nettest_connect(address);
		assert_true(fd >= 0);
		assert_true(nettest_send(&t, fd, up, strlen(up)));
		(void)nettest_read(&t, fd, reply, sizeof(reply), 12, &eof);
		assert_memory_equal(reply, "HTTP/1.1 101", 12);
		assert_string_equal(t.channels[i].peer, "unix");
	}
	nettest_stop(&t);
	t.net = NULL;
	assert_int_equal(rmdir(dir), 0);	/* the socket is unlinked */
}

static void
a_tls_listener_without_credentials_closes(void **state)
{
	struct net_listener_opts o = plain;
	int fd;

	(void)state;
	o.tls = true;
	start(&o);
	fd = nettest_connect(t.address);
	assert_true(is_closed(fd));
	(void)close(fd);
}

static void
net_is_made_or_not_when_memory_is_short(void **state)
{
	static const char *const origins[] = { "https://a.example", NULL };
	struct net_listener_opts o = proxied;
	unsigned long n;
	int error;

	(void)state;
	assert_int_equal(addr_range_parse("unix", &trusted[0]), 0);
	o.origins = origins;
	o.default_protocol = "native";
	for (n = 1;; n++) {
		(void)mem_fail_nth(n);
		error = nettest_start(&t, &o, 1, why);
		if (error == 0)
			break;
		assert_int_equal(error, -ENOMEM);
		assert_null(t.net);
		assert_true(n < 200);
	}
	(void)mem_fail_nth(0);
	assert_true(n > 15);
}

static void
a_bad_listener_fails_the_whole_and_is_named(void **state)
{
	const struct net_listener_opts two[] = {
		plain,
		{ .name = "bad", .address = "nowhere:x", .backlog = 1 }
	};

	(void)state;
	assert_int_equal(nettest_start(&t, two, 2, why), -EINVAL);
	assert_non_null(strstr(why, "nowhere:x"));
	assert_null(t.net);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void
the_newest_is_served_first_and_the_oldest_shed(void **state)
{
	uint64_t six = 6;
	int hold, fd[7];

	(void)state;
	t.limits.handshakes = 1;
	t.limits.waiting = 5;
	start(&plain);
	hold = nettest_connect(t.address);
	for (int i = 0; i < 7; i++) {
		fd[i] = nettest_connect(t.address);
		nettest_turn(&t, 2);	/* one after the other */
	}
	assert_true(nettest_until(&t, at_least, &six, 3000));
	assert_int_equal(atomic_load(&count()->accepted), 8);
	assert_int_equal(atomic_load(&count()->handshakes_now), 1);
	assert_int_equal(atomic_load(&count()->waiting), 5);
	assert_int_equal(atomic_load(&count()->waited), 7);
	assert_int_equal(atomic_load(&count()->shed), 2);
	assert_int_equal(atomic_load(&count()->gated), 0);
	assert_true(is_closed(fd[0]));
	assert_true(is_closed(fd[1]));
	(void)close(hold);
	assert_true(is_served(fd[6]));
	assert_int_equal(atomic_load(&count()->waiting), 4);
	(void)close(fd[6]);
	for (int i = 5; i >= 2; i--) {
		assert_true(is_served(fd[i]));
		(void)close(fd[i]);
	}
	(void)close(fd[0]);
	(void)close(fd[1]);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
a_waiting_one_yields_its_place_to_a_newer_one(void **state)
{
	uint64_t two = 2;
	int hold, fd[2];

	(void)state;
	t.limits.handshakes = 1;
	t.limits.waiting = 5;
	t.limits.connections = 2;
	start(&plain);
	hold = nettest_connect(t.address);
	fd[0] = nettest_connect(t.address);
	assert_true(nettest_until(&t, at_least, &two, 3000));
	fd[1] = nettest_connect(t.address);
	assert_true(is_closed(fd[0]));
	(void)close(hold);
	assert_true(is_served(fd[1]));
	assert_int_equal(atomic_load(&count()->refused_limit), 0);
	for (int i = 0; i < 2; i++)
		(void)close(fd[i]);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
nobody_waits_longer_than_a_handshake_may_take(void **state)
{
	uint64_t two = 2;
	int hold, late;

	(void)state;
	t.limits.handshakes = 1;
	t.limits.waiting = 5;
	t.limits.handshake_ms = 300;
	start(&plain);
	hold = nettest_connect(t.address);
	late = nettest_connect(t.address);
	assert_true(nettest_until(&t, at_least, &two, 3000));
	assert_true(is_closed(late));
	assert_int_equal(atomic_load(&count()->shed), 1);
	assert_int_equal(atomic_load(&count()->waiting), 0);
	(void)close(hold);
	(void)close(late);
	assert_true(nettest_until(&t, nobody_left, NULL, 9000));
}

static void
a_listeners_rate_makes_them_wait_and_an_addresss_refuses(void **state)
{
	int fd[4];

	(void)state;
	t.limits.waiting = 10;
	t.limits.listener_rate = 10;
	t.limits.listener_burst = 2;
	t.limits.address_rate = 1;
	t.limits.address_burst = 3;
	start(&plain);
	for (int i = 0; i < 4; i++)
		fd[i] = nettest_connect(t.address);
	assert_true(is_closed(fd[3]));
	assert_int_equal(atomic_load(&count()->refused_rate), 1);
	for (int i = 0; i < 3; i++)
		assert_true(is_served(fd[i]));
	assert_int_equal(atomic_load(&count()->paced), 1);
	assert_int_equal(atomic_load(&count()->shed), 0);
	for (int i = 0; i < 4; i++)
		(void)close(fd[i]);
	assert_true(nettest_until(&t, nobody_left, NULL, 3000));
}

static void
who_waits_is_closed_at_the_end(void **state)
{
	uint64_t three = 3;
	int fd[3];

	(void)state;
	t.limits.handshakes = 1;
	t.limits.waiting = 5;
	start(&plain);
	for (int i = 0; i < 3; i++)
		fd[i] = nettest_connect(t.address);
	assert_true(nettest_until(&t, at_least, &three, 3000));
	net_worker_end(t.w);
	assert_true(nobody_left(NULL));
	for (int i = 0; i < 3; i++)
		(void)close(fd[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(silent_connects_are_bounded),
		T(the_connection_limit_shuts_and_opens_the_gate),
		T(the_newest_is_served_first_and_the_oldest_shed),
		T(a_waiting_one_yields_its_place_to_a_newer_one),
		T(nobody_waits_longer_than_a_handshake_may_take),
		T(a_listeners_rate_makes_them_wait_and_an_addresss_refuses),
		T(who_waits_is_closed_at_the_end),
		T(one_address_has_its_own_limit),
		T(a_channel_keeps_its_place_until_released),
		T(running_out_of_descriptors_pauses_and_recovers),
		T(a_pause_ends_when_accepting_is_switched_off_and_on),
		T(silence_ends_at_the_deadline),
		T(a_trusted_proxy_announces_its_peer),
		T(missing_and_wrong_headers_are_refused),
		T(an_untrusted_source_is_refused),
		T(limits_count_the_announced_address),
		T(a_header_that_never_ends_meets_its_deadline),
		T(a_unix_listener_serves),
		T(a_tls_listener_without_credentials_closes),
		T(net_is_made_or_not_when_memory_is_short),
		T(a_bad_listener_fails_the_whole_and_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
