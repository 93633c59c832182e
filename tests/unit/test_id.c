/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/* n bytes. */
static const char *
long_one(size_t n)
{
	static char text[256];

	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

static void
ids_are_what_topics_logs_and_file_names_can_hold(void **state)
{
	bool (*const valid[])(const char *) = {
		id_valid, id_word_valid, id_group_valid
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_true(valid[i]("a"));
		assert_true(valid[i]("AZaz09._-"));
		assert_false(valid[i]("a b"));
		assert_false(valid[i]("a/b"));
		assert_false(valid[i]("a\nb"));
		assert_false(valid[i]("a\x7f"));
		assert_false(valid[i]("\xc3\xa9"));
		assert_false(valid[i]("*"));
	}
	assert_true(id_valid("AZaz09._:@-"));
	assert_true(id_group_valid("A-z_0.9:@"));
	assert_false(id_word_valid("a:b"));
	assert_false(id_word_valid("a@b"));
}

static void
an_id_has_a_length_and_a_group_may_have_none(void **state)
{
	(void)state;
	assert_false(id_valid(""));
	assert_true(id_valid(long_one(ID_MAX)));
	assert_false(id_valid(long_one(ID_MAX + 1)));
	assert_false(id_word_valid(""));
	assert_true(id_word_valid(long_one(ID_WORD_MAX)));
	assert_false(id_word_valid(long_one(ID_WORD_MAX + 1)));
	assert_true(id_group_valid(""));
	assert_true(id_group_valid(long_one(ID_GROUP_MAX)));
	assert_false(id_group_valid(long_one(ID_GROUP_MAX + 1)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    ids_are_what_topics_logs_and_file_names_can_hold),
		cmocka_unit_test(an_id_has_a_length_and_a_group_may_have_none)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
