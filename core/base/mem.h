/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that a test can make fail at the n-th call, and wiping.
 * Thread: any.  All of cleat's own allocations come through here.
 */
#ifndef CT_MEM_H
#define CT_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* All return NULL when memory is short; sizes are checked for overflow. */
void *mem_alloc(size_t n);
void *mem_calloc(size_t count, size_t size);
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
void *mem_dup(const void *p, size_t n);
void mem_free(void *p);				/* NULL is fine */

/* Pages that are free in the middle of any thread's heap go back to the kernel.
 * About a millisecond for 10 MB; who allocates meanwhile waits for it. */
void mem_give_back(void);

/* Overwrites n bytes; the compiler may not drop it. */
void mem_wipe(void *p, size_t n);
/* Wipes, then frees.  NULL is fine. */
void mem_free_wiped(void *p, size_t n);

/*
 * Tests only: the n-th allocation from now (1 = the next) fails once;
 * 0 switches that off.  Returns how many calls were counted since the last
 * setting, so that a test knows when n was beyond the last allocation.
 */
unsigned long mem_fail_nth(unsigned long n);

/* For allocators beside malloc (base/slab.c): counts one call, and says whether
 * it is the one that has to fail. */
bool mem_fail_now(void);

#endif
