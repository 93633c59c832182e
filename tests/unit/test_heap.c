/* SPDX-License-Identifier: Apache-2.0 */
/* When the heap is given back (core/daemon/heap.c).  malloc_trim() of the C
 * library is replaced by one that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>

#include "daemon/daemon_priv.h"

static unsigned given_back;

int
malloc_trim(size_t pad)
{
	assert_int_equal(pad, 0);
	given_back++;
	return 1;
}

static int
no_route(void *ctx, struct net_worker *w, const struct net_request *req,
    struct net_route *ret, const char **ret_why)
{
	(void)ctx;
	(void)w;
	(void)req;
	(void)ret;
	*ret_why = "nothing is here";
	return 404;
}

static int
no_upgrade(void *ctx, struct net_worker *w, struct net_upgrade *u)
{
	(void)ctx;
	(void)w;
	(void)u;
	return -EINVAL;
}

/* A second of the daemon; returns how often the heap was given back in it. */
static unsigned
second(struct daemon *d, unsigned came, uint32_t handshakes)
{
	struct net_counters *c = net_counters(d->net);

	given_back = 0;
	atomic_fetch_add(&c->accepted, came);
	atomic_store(&c->handshakes_now, handshakes);
	daemon_give_back(d);
	return given_back;
}

static void
once_after_a_second_without_handshakes(void **state)
{
	const struct net_hooks hooks = {
		.route = no_route, .upgraded = no_upgrade
	};
	const struct net_limits limits = { .connections = 10 };
	static struct daemon d;
	char why[256];

	(void)state;
	assert_int_equal(net_new(&limits, NULL, 0, &hooks, why, &d.net), 0);
	assert_int_equal(second(&d, 0, 0), 0);	/* nobody ever came */
	assert_int_equal(second(&d, 500, 400), 0);
	assert_int_equal(second(&d, 500, 900), 0);
	assert_int_equal(second(&d, 0, 900), 0);	/* they go on */
	assert_int_equal(second(&d, 0, 0), 1);
	assert_int_equal(second(&d, 0, 0), 0);	/* there is nothing new */
	assert_int_equal(second(&d, 1, 0), 0);	/* somebody has just come */
	assert_int_equal(second(&d, 0, 0), 1);
	assert_int_equal(second(&d, 0, 1), 0);
	net_free(&d.net);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_after_a_second_without_handshakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
