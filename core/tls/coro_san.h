/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checkers must be told about a change of stacks: AddressSanitizer
 * (fake stacks and bounds), ThreadSanitizer (fibers), valgrind (stack
 * registration).  Without a checker all of it is empty.
 */
#ifndef CT_TLS_CORO_SAN_H
#define CT_TLS_CORO_SAN_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CORO_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define CORO_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define CORO_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define CORO_TSAN 1
#endif
#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define CORO_VALGRIND 1
#endif
#endif

#ifdef CORO_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CORO_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifdef CORO_VALGRIND
#include <valgrind/memcheck.h>
#endif

/* A function that was entered on one stack must not be left on another:
 * ThreadSanitizer counts. */
#define CORO_INLINE inline __attribute__((always_inline))

/* Before leaving a stack for bottom[0..n).  *save keeps what the stack we leave
 * needs when it is entered again; NULL: it is left for good. */
static CORO_INLINE void
coro_san_leave(void **save, const void *bottom, size_t n)
{
#ifdef CORO_ASAN
	__sanitizer_start_switch_fiber(save, bottom, n);
#else
	(void)save;
	(void)bottom;
	(void)n;
#endif
}

/* First thing on the entered stack; tells the bounds of the one we came
 * from. */
static CORO_INLINE void
coro_san_enter(void *save, const void **ret_bottom, size_t *ret_n)
{
#ifdef CORO_ASAN
	__sanitizer_finish_switch_fiber(save, ret_bottom, ret_n);
#else
	(void)save;
	(void)ret_bottom;
	(void)ret_n;
#endif
}

static inline void *
coro_san_fiber_new(void)
{
#ifdef CORO_TSAN
	return __tsan_create_fiber(0);
#else
	return NULL;
#endif
}

static inline void *
coro_san_fiber_current(void)
{
#ifdef CORO_TSAN
	return __tsan_get_current_fiber();
#else
	return NULL;
#endif
}

static CORO_INLINE void
coro_san_fiber_switch(void *fiber)
{
#ifdef CORO_TSAN
	__tsan_switch_to_fiber(fiber, 0);
#else
	(void)fiber;
#endif
}

static inline void
coro_san_fiber_free(void *fiber)
{
#ifdef CORO_TSAN
	__tsan_destroy_fiber(fiber);
#else
	(void)fiber;
#endif
}

static inline unsigned
coro_san_register(const char *low, size_t n)
{
#ifdef CORO_VALGRIND
	return (unsigned)VALGRIND_STACK_REGISTER(low, low + n - 1);
#else
	(void)low;
	(void)n;
	return 0;
#endif
}

static inline void
coro_san_deregister(unsigned id)
{
#ifdef CORO_VALGRIND
	VALGRIND_STACK_DEREGISTER(id);
#else
	(void)id;
#endif
}

/* p[0..n) lies below the stack pointer of a stack that nobody runs on. */
static inline void
coro_san_writable(void *p, size_t n)
{
#ifdef CORO_VALGRIND
	VALGRIND_MAKE_MEM_UNDEFINED(p, n);
#else
	(void)p;
	(void)n;
#endif
}

#endif
