/* SPDX-License-Identifier: Apache-2.0 */
/* The word that was meant (core/base/nearest.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/nearest.h"

static const char *
meant(const char *word)
{
	static const char *const known[] = { "workers", "state_dir", "dead",
	    "daemon", "handshakes", "tls" };
	struct nearest n = { .word = word };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		nearest_try(&n, known[i]);
	return n.best == NULL ? "" : n.best;
}

static void
slips_of_the_pen_are_seen_through(void **state)
{
	(void)state;
	assert_string_equal(meant("worker"), "workers");
	assert_string_equal(meant("wrokers"), "workers");
	assert_string_equal(meant("statedir"), "state_dir");
	assert_string_equal(meant("demon"), "daemon");
	assert_string_equal(meant("handshake"), "handshakes");
	assert_string_equal(meant("tsl"), "tls");
}

static void
what_is_far_from_everything_has_no_guess(void **state)
{
	char long_word[300];

	(void)state;
	assert_string_equal(meant("colour"), "");
	assert_string_equal(meant("x"), "");
	assert_string_equal(meant(""), "");
	memset(long_word, 'a', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	assert_string_equal(meant(long_word), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips_of_the_pen_are_seen_through),
		cmocka_unit_test(what_is_far_from_everything_has_no_guess),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
