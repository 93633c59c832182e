/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as structs (core/daemon/options.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "conf_dir.h"
#include "daemon/options.h"

#define REST \
	"[slot.main]\nsource = cert\ndefault = yes\n" \
	"[plugin.cert]\nmodule = cert-file\n" \
	"[plugin.endpoint]\nmodule = proto-endpoint\n"
#define BASE "[listener.a]\naddress = 127.0.0.1:0\n" REST

static char why[OPTIONS_WHY_SIZE];

static void
limits_are_the_configured_ones(void **state)
{
	struct conf *conf = conf_of(BASE "[limits]\nhandshakes = 7\n"
	    "connections = 1000\nconnections_per_address = 5\n"
	    "handshake_timeout = 3s\nhttp_timeout = 4s\nhttp_header = 2KiB\n"
	    "auth_timeout = 6s\nauth_bytes = 3KiB\nsend_queue = 9KiB\n"
	    "accept_quota = 11\nwaiting = 12\nlistener_rate = 13\n"
	    "listener_burst = 14\naddress_rate = 15\naddress_burst = 16\n"
	    "[presence]\nping = 2s\nsuspect = 700ms\n"
	    "dead = 9s\nretry_min = 2s\nretry_max = 3m\n");
	struct channel_limits c;
	struct net_limits n;

	(void)state;
	assert_int_equal(options_net_limits(conf, 4096, why, &n), 0);
	assert_int_equal(n.handshakes, 7);
	assert_int_equal(n.connections, 1000);
	assert_int_equal(n.connections_per_address, 5);
	assert_int_equal(n.handshake_ms, 3000);
	assert_int_equal(n.http_ms, 4000);
	assert_int_equal(n.http_header, 2048);
	assert_int_equal(n.accept_quota, 11);
	assert_int_equal(n.waiting, 12);
	assert_int_equal(n.listener_rate, 13);
	assert_int_equal(n.listener_burst, 14);
	assert_int_equal(n.address_rate, 15);
	assert_int_equal(n.address_burst, 16);
	assert_int_equal(n.backlog_bytes, 9 * 1024);
	options_channel_limits(conf, &c);
	assert_int_equal(c.ping_ms, 2000);
	assert_int_equal(c.suspect_ms, 700);
	assert_int_equal(c.dead_ms, 9000);
	assert_int_equal(c.auth_ms, 6000);
	assert_int_equal(c.auth_bytes, 3072);
	assert_int_equal(c.send_queue, 9 * 1024);
	assert_int_equal(c.retry_min_ms, 2000);
	assert_int_equal(c.retry_max_ms, 180000);
	assert_int_equal(c.cert_id, CERT_ID_CN);
	conf_unref(&conf);
}

static void
connections_must_fit_the_descriptors(void **state)
{
	struct conf *conf = conf_of(BASE "[limits]\nconnections = 1000\n");
	struct net_limits n = { .connections = 4711 };

	(void)state;
	assert_int_equal(options_net_limits(conf, 1000 + 255, why, &n),
	    -EINVAL);
	assert_int_equal(n.connections, 4711);
	assert_non_null(strstr(why, "connections = 1000 needs 1256 open "
	    "files, but the limit is 1255"));
	assert_non_null(strstr(why, "LimitNOFILE="));
	assert_int_equal(options_net_limits(conf, 1000 + 256, why, &n), 0);
	conf_unref(&conf);
}

static void
zero_connections_mean_as_many_as_descriptors(void **state)
{
	struct conf *conf = conf_of(BASE);
	struct net_limits n;

	(void)state;
	assert_int_equal(options_net_limits(conf, 10256, why, &n), 0);
	assert_int_equal(n.connections, 10000);
	assert_int_equal(options_net_limits(conf, 512, why, &n), -EINVAL);
	assert_int_equal(options_net_limits(conf, 0, why, &n), -EINVAL);
	/* More than anybody has, or 2^32: no wrap-around. */
	assert_int_equal(options_net_limits(conf, (1ull << 32) + 300, why,
	    &n), 0);
	assert_true(n.connections > 1000000);
	conf_unref(&conf);
}

/* It refused every connection once. */
static void
zero_connections_per_address_mean_no_limit(void **state)
{
	struct conf *conf = conf_of(BASE
	    "[limits]\nconnections_per_address = 0\n");
	struct net_limits n;

	(void)state;
	assert_int_equal(options_net_limits(conf, 10256, why, &n), 0);
	assert_int_equal(n.connections_per_address, UINT32_MAX);
	conf_unref(&conf);
}

static void
listeners_come_in_order_with_all_they_need(void **state)
{
	struct conf *conf = conf_of(
	    "[listener.a]\naddress = 127.0.0.1:0\nbacklog = 9\n"
	    "origins = https://a.example, https://b.example\n"
	    "[listener.b]\naddress = 127.0.0.1:1\ntls = no\n"
	    "proxy = required\ntrusted_proxies = 10.0.0.0/8\n"
	    "default_protocol = endpoint\n" REST);
	struct net_listener_opts *l = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(options_listeners(conf, why, &l, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(l[0].name, "a");
	assert_string_equal(l[0].address, "127.0.0.1:0");
	assert_true(l[0].tls);
	assert_false(l[0].proxy);
	assert_int_equal(l[0].backlog, 9);
	assert_string_equal(l[0].origins[0], "https://a.example");
	assert_string_equal(l[0].origins[1], "https://b.example");
	assert_null(l[0].origins[2]);
	assert_false(l[1].tls);
	assert_true(l[1].proxy);
	assert_int_equal(l[1].trusted_n, 1);
	assert_string_equal(l[1].default_protocol, "endpoint");
	assert_null(l[1].origins[0]);
	options_listeners_free(&l, n);
	assert_null(l);
	options_listeners_free(&l, 0);
	conf_unref(&conf);
}

static void
an_origin_that_cannot_match_is_refused(void **state)
{
	struct conf *conf = conf_of("[listener.a]\naddress = 127.0.0.1:0\n"
	    "origins = null, https://a.example/page\n" REST);
	struct net_listener_opts *l = NULL;
	size_t n = 4711;

	(void)state;
	assert_int_equal(options_listeners(conf, why, &l, &n), -EINVAL);
	assert_null(l);
	assert_int_equal(n, 4711);
	assert_non_null(strstr(why, ":3: [listener.a] origins: "
	    "\"https://a.example/page\" is not "));
	conf_unref(&conf);
}

static void
listeners_without_memory_fail_whole(void **state)
{
	struct conf *conf = conf_of(BASE);
	struct net_listener_opts *l = NULL;
	unsigned long k;
	size_t n = 4711;
	int r = -1;

	(void)state;
	for (k = 1; r != 0; k++) {
		(void)mem_fail_nth(k);
		r = options_listeners(conf, why, &l, &n);
		(void)mem_fail_nth(0);
		assert_true(r == 0 || (r == -ENOMEM && l == NULL &&
		    n == 4711));
	}
	assert_int_equal(k, 4);
	options_listeners_free(&l, n);
	conf_unref(&conf);
}

static void
workers_are_as_configured_or_one_for_each_cpu(void **state)
{
	struct conf *conf = conf_of(BASE "[daemon]\nworkers = 3\n");
	unsigned n;

	(void)state;
	assert_int_equal(options_workers(conf), 3);
	conf_unref(&conf);
	conf = conf_of(BASE);
	n = options_workers(conf);
	assert_true(n >= 1 && n <= 64);
	conf_unref(&conf);
}

static void
the_bus_is_in_the_runtime_directory(void **state)
{
	struct conf *conf = conf_of(BASE "[daemon]\nruntime_dir = /run/x\n"
	    "[bus]\nring = 128\nqueue = 9\ncanary = 2s\n");
	struct event_bus_opts o;

	(void)state;
	options_bus(conf, &o);
	assert_string_equal(o.events_url, "ipc:///run/x/events.ipc");
	assert_string_equal(o.snapshot_url, "ipc:///run/x/snapshot.ipc");
	assert_int_equal(o.ring, 128);
	assert_int_equal(o.queue, 9);
	assert_int_equal(o.canary_ms, 2000);
	conf_unref(&conf);
}

#define T(f) cmocka_unit_test_setup_teardown(f, conf_dir_set_up, \
    conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(limits_are_the_configured_ones),
		T(connections_must_fit_the_descriptors),
		T(zero_connections_mean_as_many_as_descriptors),
		T(zero_connections_per_address_mean_no_limit),
		T(listeners_come_in_order_with_all_they_need),
		T(an_origin_that_cannot_match_is_refused),
		T(listeners_without_memory_fail_whole),
		T(workers_are_as_configured_or_one_for_each_cpu),
		T(the_bus_is_in_the_runtime_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
