/* SPDX-License-Identifier: Apache-2.0 */
/* What executables write, as the protocol can carry it (tools/agent/text.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "text.h"

static void
becomes(const char *bytes, size_t n, const char *text)
{
	char area[64];

	memcpy(area, bytes, n);
	assert_int_equal(text_clean(area, n), strlen(text));
	assert_memory_equal(area, text, strlen(text));
}

static void
bytes_become_text_without_nul(void **state)
{
	(void)state;
	becomes("", 0, "");
	becomes("plain\n", 6, "plain\n");
	becomes("a\0b", 3, "a?b");
	becomes("\0", 1, "?");
	becomes("\303\274\342\202\254\360\237\232\252", 9,
	    "\303\274\342\202\254\360\237\232\252");
	becomes("gr\374n", 4, "gr?n");
	becomes("\303(", 2, "?(");		/* not what comes second */
	becomes("\355\240\200x", 4, "???x");	/* a surrogate */
	becomes("\300\200", 2, "??");		/* NUL in two bytes */
	becomes("\377\376", 2, "??");
}

static void
a_character_that_is_cut_off_is_left_out(void **state)
{
	(void)state;
	becomes("a\303", 2, "a");
	becomes("a\342\202", 3, "a");
	becomes("\360\237\232", 3, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_become_text_without_nul),
		cmocka_unit_test(a_character_that_is_cut_off_is_left_out)
	};

	return cmocka_run_group_tests_name("agent text", tests, NULL, NULL);
}
