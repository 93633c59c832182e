/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a section, what is told about bad ones (core/conf/section.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_dir.h"

static void
a_bad_value_says_what_was_expected(void **state)
{
	(void)state;
	conf_fails("[daemon]\nworkers = 65\n", "cleat.conf:2: [daemon] workers"
	    " = 65: expected a number without leading zeros from 1 to 64, or"
	    " auto");
	conf_fails("[daemon]\nworkers = 010\n", "cleat.conf:2: [daemon] workers"
	    " = 010: expected a number without leading zeros from 1 to 64, or"
	    " auto");
	conf_fails("[bus]\nqueue = 99999999999\n", "cleat.conf:2: [bus] queue"
	    " = 99999999999: expected a number without leading zeros from 1 to"
	    " 8192");
	conf_fails("[presence]\nping = 20\n", "cleat.conf:2: [presence] ping ="
	    " 20: expected a duration with its unit (ms, s, m, h, d) from 1s to"
	    " 1d");
	conf_fails("[limits]\nhttp_header = 1\n", "cleat.conf:2: [limits]"
	    " http_header = 1: expected a size (4096, 64KiB, 1MiB) from 1KiB to"
	    " 64KiB");
	conf_fails("[daemon]\nlog_level = loud\n", "cleat.conf:2: [daemon]"
	    " log_level = loud: expected one of error, warning, notice, info,"
	    " debug");
	conf_fails("[daemon]\nstate_dir = x\n", "cleat.conf:2: [daemon]"
	    " state_dir = x: expected an absolute path");
	conf_fails("[daemon]\nstate_dir =\n", "cleat.conf:2: [daemon]"
	    " state_dir = : expected an absolute path");
	conf_fails("[listener.a]\naddress = *:1\ntls = maybe\n",
	    "cleat.conf:3: [listener.a] tls = maybe: expected yes or no");
}

static void
an_unknown_key_names_the_nearest(void **state)
{
	(void)state;
	conf_fails("[daemon]\nworker = 1\n", "cleat.conf:2: [daemon] worker:"
	    " unknown key (did you mean \"workers\"?)");
	conf_fails("[daemon]\nping = 20s\n", "cleat.conf:2: [daemon] ping:"
	    " unknown key (it belongs into [presence])");
	conf_fails("[daemon]\ncolour = red\n", "cleat.conf:2: [daemon] colour:"
	    " unknown key");
}

static void
a_missing_key_is_told_at_the_head_of_its_section(void **state)
{
	(void)state;
	conf_fails("\n[plugin.x]\n", "cleat.conf:2: [plugin.x] module is"
	    " missing: expected a text");
	conf_fails("\n[plugin.x]\nmodule =\n", "cleat.conf:2: [plugin.x] module"
	    " is missing: expected a text");
}

#define T(f) \
	cmocka_unit_test_setup_teardown(f, conf_dir_set_up, conf_dir_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_bad_value_says_what_was_expected),
		T(an_unknown_key_names_the_nearest),
		T(a_missing_key_is_told_at_the_head_of_its_section),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
