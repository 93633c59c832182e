/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing; removal closes the gap it leaves. */
#include "channel/table.h"

#include <errno.h>

#include "base/check.h"
#include "base/mem.h"
#include "channel/channel.h"

#define FIRST_CAP 64

static size_t
home(const struct channel_table *t, uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & (t->cap - 1);
}

static void
put(struct channel_table *t, struct channel *c)
{
	size_t i = home(t, channel_id(c));

	while (t->place[i] != NULL)
		i = (i + 1) & (t->cap - 1);
	t->place[i] = c;
}

static int
grow(struct channel_table *t)
{
	struct channel_table bigger = {
		.cap = t->cap == 0 ? FIRST_CAP : t->cap * 2,
		.count = t->count, .aside = t->aside
	};

	bigger.place = mem_calloc(bigger.cap, sizeof(*bigger.place));
	if (bigger.place == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->place[i] != NULL)
			put(&bigger, t->place[i]);
	mem_free(t->place);
	*t = bigger;
	return 0;
}

int
channel_table_add(struct channel_table *t, struct channel *c)
{
	if ((t->count + t->aside + 1) * 4 > t->cap * 3 && grow(t) != 0)
		return -ENOMEM;
	put(t, c);
	t->count++;
	return 0;
}

struct channel *
channel_table_find(const struct channel_table *t, uint64_t id)
{
	if (t->cap == 0)
		return NULL;
	for (size_t i = home(t, id); t->place[i] != NULL;
	    i = (i + 1) & (t->cap - 1))
		if (channel_id(t->place[i]) == id)
			return t->place[i];
	return NULL;
}

void
channel_table_remove(struct channel_table *t, struct channel *c)
{
	size_t mask = t->cap - 1, i = home(t, channel_id(c)), gap, want;

	while (t->place[i] != c) {
		CT_ASSERT(t->place[i] != NULL);
		i = (i + 1) & mask;
	}
	gap = i;
	for (i = (i + 1) & mask; t->place[i] != NULL; i = (i + 1) & mask) {
		want = home(t, channel_id(t->place[i]));
		/* It may fill the gap unless its home lies behind the gap. */
		if (((i - want) & mask) >= ((i - gap) & mask)) {
			t->place[gap] = t->place[i];
			gap = i;
		}
	}
	t->place[gap] = NULL;
	t->count--;
}

void
channel_table_set_aside(struct channel_table *t, struct channel *c)
{
	channel_table_remove(t, c);
	t->aside++;
}

void
channel_table_put_back(struct channel_table *t, struct channel *c)
{
	t->aside--;
	put(t, c);
	t->count++;
}

void
channel_table_let_go(struct channel_table *t)
{
	t->aside--;
}

void
channel_table_fini(struct channel_table *t)
{
	CT_ASSERT(t->count == 0 && t->aside == 0);
	mem_free(t->place);
	*t = (struct channel_table){ 0 };
}
