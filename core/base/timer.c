/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer wheel.  A timer sits on the level of the highest 6-bit digit in
 * which its due tick differs from the wheel's, in the slot of that digit; when
 * the wheel reaches the slot, its timers move down.  A bit per slot lets the
 * wheel skip empty ticks, however long it was not run.
 *
 * Due on the top level may lie in the next revolution: its slot is then at or
 * before the current digit and is reached exactly when that revolution gets
 * there.
 */
#include "base/timer.h"

#include <string.h>

#include "base/check.h"

#define LEVELS 4
#define DIGIT 6
#define SLOTS 64
#define REACH ((UINT64_C(1) << (DIGIT * LEVELS)) - 1)	/* ticks */

void
timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
	memset(w, 0, sizeof(*w));
	w->now = now_ms / TIMER_TICK_MS;
}

void
timer_init(struct timer *t, void (*fn)(struct timer *))
{
	memset(t, 0, sizeof(*t));
	t->fn = fn;
}

static void
push(struct timer **head, struct timer *t)
{
	t->next = *head;
	t->pprev = head;
	if (t->next != NULL)
		t->next->pprev = &t->next;
	*head = t;
}

static void
place(struct timer_wheel *w, struct timer *t)
{
	uint64_t differs = t->due ^ w->now;
	unsigned level = 0, slot;

	while (level < LEVELS - 1 && differs >> (DIGIT * (level + 1)) != 0)
		level++;
	slot = (unsigned)(t->due >> (DIGIT * level)) & (SLOTS - 1);
	push(&w->slot[level][slot], t);
	w->used[level] |= UINT64_C(1) << slot;
}

void
timer_set(struct timer_wheel *w, struct timer *t, uint64_t now_ms,
    uint64_t in_ms)
{
	uint64_t due;

	timer_stop(w, t);
	if (in_ms > REACH * TIMER_TICK_MS)
		in_ms = REACH * TIMER_TICK_MS;
	/* Rounded up: never early. */
	due = (now_ms + in_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
	if (due <= w->now)
		due = w->now + 1;
	if (due - w->now > REACH)
		due = w->now + REACH;
	t->due = due;
	place(w, t);
}

void
timer_stop(struct timer_wheel *w, struct timer *t)
{
	struct timer **at = t->pprev;
	uintptr_t first = (uintptr_t)&w->slot[0][0];
	uintptr_t here = (uintptr_t)at;
	size_t n;

	if (at == NULL)
		return;
	*at = t->next;
	if (t->next != NULL)
		t->next->pprev = at;
	t->next = NULL;
	t->pprev = NULL;
	/* Was it the only one of a slot (and not of a list being fired)? */
	if (*at == NULL && here >= first && here < first + sizeof(w->slot)) {
		n = (here - first) / sizeof(w->slot[0][0]);
		w->used[n / SLOTS] &= ~(UINT64_C(1) << (n % SLOTS));
	}
}

/* Takes a slot's timers over into *list, keeping them stoppable. */
static void
take(struct timer_wheel *w, unsigned level, unsigned slot, struct timer **list)
{
	*list = w->slot[level][slot];
	if (*list != NULL)
		(*list)->pprev = list;
	w->slot[level][slot] = NULL;
	w->used[level] &= ~(UINT64_C(1) << slot);
}

static struct timer *
pop(struct timer **list)
{
	struct timer *t = *list;

	if (t == NULL)
		return NULL;
	*list = t->next;
	if (t->next != NULL)
		t->next->pprev = list;
	t->next = NULL;
	t->pprev = NULL;
	return t;
}

/* The next tick at which a slot fires or moves down. */
static bool
next_tick(const struct timer_wheel *w, uint64_t *ret)
{
	bool found = false;

	for (unsigned level = 0; level < LEVELS; level++) {
		uint64_t used = w->used[level], digit, tick;
		unsigned from, ahead;

		if (used == 0)
			continue;
		digit = w->now >> (DIGIT * level);
		from = (unsigned)(digit + 1) & (SLOTS - 1);
		if (from != 0)
			used = used >> from | used << (SLOTS - from);
		ahead = (unsigned)__builtin_ctzll(used) + 1;
		tick = (digit + ahead) << (DIGIT * level);
		if (!found || tick < *ret)
			*ret = tick;
		found = true;
	}
	return found;
}

static void
run_tick(struct timer_wheel *w)
{
	struct timer *list, *t;

	for (unsigned level = LEVELS - 1; level > 0; level--) {
		uint64_t below = (UINT64_C(1) << (DIGIT * level)) - 1;

		if ((w->now & below) != 0)
			continue;
		take(w, level, (unsigned)(w->now >> (DIGIT * level)) &
		    (SLOTS - 1), &list);
		while ((t = pop(&list)) != NULL)
			place(w, t);
	}
	take(w, 0, (unsigned)w->now & (SLOTS - 1), &list);
	while ((t = pop(&list)) != NULL) {
		CT_ASSERT(t->due == w->now);
		t->fn(t);
	}
}

void
timer_wheel_run(struct timer_wheel *w, uint64_t now_ms)
{
	uint64_t target = now_ms / TIMER_TICK_MS, tick;

	while (next_tick(w, &tick) && tick <= target) {
		w->now = tick;
		run_tick(w);
	}
	if (w->now < target)
		w->now = target;
}

int
timer_wheel_wait(const struct timer_wheel *w, uint64_t now_ms)
{
	uint64_t tick;

	if (!next_tick(w, &tick))
		return -1;
	tick *= TIMER_TICK_MS;
	return tick <= now_ms ? 0 : (int)(tick - now_ms);
}
