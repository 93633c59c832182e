/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox.  The queue is Dmitry Vyukov's intrusive multi-producer
 * single-consumer queue: a sender swaps itself in as the tail, then links its
 * predecessor to itself; between the two steps the receiver sees a queue that
 * is not empty but has nothing to take, and merely looks again.
 *
 * Falling asleep: the receiver sets `asleep`, then looks at the tail; a sender
 * swaps the tail, then looks at `asleep`.  Both are sequentially consistent, so
 * at least one of the two sees the other.
 */
#include "base/mailbox.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

static void
push(struct mailbox *b, struct mail *m)
{
	struct mail *before;

	atomic_store_explicit(&m->next, NULL, memory_order_relaxed);
	before = atomic_exchange(&b->tail, m);
	atomic_store_explicit(&before->next, m, memory_order_release);
}

void
mailbox_post(struct mailbox *b, struct mail *m)
{
	uint64_t one = 1;

	CT_ASSERT(m->fn != NULL);
	push(b, m);
	if (atomic_load(&b->asleep) == 0 ||
	    atomic_exchange(&b->asleep, 0) == 0)
		return;
	/* Cannot overflow: written once a sleep, read at each waking. */
	while (write(b->watch.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static struct mail *
next_of(const struct mail *m)
{
	return atomic_load_explicit(&m->next, memory_order_acquire);
}

static bool
is_empty(struct mailbox *b)
{
	return b->head == &b->stub && atomic_load(&b->tail) == &b->stub;
}

/* NULL: nothing there, or its sender has not finished linking it. */
static struct mail *
take(struct mailbox *b)
{
	struct mail *m = b->head, *next = next_of(m);

	if (m == &b->stub) {
		if (next == NULL)
			return NULL;
		b->head = m = next;
		next = next_of(m);
	}
	if (next == NULL) {
		/* The last one: the stub goes behind it, to keep the queue
		 * from ever being without an element. */
		if (atomic_load(&b->tail) != m)
			return NULL;
		push(b, &b->stub);
		next = next_of(m);
		if (next == NULL)
			return NULL;
	}
	b->head = next;
	return m;
}

static bool
on_may_sleep(struct loop_hook *hook)
{
	struct mailbox *b = CT_CONTAINER(hook, struct mailbox, hook);

	atomic_store(&b->asleep, 1);
	if (is_empty(b))
		return true;
	atomic_store(&b->asleep, 0);
	return false;
}

static void
on_awake(struct loop_hook *hook)
{
	struct mailbox *b = CT_CONTAINER(hook, struct mailbox, hook);
	struct mail *m;

	if (atomic_load_explicit(&b->asleep, memory_order_relaxed) != 0)
		atomic_store(&b->asleep, 0);
	for (int n = 0; n < MAILBOX_TURN && (m = take(b)) != NULL; n++)
		m->fn(m);
}

static void
on_eventfd(struct watch *w, uint32_t events)
{
	uint64_t count;

	(void)events;
	while (read(w->fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

int
mailbox_init(struct mailbox *b, struct loop *loop)
{
	int err;

	atomic_init(&b->stub.next, NULL);
	b->stub.fn = NULL;
	b->head = &b->stub;
	atomic_init(&b->tail, &b->stub);
	atomic_init(&b->asleep, 0);
	b->loop = loop;
	b->hook.may_sleep = on_may_sleep;
	b->hook.awake = on_awake;
	b->watch.fn = on_eventfd;
	b->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->watch.fd < 0) {
		err = -errno;
		goto out;
	}
	err = loop_add(loop, &b->watch, EPOLLIN);
	if (err < 0) {
		(void)close(b->watch.fd);
		goto out;
	}
	loop_set_hook(loop, &b->hook);
	return 0;
out:
	b->loop = NULL;
	b->watch.fd = -1;
	return err;
}

void
mailbox_drain(struct mailbox *b)
{
	struct mail *m;

	while ((m = take(b)) != NULL)
		m->fn(m);
}

void
mailbox_fini(struct mailbox *b)
{
	if (b->loop == NULL)
		return;
	mailbox_drain(b);
	CT_ASSERT(is_empty(b));
	loop_set_hook(b->loop, NULL);
	loop_del(b->loop, &b->watch);
	(void)close(b->watch.fd);
	b->watch.fd = -1;
	b->loop = NULL;
}
