/* SPDX-License-Identifier: Apache-2.0 */
/* Things by name. */
#include "base/strtab.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_BUCKETS 64

uint32_t
strtab_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	h ^= h >> 15;
	h *= 0x2c1b3c6du;
	return h ^ (h >> 13);
}

static struct strtab_node **
bucket_of(const struct strtab *t, uint32_t hash)
{
	return &t->bucket[hash & (t->buckets - 1)];
}

/* Without memory it gets slower, not wrong, as long as there is a table. */
static int
grow(struct strtab *t)
{
	size_t n = t->buckets == 0 ? FIRST_BUCKETS : t->buckets * 2;
	struct strtab wide = { .buckets = n };
	struct strtab_node *e, *next, **to;

	if (t->count < t->buckets)
		return 0;
	wide.bucket = mem_calloc(n, sizeof(struct strtab_node *));
	if (wide.bucket == NULL)
		return t->buckets == 0 ? -ENOMEM : 0;
	for (size_t i = 0; i < t->buckets; i++)
		for (e = t->bucket[i]; e != NULL; e = next) {
			next = e->next;
			to = bucket_of(&wide, e->hash);
			e->next = *to;
			*to = e;
		}
	mem_free(t->bucket);
	t->bucket = wide.bucket;
	t->buckets = n;
	return 0;
}

int
strtab_add(struct strtab *t, struct strtab_node *e, const char *name)
{
	struct strtab_node **to;

	if (grow(t) != 0)
		return -ENOMEM;
	e->name = name;
	e->hash = strtab_hash(name);
	to = bucket_of(t, e->hash);
	e->next = *to;
	*to = e;
	t->count++;
	return 0;
}

void
strtab_remove(struct strtab *t, struct strtab_node *e)
{
	struct strtab_node **at = bucket_of(t, e->hash);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	t->count--;
}

struct strtab_node *
strtab_find(const struct strtab *t, const char *name)
{
	uint32_t hash = strtab_hash(name);
	struct strtab_node *e;

	if (t->buckets == 0)
		return NULL;
	for (e = *bucket_of(t, hash); e != NULL; e = e->next)
		if (e->hash == hash && strcmp(e->name, name) == 0)
			return e;
	return NULL;
}

struct strtab_node *
strtab_any(const struct strtab *t)
{
	for (size_t i = 0; t->count > 0 && i < t->buckets; i++)
		if (t->bucket[i] != NULL)
			return t->bucket[i];
	return NULL;
}

void
strtab_fini(struct strtab *t)
{
	mem_free(t->bucket);
	memset(t, 0, sizeof(*t));
}
