/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines: a function that runs on a stack of its own and can be left in the
 * middle and gone on with later, on the same thread.  Stacks are 64 KiB with a
 * guard page below and are pooled: a handshake holds one only while it runs or
 * is suspended.  A pool and its coroutines belong to one thread.
 */
#ifndef CT_TLS_CORO_H
#define CT_TLS_CORO_H

#include <stdbool.h>
#include <stddef.h>

struct coro;
struct coro_pool;

/* Keeps at most `keep` unused stacks.  -ENOMEM. */
int coro_pool_new(size_t keep, struct coro_pool **ret);
/* After every coroutine was freed. */
void coro_pool_free(struct coro_pool **);
/* Tests only: coroutines that exist. */
size_t coro_pool_used(const struct coro_pool *);

/* Ready to run fn(arg).  -ENOMEM. */
int coro_new(struct coro_pool *, void (*fn)(void *arg), void *arg,
    struct coro **ret);
/* Runs it until fn returns (true) or yields (false). */
bool coro_resume(struct coro *);
/* From inside fn: back to who resumed it. */
void coro_yield(void);
/* The argument of the coroutine that runs on this thread; NULL outside. */
void *coro_current_arg(void);
/* Of a coroutine whose fn returned or never began: its stack goes back. */
void coro_free(struct coro **);

#endif
