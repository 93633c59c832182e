/* SPDX-License-Identifier: Apache-2.0 */
/* The slab (core/base/slab.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/slab.h"

#define MANY 5000

static void *objects[MANY];

static bool
is_zero(const void *p, size_t n)
{
	const char *c = p;

	for (size_t i = 0; i < n; i++) {
		if (c[i] != 0)
			return false;
	}
	return true;
}

static void
objects_are_zeroed_aligned_and_apart(void **state)
{
	static const size_t sizes[] = { 1, 8, 20, 264, 1000, 60000 };
	struct slab s;

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		int many = sizes[k] > 10000 ? 10 : MANY;

		slab_init(&s, sizes[k]);
		for (int round = 0; round < 2; round++) {
			for (int i = 0; i < many; i++) {
				objects[i] = slab_get(&s);
				assert_non_null(objects[i]);
				assert_int_equal((uintptr_t)objects[i] % 8, 0);
				assert_true(is_zero(objects[i], s.size));
				memset(objects[i], 1 + i % 200, s.size);
			}
			assert_int_equal(s.used, many);
			for (int i = 0; i < many; i++) {
				assert_int_equal(*(unsigned char *)objects[i],
				    1 + i % 200);
				slab_put(&s, objects[i]);
			}
			assert_int_equal(s.used, 0);
		}
		slab_fini(&s);
	}
}

static unsigned
mappings_of_chunks(const struct slab *s)
{
	unsigned n = 0;

	/* The chunk's links are its third and fourth word. */
	for (void **c = (void **)(void *)s->partial; c != NULL; c = c[2])
		n++;
	return n;
}

static void
empty_chunks_are_returned_but_for_one(void **state)
{
	struct slab s;

	(void)state;
	slab_init(&s, 200);
	for (int i = 0; i < MANY; i++)
		objects[i] = slab_get(&s);
	for (int i = 0; i < MANY; i++)
		slab_put(&s, objects[(i * 7 + 3) % MANY]);
	assert_int_equal(mappings_of_chunks(&s), 1);
	slab_put(&s, NULL);
	slab_fini(&s);
	assert_null(s.partial);
}

static void
random_gets_and_puts_never_overlap(void **state)
{
	struct slab s;
	unsigned long seed = 1;

	(void)state;
	memset(objects, 0, sizeof(objects));
	slab_init(&s, 264);
	for (int step = 0; step < 60000; step++) {
		unsigned i;

		seed = seed * 6364136223846793005u + 1;
		i = (unsigned)(seed >> 33) % MANY;
		if (objects[i] == NULL) {
			objects[i] = slab_get(&s);
			assert_true(is_zero(objects[i], 264));
			memset(objects[i], (int)(i & 0xff), 264);
		} else {
			unsigned char *p = objects[i];

			assert_int_equal(p[0], i & 0xff);
			assert_int_equal(p[263], i & 0xff);
			slab_put(&s, p);
			objects[i] = NULL;
		}
	}
	for (int i = 0; i < MANY; i++)
		slab_put(&s, objects[i]);
	slab_fini(&s);
}

static void
it_counts_as_an_allocation(void **state)
{
	struct slab s;
	void *p;

	(void)state;
	slab_init(&s, 16);
	(void)mem_fail_nth(1);
	assert_null(slab_get(&s));
	assert_int_equal(s.used, 0);
	p = slab_get(&s);
	assert_non_null(p);
	assert_int_equal(mem_fail_nth(0), 2);
	slab_put(&s, p);
	slab_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_zeroed_aligned_and_apart),
		cmocka_unit_test(empty_chunks_are_returned_but_for_one),
		cmocka_unit_test(random_gets_and_puts_never_overlap),
		cmocka_unit_test(it_counts_as_an_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
