/* SPDX-License-Identifier: Apache-2.0 */
/* Files, conf.d, and trees (core/conf/load.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "conf_dir.h"

static void
an_empty_file_gives_all_defaults(void **state)
{
	struct conf *c = conf_of("");

	(void)state;
	assert_int_equal(conf_uint(c, "daemon", "workers"), 0);
	assert_int_equal(conf_ms(c, "presence", "dead"), 35000);
	assert_int_equal(conf_size(c, "limits", "auth_bytes"), 16384);
	assert_string_equal(conf_where(c, "daemon", "workers"), "default");
	assert_string_equal(conf_str(c, "bus", "events"),
	    "ipc:///run/cleat/events.ipc");
	assert_int_equal(conf_str(c, "daemon", "plugin_dir")[0], '/');
	assert_null(conf_section(c, "listener", 0));
	conf_unref(&c);
}

static void
bus_addresses_follow_the_runtime_directory(void **state)
{
	struct conf *c = conf_of("[daemon]\nruntime_dir = /tmp/r\n"
	    "[bus]\nevents = ipc:///tmp/e\n");

	(void)state;
	assert_string_equal(conf_str(c, "bus", "events"), "ipc:///tmp/e");
	assert_string_equal(conf_str(c, "bus", "snapshot"),
	    "ipc:///tmp/r/snapshot.ipc");
	conf_unref(&c);
}

static void
a_runtime_directory_too_long_for_a_socket_is_refused(void **state)
{
	char text[256] = "[daemon]\nruntime_dir = /";
	struct conf *c = NULL;

	(void)state;
	memset(text + strlen(text), 'r', 110);
	conf_dir_put("cleat.conf", text);
	assert_int_equal(conf_dir_load(&c), -EINVAL);
	assert_int_equal(errs.n, 1);
	assert_non_null(strstr(errs.line[0], "[bus] events = ipc:///rrr"));
}

static void
parts_are_merged_in_the_order_of_their_bytes(void **state)
{
	struct conf *c = NULL;
	char where[128];

	(void)state;
	conf_dir_put("cleat.conf", "[daemon]\nworkers = 1\n"
	    "[plugin.p]\nmodule = m\nown = 1\n");
	conf_dir_put("conf.d/b.conf", "[daemon]\nworkers = 3\n");
	conf_dir_put("conf.d/B.conf", "[daemon]\nworkers = 2\n"
	    "log_level = debug\n[plugin.p]\nown = 2\n");
	conf_dir_put("conf.d/c.conf~", "[nonsense\n");
	conf_dir_put("conf.d/.d.conf", "[nonsense\n");
	assert_int_equal(conf_dir_load(&c), 0);
	assert_int_equal(conf_uint(c, "daemon", "workers"), 3);
	assert_string_equal(conf_str(c, "daemon", "log_level"), "debug");
	(void)snprintf(where, sizeof(where), "%s/conf.d/b.conf:2", conf_dir);
	assert_string_equal(conf_where(c, "daemon", "workers"), where);
	conf_unref(&c);
}

static void
all_errors_of_all_files_are_told(void **state)
{
	struct conf *c = NULL;

	(void)state;
	conf_dir_put("cleat.conf", "[daemon]\nworkers = x\nworker = 1\n"
	    "[demon]\nx = 1\n[presence]\nping = 1\n");
	conf_dir_put("conf.d/a.conf", "[tls]\nticket_lifetime = 1s\n");
	conf_dir_put("conf.d/b.conf", "[tls]\nbroken\n");
	assert_int_equal(conf_dir_load(&c), -EINVAL);
	assert_null(c);
	assert_int_equal(errs.n, 6);
	assert_non_null(strstr(errs.line[0], "b.conf:2: expected key"));
	assert_non_null(strstr(errs.line[1], "cleat.conf:2: [daemon] worke"));
	assert_non_null(strstr(errs.line[2], "did you mean \"workers\""));
	assert_non_null(strstr(errs.line[3], "cleat.conf:4: [demon]: unknown"
	    " section (did you mean \"daemon\"?)"));
	assert_non_null(strstr(errs.line[4], "cleat.conf:7: [presence] ping"));
	assert_non_null(strstr(errs.line[5], "a.conf:2: [tls] ticket_life"));
}

static void
unknown_sections_name_the_nearest(void **state)
{
	(void)state;
	conf_fails("[listner.a]\naddress = *:1\n", "cleat.conf:1: [listner.a]:"
	    " unknown section (did you mean \"listener.*\"?)");
	conf_fails("[listener]\n", "cleat.conf:1: [listener]: unknown section"
	    " (did you mean \"listener.*\"?)");
	conf_fails("[daemon.a]\n", "cleat.conf:1: [daemon.a]: unknown section"
	    " (did you mean \"daemon\"?)");
	conf_fails("[zzzzzzzz]\n", "cleat.conf:1: [zzzzzzzz]: unknown section");
}

static void
what_cannot_be_read_is_told(void **state)
{
	struct conf *c = NULL;

	(void)state;
	assert_int_equal(conf_dir_load(&c), -EINVAL);
	assert_int_equal(errs.n, 1);
	assert_non_null(strstr(errs.line[0], "cleat.conf: cannot be read: No"));
	conf_errors_fini(&errs);
	assert_int_equal(conf_load("/dev/zero", &errs, &c), -EINVAL);
	assert_string_equal(errs.line[0],
	    "/dev/zero: cannot be read: not a regular file");
}

static void
loading_when_memory_is_short(void **state)
{
	struct conf *c = NULL;
	unsigned long n = 0;
	int err;

	(void)state;
	conf_dir_put("cleat.conf", "[daemon]\nworkers = 1\n[listener.a]\n"
	    "address = *:1\ntrusted_proxies = unix\nproxy = required\n"
	    "[plugin.p]\nmodule = m\nown = 1\n");
	conf_dir_put("conf.d/a.conf", "[plugin.p]\nown = 2\n");
	do {
		(void)mem_fail_nth(++n);
		err = conf_dir_load(&c);
		(void)mem_fail_nth(0);
		assert_true(err == 0 || (err == -ENOMEM && c == NULL));
	} while (err < 0);
	assert_true(n > 100);
	assert_int_equal(errs.n, 0);
	conf_unref(&c);
}

#define T(f) \
	cmocka_unit_test_setup_teardown(f, conf_dir_set_up, conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_empty_file_gives_all_defaults),
		T(bus_addresses_follow_the_runtime_directory),
		T(a_runtime_directory_too_long_for_a_socket_is_refused),
		T(parts_are_merged_in_the_order_of_their_bytes),
		T(all_errors_of_all_files_are_told),
		T(unknown_sections_name_the_nearest),
		T(what_cannot_be_read_is_told),
		T(loading_when_memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
