/* SPDX-License-Identifier: Apache-2.0 */
/* Long polls: requests that wait for an event, and the progress of commands. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "control/stream.h"

/* ---- waiting ----------------------------------------------------------- */

static void
on_time(struct timer *t)
{
	wait_over(CT_CONTAINER(t, struct exchange, timer));
}

void
wait_begin(struct exchange *x, uint64_t ms, void (*look)(struct exchange *))
{
	struct control *c = x->control;

	x->look = look;
	x->woken = false;
	x->over = ms == 0;
	if (ms == 0)
		return;
	x->timer.fn = on_time;
	loop_timer_set(c->worker.loop, &x->timer, ms);
	list_append(&c->waiting, &x->wait);
}

bool
wait_more(struct exchange *x)
{
	if (x->over || x->control->stopping)
		return false;
	x->waits = !x->woken;
	if (x->woken) {
		x->woken = false;
		x->look(x);
	}
	return true;
}

static void
wake(struct exchange *x)
{
	if (!x->waits) {		/* it is looking just now */
		x->woken = true;
		return;
	}
	x->waits = false;
	x->look(x);
}

void
wait_over(struct exchange *x)
{
	x->over = true;
	wake(x);
}

void
wait_wake(struct control *c, const char *id)
{
	struct list *it, *next;

	LIST_FOREACH_SAFE(it, next, &c->waiting) {
		struct exchange *x = CT_CONTAINER(it, struct exchange, wait);

		if (id[0] == '\0' || x->id[0] == '\0' ||
		    strcmp(id, x->id) == 0)
			wake(x);
	}
}

/* ---- progress ---------------------------------------------------------- */

static struct progress *
find(struct control *c, const char *id)
{
	struct list *it;

	LIST_FOREACH(it, &c->progress) {
		struct progress *p = CT_CONTAINER(it, struct progress, link);

		if (strcmp(p->id, id) == 0)
			return p;
	}
	return NULL;
}

const struct progress *
progress_of(struct control *c, const char *id)
{
	return find(c, id);
}

/* One the list has room for no more is the one that was silent for longest. */
void
progress_put(struct control *c, const char *id, double percent,
    const char *text)
{
	struct progress *p = find(c, id);
	size_t n = strlen(text);

	if (p == NULL && c->progress_n == PROGRESS_MAX)
		p = CT_CONTAINER(list_first(&c->progress), struct progress,
		    link);
	if (p != NULL) {
		list_remove(&p->link);
	} else {
		p = mem_calloc(1, sizeof(*p));
		if (p == NULL)
			return;		/* the next one may have more luck */
		c->progress_n++;
	}
	if (strcmp(p->id, id) != 0)
		p->count = 0;
	p->count++;
	p->percent = percent;
	if (n > PROGRESS_TEXT_MAX)
		n = PROGRESS_TEXT_MAX;
	memcpy(p->text, text, n);
	p->text[n] = '\0';
	(void)snprintf(p->id, sizeof(p->id), "%s", id);
	list_append(&c->progress, &p->link);
}

static void
drop(struct control *c, struct progress *p)
{
	list_remove(&p->link);
	c->progress_n--;
	mem_free(p);
}

void
progress_drop(struct control *c, const char *id)
{
	struct progress *p = find(c, id);

	if (p != NULL)
		drop(c, p);
}

void
progress_fini(struct control *c)
{
	struct list *l;

	while ((l = list_first(&c->progress)) != NULL)
		drop(c, CT_CONTAINER(l, struct progress, link));
}
