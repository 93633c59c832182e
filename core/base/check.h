/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions for our own bugs, always compiled in, and magic numbers for every
 * heap object that passes through a void pointer.  Never assert on anything a
 * device, an operator or a plugin can supply.  Any thread.
 */
#ifndef CT_CHECK_H
#define CT_CHECK_H

#include <stddef.h>

_Noreturn void ct_assert_failed(const char *file, int line, const char *what);

#define CT_ASSERT(c) \
	((c) ? (void)0 : ct_assert_failed(__FILE__, __LINE__, #c))

/* The object of type `type` whose member `member` is at `ptr`. */
#define CT_CONTAINER(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Objects that carry a magic have it as `uint32_t magic`. */
#define CT_CHECK_MAGIC(obj, value) \
	CT_ASSERT((obj) != NULL && (obj)->magic == (value))

#endif
