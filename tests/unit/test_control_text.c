/* SPDX-License-Identifier: Apache-2.0 */
/* core/control/text.c: an answer that grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "control/control_priv.h"

static void
room_is_made_and_what_is_written_stays(void **state)
{
	struct text t = { 0 };
	size_t cap;

	(void)state;
	assert_int_equal(text_room(&t, 1), 0);
	assert_int_equal(t.out.cap, 4096);
	memset(t.out.p, 'a', 4096);
	t.out.n = 4096;
	assert_int_equal(text_room(&t, 0), 0);
	assert_int_equal(t.out.cap, 4096);
	assert_int_equal(text_room(&t, 5000), 0);
	cap = t.out.cap;
	assert_true(cap >= 9096);
	assert_int_equal(t.out.p[4095], 'a');
	assert_int_equal(text_room(&t, cap - 4096), 0);
	assert_int_equal(t.out.cap, cap);
	text_fini(&t);
	assert_null(t.out.p);
	text_fini(&t);
}

static void
no_answer_is_larger_than_the_limit(void **state)
{
	struct text t = { 0 };

	(void)state;
	assert_int_equal(text_room(&t, (size_t)TEXT_MAX + 1), -E2BIG);
	assert_int_equal(text_room(&t, SIZE_MAX), -E2BIG);
	assert_int_equal(text_room(&t, 100), 0);
	t.out.n = 100;
	assert_int_equal(text_room(&t, TEXT_MAX), -E2BIG);
	assert_int_equal(text_room(&t, SIZE_MAX - 50), -E2BIG);
	assert_int_equal(t.out.cap, 4096);
	text_fini(&t);
}

static void
without_memory_the_text_is_as_before(void **state)
{
	struct text t = { 0 };

	(void)state;
	mem_fail_nth(1);
	assert_int_equal(text_room(&t, 1), -ENOMEM);
	assert_null(t.out.p);
	assert_int_equal(text_room(&t, 1), 0);
	memset(t.out.p, 'a', 10);
	t.out.n = 10;
	mem_fail_nth(1);
	assert_int_equal(text_room(&t, 10000), -ENOMEM);
	mem_fail_nth(0);
	assert_int_equal(t.out.cap, 4096);
	assert_int_equal(t.out.p[9], 'a');
	text_fini(&t);
}

static void
what_is_not_there_is_left_out(void **state)
{
	struct text t = { 0 };

	(void)state;
	assert_int_equal(text_room(&t, 1000), 0);
	jout_init(&t.j, &t.out);
	jout_object(&t.j, NULL);
	put_time(&t.j, "never", 0);
	put_time(&t.j, "before", -1);
	put_time(&t.j, "time", INT64_C(1000000000250));
	put_number(&t.j, "none", 0);
	put_number(&t.j, "max", UINT64_MAX);
	put_text(&t.j, "null", NULL);
	put_text(&t.j, "empty", "");
	put_text(&t.j, "text", "\"");
	put_bool(&t.j, "yes", true);
	put_bool(&t.j, "no", false);
	jout_object_end(&t.j);
	assert_true(jout_ok(&t.j));
	t.out.p[t.out.n] = '\0';
	assert_string_equal((char *)t.out.p,
	    "{\"time\":\"2001-09-09T01:46:40.250Z\","
	    "\"max\":18446744073709551615,\"text\":\"\\\"\",\"yes\":true,"
	    "\"no\":false}");
	text_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_is_made_and_what_is_written_stays),
		cmocka_unit_test(no_answer_is_larger_than_the_limit),
		cmocka_unit_test(without_memory_the_text_is_as_before),
		cmocka_unit_test(what_is_not_there_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
