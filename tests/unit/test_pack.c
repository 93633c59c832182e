/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pack.h"

static struct unpack
reader(const struct pack *w)
{
	return (struct unpack){ .p = w->out.p, .n = w->out.n };
}

static void
what_is_written_is_read(void **state)
{
	struct pack w = { .error = 0 };
	struct unpack r;
	uint8_t b[3];

	(void)state;
	pack_u32(&w, 0xfffffffe);
	pack_text(&w, "");
	pack_text(&w, "some text");
	pack_u64(&w, UINT64_MAX - 1);
	pack_bytes(&w, "abc", 3);
	pack_bytes(&w, NULL, 0);
	assert_int_equal(w.error, 0);
	r = reader(&w);
	assert_int_equal(unpack_u32(&r), 0xfffffffe);
	assert_string_equal(unpack_text(&r, 0), "");
	assert_string_equal(unpack_text(&r, 9), "some text");
	assert_true(unpack_u64(&r) == UINT64_MAX - 1);
	unpack_copy(&r, b, 3);
	assert_memory_equal(b, "abc", 3);
	assert_int_equal(r.error, 0);
	assert_int_equal(r.n, 0);
	pack_fini(&w);
	assert_null(w.out.p);
	pack_fini(&w);
}

static void
it_grows_and_keeps_what_is_there(void **state)
{
	struct pack w = { .error = 0 };
	struct unpack r;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++)
		pack_u32(&w, i);
	r = reader(&w);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(unpack_u32(&r), i);
	pack_fini(&w);
}

static void
room_is_made_without_using_it(void **state)
{
	struct pack w = { .error = 0 };

	(void)state;
	assert_non_null(pack_room(&w, 100000));
	assert_int_equal(w.out.n, 0);
	assert_true(w.out.cap >= 100000);
	assert_null(pack_room(&w, SIZE_MAX));
	assert_int_equal(w.error, -ENOMEM);
	pack_fini(&w);
}

static void
the_first_failure_stays(void **state)
{
	struct pack w = { .error = 0 };

	(void)state;
	pack_u32(&w, 1);
	(void)mem_fail_nth(1);
	assert_null(pack_room(&w, 100000));
	(void)mem_fail_nth(0);
	assert_int_equal(w.error, -ENOMEM);
	pack_u32(&w, 2);
	pack_text(&w, "x");
	assert_int_equal(w.out.n, sizeof(uint32_t));
	pack_fini(&w);
	assert_int_equal(w.error, 0);
}

static void
nothing_is_read_beyond_the_end(void **state)
{
	struct pack w = { .error = 0 };

	(void)state;
	pack_u32(&w, 7);
	pack_text(&w, "text");
	for (size_t n = 0; n < w.out.n; n++) {
		uint8_t *copy = malloc(n == 0 ? 1 : n);
		struct unpack r = { .p = copy, .n = n };

		assert_non_null(copy);
		memcpy(copy, w.out.p, n);
		assert_int_equal(unpack_u32(&r), n < 4 ? 0 : 7);
		assert_string_equal(unpack_text(&r, 100), "");
		assert_int_equal(r.error, -EINVAL);
		/* Not even what would still fit. */
		assert_null(unpack_bytes(&r, 0));
		assert_true(unpack_u64(&r) == 0);
		free(copy);
	}
	pack_fini(&w);
}

static void
a_text_is_one_text_that_fits(void **state)
{
	static const struct {
		uint32_t n;
		char bytes[8];
		size_t max;
	} bad[] = {
		{ 0, "", 100 }, { 4, "abcd", 100 }, { 5, "ab\0d", 100 },
		{ 5, "abcd", 3 }, { UINT32_MAX, "abcd", SIZE_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pack w = { .error = 0 };
		struct unpack r;

		pack_u32(&w, bad[i].n);
		pack_bytes(&w, bad[i].bytes, sizeof(bad[i].bytes));
		r = reader(&w);
		assert_string_equal(unpack_text(&r, bad[i].max), "");
		assert_int_equal(r.error, -EINVAL);
		pack_fini(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(it_grows_and_keeps_what_is_there),
		cmocka_unit_test(room_is_made_without_using_it),
		cmocka_unit_test(the_first_failure_stays),
		cmocka_unit_test(nothing_is_read_beyond_the_end),
		cmocka_unit_test(a_text_is_one_text_that_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
