/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to the heap, so that a test can make any allocation fail, and
 * wiping that survives the optimiser.  Counts calls only while a test asked for
 * it: otherwise all threads merely read one flag.
 */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool armed;
static _Atomic unsigned long fail_at, counted;

bool
mem_fail_now(void)
{
	if (!atomic_load_explicit(&armed, memory_order_relaxed))
		return false;
	return atomic_fetch_add(&counted, 1) + 1 == atomic_load(&fail_at);
}

unsigned long
mem_fail_nth(unsigned long n)
{
	unsigned long before;

	atomic_store(&armed, false);
	before = atomic_exchange(&counted, 0);
	atomic_store(&fail_at, n);
	atomic_store(&armed, n != 0);
	return before;
}

void *
mem_alloc(size_t n)
{
	if (mem_fail_now())
		return NULL;
	return malloc(n == 0 ? 1 : n);
}

void *
mem_calloc(size_t count, size_t size)
{
	size_t n;

	/* calloc() checks too, but sanitizers make that fatal. */
	if (mem_fail_now() || __builtin_mul_overflow(count, size, &n))
		return NULL;
	return calloc(1, n == 0 ? 1 : n);
}

void *
mem_realloc(void *p, size_t n)
{
	if (mem_fail_now())
		return NULL;
	return realloc(p, n == 0 ? 1 : n);
}

void *
mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (copy != NULL && n > 0)
		memcpy(copy, p, n);
	return copy;
}

char *
mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

void
mem_free(void *p)
{
	free(p);
}

void
mem_give_back(void)
{
	(void)malloc_trim(0);		/* whether there was anything */
}

void
mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

void
mem_free_wiped(void *p, size_t n)
{
	if (p == NULL)
		return;
	mem_wipe(p, n);
	free(p);
}
