/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of one thread over level-triggered epoll.  An owner may end
 * any watch, timer or deferred work from any callback: what the kernel reported
 * in the same batch for a watch that ended is dropped, so that nobody is called
 * after loop_del().
 */
#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#define BATCH 256

struct defer_list {
	struct defer *first, **last;
};

struct loop {
	int epoll_fd;
	bool in_turn, stopping;
	uint64_t now_ms;
	struct timer_wheel wheel;
	struct loop_hook *hook;
	/* `due` runs now; what is deferred meanwhile waits in `later`. */
	struct defer_list due, later;
	struct epoll_event batch[BATCH];
	int batch_at, batch_n;
};

static void
defers_init(struct defer_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

int
loop_new(struct loop **ret)
{
	struct loop *l = mem_calloc(1, sizeof(*l));
	int err;

	if (l == NULL)
		return -ENOMEM;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		err = -errno;
		mem_free(l);
		return err;
	}
	l->now_ms = clock_mono_ms();
	timer_wheel_init(&l->wheel, l->now_ms);
	defers_init(&l->due);
	defers_init(&l->later);
	*ret = l;
	return 0;
}

void
loop_free(struct loop **l)
{
	if (*l == NULL)
		return;
	(void)close((*l)->epoll_fd);	/* nothing is written through it */
	mem_free(*l);
	*l = NULL;
}

static int
control(struct loop *l, int op, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(l->epoll_fd, op, w->fd, &ev) < 0 ? -errno : 0;
}

int
loop_add(struct loop *l, struct watch *w, uint32_t events)
{
	CT_ASSERT(w->fn != NULL);
	return control(l, EPOLL_CTL_ADD, w, events);
}

int
loop_mod(struct loop *l, struct watch *w, uint32_t events)
{
	return control(l, EPOLL_CTL_MOD, w, events);
}

/* What the kernel reported for `w` in this batch is for nobody. */
static void
drop_batched(struct loop *l, const struct watch *w)
{
	for (int i = l->batch_at; i < l->batch_n; i++) {
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
	}
}

void
loop_del(struct loop *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	(void)control(l, EPOLL_CTL_DEL, w, 0); /* not watched: nothing to end */
	drop_batched(l, w);
}

int
loop_move(struct loop *l, struct watch *to, struct watch *from,
    uint32_t events)
{
	int err;

	CT_ASSERT(to->fn != NULL && to->fd == from->fd);
	err = control(l, EPOLL_CTL_MOD, to, events);
	if (err == 0)
		drop_batched(l, from);
	return err;
}

uint64_t
loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

void
loop_timer_set(struct loop *l, struct timer *t, uint64_t in_ms)
{
	/* Between turns (set-up, tests) the last turn may be long ago. */
	if (!l->in_turn)
		l->now_ms = clock_mono_ms();
	timer_set(&l->wheel, t, l->now_ms, in_ms);
}

void
loop_timer_stop(struct loop *l, struct timer *t)
{
	timer_stop(&l->wheel, t);
}

void
loop_defer(struct loop *l, struct defer *d)
{
	CT_ASSERT(d->fn != NULL);
	if (d->pending)
		return;
	d->pending = true;
	d->next = NULL;
	*l->later.last = d;
	l->later.last = &d->next;
}

static bool
defers_remove(struct defer_list *l, struct defer *d)
{
	for (struct defer **at = &l->first; *at != NULL; at = &(*at)->next) {
		if (*at != d)
			continue;
		*at = d->next;
		if (l->last == &d->next)
			l->last = at;
		return true;
	}
	return false;
}

void
loop_defer_cancel(struct loop *l, struct defer *d)
{
	if (!d->pending)
		return;
	if (!defers_remove(&l->later, d))
		CT_ASSERT(defers_remove(&l->due, d));
	d->pending = false;
	d->next = NULL;
}

static void
run_deferred(struct loop *l)
{
	struct defer *d;

	if (l->later.first == NULL)
		return;
	l->due.first = l->later.first;
	l->due.last = l->later.last;
	defers_init(&l->later);
	while ((d = l->due.first) != NULL) {
		l->due.first = d->next;
		if (l->due.first == NULL)
			l->due.last = &l->due.first;
		d->next = NULL;
		d->pending = false;
		d->fn(d);
	}
}

void
loop_set_hook(struct loop *l, struct loop_hook *hook)
{
	CT_ASSERT(hook == NULL || l->hook == NULL);
	l->hook = hook;
}

static int
wait_for_events(struct loop *l, int max_wait_ms)
{
	int wait = timer_wheel_wait(&l->wheel, clock_mono_ms()), n, err = 0;

	if (wait < 0 || (max_wait_ms >= 0 && max_wait_ms < wait))
		wait = max_wait_ms;
	if (l->later.first != NULL || l->stopping)
		wait = 0;
	if (l->hook != NULL && wait != 0 && !l->hook->may_sleep(l->hook))
		wait = 0;
	n = epoll_wait(l->epoll_fd, l->batch, BATCH, wait);
	if (n < 0) {
		err = errno == EINTR ? 0 : -errno;
		n = 0;
	}
	l->batch_n = n;
	return err;
}

int
loop_turn(struct loop *l, int max_wait_ms)
{
	struct watch *w;
	int err;

	CT_ASSERT(!l->in_turn);
	err = wait_for_events(l, max_wait_ms);
	if (err < 0)
		return err;
	l->in_turn = true;
	l->now_ms = clock_mono_ms();
	l->batch_at = 0;
	if (l->hook != NULL)
		l->hook->awake(l->hook);
	while (l->batch_at < l->batch_n) {
		struct epoll_event *ev = &l->batch[l->batch_at++];

		w = ev->data.ptr;
		if (w != NULL)
			w->fn(w, ev->events);
	}
	l->batch_at = l->batch_n = 0;
	timer_wheel_run(&l->wheel, l->now_ms);
	run_deferred(l);
	l->in_turn = false;
	return 0;
}

int
loop_run(struct loop *l)
{
	int err = 0;

	while (!l->stopping && err == 0)
		err = loop_turn(l, -1);
	l->stopping = false;
	return err;
}

void
loop_stop(struct loop *l)
{
	l->stopping = true;
}
