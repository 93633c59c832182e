/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coroutines on ucontext.  A stack is one mapping: guard page, 64 KiB, and this
 * file's own record at its upper end, so that a coroutine is one object.  A
 * stack that overflows faults in the guard page instead of writing into a
 * neighbour.
 */
#include "tls/coro.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "tls/coro_san.h"

#define STACK_SIZE (64 * 1024)
#define CORO_MAGIC 0x636f726fu

enum coro_state {
	CORO_READY, CORO_RUNNING, CORO_YIELDED, CORO_OVER
};

struct coro {
	uint32_t magic;
	enum coro_state state;
	struct coro_pool *pool;
	struct coro *next;		/* in the pool's list of unused ones */
	void (*fn)(void *);
	void *arg;
	ucontext_t own, caller;
	char *map;
	size_t map_n;
	unsigned stack_id;		/* valgrind's */
	void *fiber, *caller_fiber;	/* ThreadSanitizer's */
	void *fake, *caller_fake;	/* AddressSanitizer's fake stacks */
	const void *caller_bottom;
	size_t caller_n;
};

struct coro_pool {
	struct coro *unused;
	size_t unused_n, keep, used;
};

static _Thread_local struct coro *current;

int
coro_pool_new(size_t keep, struct coro_pool **ret)
{
	struct coro_pool *p = mem_calloc(1, sizeof(*p));

	if (p == NULL)
		return -ENOMEM;
	p->keep = keep;
	*ret = p;
	return 0;
}

static void
unmap(struct coro *c)
{
	coro_san_deregister(c->stack_id);
	coro_san_fiber_free(c->fiber);
	(void)munmap(c->map, c->map_n);		/* cannot fail: it is ours */
}

void
coro_pool_free(struct coro_pool **pp)
{
	struct coro_pool *p = *pp;
	struct coro *c;

	if (p == NULL)
		return;
	CT_ASSERT(p->used == 0);
	while ((c = p->unused) != NULL) {
		p->unused = c->next;
		unmap(c);
	}
	mem_free(p);
	*pp = NULL;
}

size_t
coro_pool_used(const struct coro_pool *p)
{
	return p->used;
}

static struct coro *
map_stack(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t head = (sizeof(struct coro) + 63) / 64 * 64;
	size_t n = page + (STACK_SIZE + head + page - 1) / page * page;
	struct coro *c;
	char *map;

	map = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
	    -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	if (mprotect(map + page, n - page, PROT_READ | PROT_WRITE) < 0) {
		(void)munmap(map, n);
		return NULL;
	}
	c = (struct coro *)(void *)(map + n - head);
	c->magic = CORO_MAGIC;
	c->map = map;
	c->map_n = n;
	c->own.uc_stack.ss_sp = map + page;
	c->own.uc_stack.ss_size = n - page - head;
	c->stack_id = coro_san_register(map + page, n - page - head);
	c->fiber = coro_san_fiber_new();
	return c;
}

/* The first and last thing on a coroutine's stack. */
static void
trampoline(void)
{
	struct coro *c = current;

	coro_san_enter(NULL, &c->caller_bottom, &c->caller_n);
	c->fn(c->arg);
	c->state = CORO_OVER;
	coro_san_leave(NULL, c->caller_bottom, c->caller_n);
	coro_san_fiber_switch(c->caller_fiber);
	(void)setcontext(&c->caller);
	CT_ASSERT(!"setcontext failed");
}

/* In a function of its own: getcontext() is one that may return twice. */
static __attribute__((noinline)) void
prepare(ucontext_t *own, const stack_t stack)
{
	(void)getcontext(own);			/* has no way to fail */
	own->uc_stack = stack;
	own->uc_link = NULL;
	makecontext(own, trampoline, 0);
}

int
coro_new(struct coro_pool *p, void (*fn)(void *), void *arg,
    struct coro **ret)
{
	struct coro *c = p->unused;

	if (c != NULL) {
		p->unused = c->next;
		p->unused_n--;
	} else if (mem_fail_now() || (c = map_stack()) == NULL) {
		return -ENOMEM;
	}
	prepare(&c->own, c->own.uc_stack);
	c->pool = p;
	c->fn = fn;
	c->arg = arg;
	c->state = CORO_READY;
	p->used++;
	*ret = c;
	return 0;
}

bool
coro_resume(struct coro *c)
{
	CT_CHECK_MAGIC(c, CORO_MAGIC);
	CT_ASSERT(current == NULL);
	CT_ASSERT(c->state == CORO_READY || c->state == CORO_YIELDED);
	current = c;
	c->state = CORO_RUNNING;
	c->caller_fiber = coro_san_fiber_current();
	coro_san_leave(&c->caller_fake, c->own.uc_stack.ss_sp,
	    c->own.uc_stack.ss_size);
	coro_san_fiber_switch(c->fiber);
	(void)swapcontext(&c->caller, &c->own);
	coro_san_enter(c->caller_fake, NULL, NULL);
	current = NULL;
	return c->state == CORO_OVER;
}

void
coro_yield(void)
{
	struct coro *c = current;

	CT_CHECK_MAGIC(c, CORO_MAGIC);
	c->state = CORO_YIELDED;
	coro_san_leave(&c->fake, c->caller_bottom, c->caller_n);
	coro_san_fiber_switch(c->caller_fiber);
	(void)swapcontext(&c->own, &c->caller);
	coro_san_enter(c->fake, &c->caller_bottom, &c->caller_n);
}

void *
coro_current_arg(void)
{
	return current != NULL ? current->arg : NULL;
}

/* The stack held handshake secrets.  Only its upper 16 KiB are wiped: what a
 * handshake uses (11.7 KB measured), without touching pages it never had. */
static void
wipe_stack(struct coro *c)
{
	size_t n = 16 * 1024;
	char *p = (char *)c->own.uc_stack.ss_sp + c->own.uc_stack.ss_size - n;

	coro_san_writable(p, n);
	mem_wipe(p, n);
}

void
coro_free(struct coro **cp)
{
	struct coro *c = *cp;
	struct coro_pool *p;

	if (c == NULL)
		return;
	CT_CHECK_MAGIC(c, CORO_MAGIC);
	CT_ASSERT(c->state == CORO_READY || c->state == CORO_OVER);
	p = c->pool;
	p->used--;
	*cp = NULL;
	if (p->unused_n >= p->keep) {
		unmap(c);
		return;
	}
	wipe_stack(c);
	c->next = p->unused;
	p->unused = c;
	p->unused_n++;
}
