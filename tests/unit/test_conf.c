/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the tree (core/conf/conf.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/addr.h"
#include "conf_dir.h"

static void
sections_come_in_the_order_of_the_files(void **state)
{
	struct conf *c = conf_of("[listener.b]\naddress = *:1\n"
	    "[listener.a]\naddress = *:2\norigins = x, y\n"
	    "trusted_proxies = 10.0.0.0/8\nproxy = required\n");
	const struct addr_range *r;
	unsigned n;

	(void)state;
	assert_string_equal(conf_section(c, "listener", 0), "listener.b");
	assert_string_equal(conf_section(c, "listener", 1), "listener.a");
	assert_null(conf_section(c, "listener", 2));
	assert_null(conf_section(c, "list", 0));
	assert_string_equal(conf_instance("listener.b"), "b");
	assert_true(conf_has_section(c, "listener.a"));
	assert_false(conf_has_section(c, "listener.c"));
	assert_true(conf_bool(c, "listener.a", "tls"));
	assert_string_equal(conf_item(c, "listener.a", "origins", 1), "y");
	assert_null(conf_item(c, "listener.a", "origins", 2));
	assert_true(conf_has_item(c, "listener.a", "origins", "x"));
	assert_true(conf_has_item(c, "listener.a", "origins", "y"));
	assert_false(conf_has_item(c, "listener.a", "origins", "x, y"));
	assert_false(conf_has_item(c, "listener.b", "origins", "x"));
	r = conf_ranges(c, "listener.a", "trusted_proxies", &n);
	assert_int_equal(n, 1);
	assert_int_equal(r[0].bits, 104);
	assert_null(conf_ranges(c, "listener.b", "trusted_proxies", &n));
	assert_int_equal(n, 0);
	assert_null(conf_str(c, "listener.a", "ca_file"));
	conf_unref(&c);
}

static void
a_tree_lives_as_long_as_somebody_holds_it(void **state)
{
	struct conf *c = conf_of("[bus]\nqueue = 5\n"), *d = conf_ref(c);

	(void)state;
	conf_unref(&c);
	assert_null(c);
	assert_int_equal(conf_uint(d, "bus", "queue"), 5);
	conf_unref(&d);
	conf_unref(&d);
}

static char told[256];

static void
tell(void *ctx, const char *section, const char *key)
{
	size_t n = strlen(told);

	assert_ptr_equal(ctx, told);
	(void)snprintf(told + n, sizeof(told) - n, "%s.%s ", section, key);
}

static void
keys_that_need_a_restart_are_listed_when_they_differ(void **state)
{
	struct conf *a = conf_of("[daemon]\nworkers = 2\nlog_level = info\n"
	    "[plugin.p]\nmodule = m\n[plugin.q]\nmodule = m\n");
	struct conf *b = conf_of("[daemon]\nworkers = 3\nlog_level = debug\n"
	    "state_dir = /var/lib/cleat\nruntime_dir = /tmp/r\n"
	    "[plugin.p]\nmodule = n\n");

	(void)state;
	told[0] = '\0';
	conf_restart_keys(a, b, tell, told);
	assert_string_equal(told, "daemon.workers daemon.runtime_dir"
	    " bus.events bus.snapshot plugin.p.module ");
	told[0] = '\0';
	conf_restart_keys(a, a, tell, told);
	assert_string_equal(told, "");
	conf_unref(&a);
	conf_unref(&b);
}

#define T(f) \
	cmocka_unit_test_setup_teardown(f, conf_dir_set_up, conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(sections_come_in_the_order_of_the_files),
		T(a_tree_lives_as_long_as_somebody_holds_it),
		T(keys_that_need_a_restart_are_listed_when_they_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
