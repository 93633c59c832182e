/* SPDX-License-Identifier: Apache-2.0 */
/* Connection counts in all and by address (core/net/admission.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "net/admission.h"

static struct addr
address(const char *text)
{
	struct addr_range r;

	assert_int_equal(addr_range_parse(text, &r), 0);
	return r.net;
}

static void
the_total_is_limited(void **state)
{
	struct admission *a;

	(void)state;
	assert_int_equal(admission_new(2, 10, &a), 0);
	assert_int_equal(admission_enter(a), 0);
	assert_false(admission_full(a));
	assert_int_equal(admission_enter(a), 0);
	assert_true(admission_full(a));
	assert_int_equal(admission_enter(a), -EUSERS);
	admission_leave(a, NULL);
	assert_int_equal(admission_enter(a), 0);
	admission_set_limits(a, 1, 10);
	admission_leave(a, NULL);
	assert_int_equal(admission_enter(a), -EUSERS);
	admission_leave(a, NULL);
	assert_int_equal(admission_count(a), 0);
	admission_free(&a);
	assert_null(a);
	admission_free(&a);
}

static void
an_address_is_limited_alone(void **state)
{
	struct addr x = address("192.0.2.1"), y = address("192.0.2.2");
	struct admission *a;

	(void)state;
	assert_int_equal(admission_new(100, 2, &a), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(admission_enter(a), 0);
		assert_int_equal(admission_claim(a, &x), 0);
	}
	assert_int_equal(admission_claim(a, &x), -EDQUOT);
	assert_int_equal(admission_enter(a), 0);
	assert_int_equal(admission_claim(a, &y), 0);
	assert_int_equal(admission_of(a, &x), 2);
	admission_leave(a, &x);
	assert_int_equal(admission_enter(a), 0);
	assert_int_equal(admission_claim(a, &x), 0);
	admission_leave(a, &x);
	admission_leave(a, &x);
	admission_leave(a, &y);
	assert_int_equal(admission_of(a, &x), 0);
	admission_set_limits(a, 100, 0);
	assert_int_equal(admission_claim(a, &x), -EDQUOT);
	admission_free(&a);
}

static void
an_ipv6_customer_counts_by_its_64(void **state)
{
	struct addr x = address("2001:db8::1"), y = address("2001:db8::2:3");
	struct addr z = address("2001:db8:0:1::1"), l = address("::1");
	struct addr unix_peer = { { 0 } };
	struct admission *a;

	(void)state;
	assert_int_equal(admission_new(100, 1, &a), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(admission_enter(a), 0);
	assert_int_equal(admission_claim(a, &x), 0);
	assert_int_equal(admission_claim(a, &y), -EDQUOT);
	assert_int_equal(admission_claim(a, &z), 0);
	assert_int_equal(admission_claim(a, &l), 0);
	/* A proxy on a unix socket is many. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(admission_claim(a, &unix_peer), 0);
	admission_leave(a, &y);		/* the same /64 as x */
	admission_leave(a, &z);
	admission_leave(a, &l);
	for (int i = 0; i < 3; i++)
		admission_leave(a, &unix_peer);
	admission_free(&a);
}

static void
many_addresses_are_kept_apart(void **state)
{
	struct addr x = address("10.0.0.0");
	struct admission *a;

	(void)state;
	assert_int_equal(admission_new(100000, 1, &a), 0);
	for (unsigned i = 0; i < 20000; i++) {
		x.b[14] = (uint8_t)(i >> 8);
		x.b[15] = (uint8_t)i;
		assert_int_equal(admission_enter(a), 0);
		assert_int_equal(admission_claim(a, &x), 0);
		assert_int_equal(admission_claim(a, &x), -EDQUOT);
	}
	for (unsigned i = 0; i < 20000; i++) {
		x.b[14] = (uint8_t)(i >> 8);
		x.b[15] = (uint8_t)i;
		admission_leave(a, &x);
	}
	admission_free(&a);
}

static void
memory_may_be_short(void **state)
{
	struct addr x = address("10.0.0.1");
	struct admission *a = NULL;
	unsigned long n;

	(void)state;
	for (n = 1;; n++) {
		(void)mem_fail_nth(n);
		if (admission_new(10, 10, &a) == 0)
			break;
		assert_null(a);
	}
	assert_int_equal(n, 4);
	assert_int_equal(admission_enter(a), 0);
	(void)mem_fail_nth(1);
	assert_int_equal(admission_claim(a, &x), -ENOMEM);
	(void)mem_fail_nth(0);
	assert_int_equal(admission_of(a, &x), 0);
	assert_int_equal(admission_claim(a, &x), 0);
	admission_leave(a, &x);
	admission_free(&a);
}

static void *
hammer(void *arg)
{
	struct addr x = address("10.0.0.1");

	for (int i = 0; i < 5000; i++) {
		if (admission_enter(arg) != 0)
			continue;
		if (admission_claim(arg, &x) == 0)
			admission_leave(arg, &x);
		else
			admission_leave(arg, NULL);
	}
	return NULL;
}

static void
threads_leave_nothing_behind(void **state)
{
	struct admission *a;
	pthread_t thread[3];

	(void)state;
	assert_int_equal(admission_new(2, 1, &a), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, hammer, a),
		    0);
	for (int i = 0; i < 3; i++)
		(void)pthread_join(thread[i], NULL);
	assert_int_equal(admission_count(a), 0);
	admission_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_total_is_limited),
		cmocka_unit_test(an_address_is_limited_alone),
		cmocka_unit_test(an_ipv6_customer_counts_by_its_64),
		cmocka_unit_test(many_addresses_are_kept_apart),
		cmocka_unit_test(memory_may_be_short),
		cmocka_unit_test(threads_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
