/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slab.  A chunk is aligned to its own size, so that an object finds its
 * chunk by clearing address bits.  Free objects are zero but for the link in
 * their first word; places never used are not touched at all.  One empty chunk
 * is kept while it is the only one with room, lest a single object that comes
 * and goes cost two system calls each time.
 */
#include "base/slab.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/mem.h"

/* AddressSanitizer knows nothing of places: whoever uses one that is free,
 * all but its link, is told of only so. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_ASAN 1
#endif
#ifdef SLAB_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define CHUNK ((size_t)64 * 1024)
#define CHUNK_MAGIC 0x51ab51abu
#define HEADER ((sizeof(struct slab_chunk) + 15) & ~(size_t)15)

struct slab_chunk {
	uint32_t magic;
	uint32_t used;			/* objects handed out */
	struct slab *slab;
	struct slab_chunk *next, *prev;	/* in slab->partial */
	void **free;			/* places that were used before */
	size_t fresh;			/* offset of the untouched rest */
};

void
slab_init(struct slab *s, size_t object_size)
{
	memset(s, 0, sizeof(*s));
	s->size = (object_size + 7) & ~(size_t)7;
	CT_ASSERT(s->size > 0 && s->size <= CHUNK - HEADER);
}

static void
link_partial(struct slab *s, struct slab_chunk *c)
{
	c->prev = NULL;
	c->next = s->partial;
	if (c->next != NULL)
		c->next->prev = c;
	s->partial = c;
}

static void
unlink_partial(struct slab *s, struct slab_chunk *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		s->partial = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	c->next = c->prev = NULL;
}

static void *
map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void
unmap(void *p, size_t n)
{
	/* Something else may be mapped there. */
	ASAN_UNPOISON_MEMORY_REGION(p, n);
	if (n > 0)
		CT_ASSERT(munmap(p, n) == 0);
}

/* The kernel places a mapping below the last one: mostly it is aligned. */
static void *
map_chunk(void)
{
	char *p = map(CHUNK);
	size_t before;

	if (p == NULL || ((uintptr_t)p & (CHUNK - 1)) == 0)
		return p;
	unmap(p, CHUNK);
	p = map(2 * CHUNK);
	if (p == NULL)
		return NULL;
	before = (CHUNK - ((uintptr_t)p & (CHUNK - 1))) & (CHUNK - 1);
	unmap(p, before);
	unmap(p + before + CHUNK, CHUNK - before);
	return p + before;
}

static bool
has_room(const struct slab *s, const struct slab_chunk *c)
{
	return c->free != NULL || c->fresh + s->size <= CHUNK;
}

void *
slab_get(struct slab *s)
{
	struct slab_chunk *c = s->partial;
	void **place;

	if (mem_fail_now())
		return NULL;
	if (c == NULL) {
		c = map_chunk();
		if (c == NULL)
			return NULL;
		c->magic = CHUNK_MAGIC;
		c->slab = s;
		c->fresh = HEADER;
		ASAN_POISON_MEMORY_REGION((char *)c + HEADER, CHUNK - HEADER);
		link_partial(s, c);
	}
	if (c->free != NULL) {
		place = c->free;
		c->free = *place;
		*place = NULL;
	} else {
		place = (void **)(void *)((char *)c + c->fresh);
		c->fresh += s->size;
	}
	ASAN_UNPOISON_MEMORY_REGION(place, s->size);
	c->used++;
	s->used++;
	if (!has_room(s, c))
		unlink_partial(s, c);
	return place;
}

void
slab_put(struct slab *s, void *p)
{
	struct slab_chunk *c;
	void **place = p;
	bool was_full;

	if (p == NULL)
		return;
	c = (void *)((char *)p - ((uintptr_t)p & (CHUNK - 1)));
	CT_CHECK_MAGIC(c, CHUNK_MAGIC);
	CT_ASSERT(c->slab == s && c->used > 0);
	was_full = !has_room(s, c);
	mem_wipe(p, s->size);
	*place = c->free;
	c->free = place;
	ASAN_POISON_MEMORY_REGION(place + 1, s->size - sizeof(*place));
	c->used--;
	s->used--;
	if (was_full)
		link_partial(s, c);
	if (c->used == 0 && (c->next != NULL || c->prev != NULL)) {
		unlink_partial(s, c);
		unmap(c, CHUNK);
	}
}

void
slab_fini(struct slab *s)
{
	struct slab_chunk *c;

	CT_ASSERT(s->used == 0);
	while ((c = s->partial) != NULL) {
		unlink_partial(s, c);
		unmap(c, CHUNK);
	}
}
