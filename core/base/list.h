/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list with a sentinel head.  Not thread-safe. */
#ifndef CT_LIST_H
#define CT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void
list_append(struct list *head, struct list *e)
{
	e->prev = head->prev;
	e->next = head;
	head->prev->next = e;
	head->prev = e;
}

/* Leaves `e` linked to itself, so that removing it again is harmless. */
static inline void
list_remove(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

static inline struct list *
list_first(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

#define LIST_FOREACH(it, head) \
	for ((it) = (head)->next; (it) != (head); (it) = (it)->next)
/* `it` may be removed (and freed) inside the loop. */
#define LIST_FOREACH_SAFE(it, nx, head)					\
	for ((it) = (head)->next, (nx) = (it)->next; (it) != (head);	\
	    (it) = (nx), (nx) = (it)->next)

#endif
