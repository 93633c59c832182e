/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of one size in 64 KiB chunks that come straight from mmap, so that
 * long-lived small objects neither pay malloc's header nor get scattered
 * between the short-lived 83 KB peaks of handshakes.  Empty chunks are returned
 * (one may be kept).  Belongs to one thread (or one lock).
 */
#ifndef CT_SLAB_H
#define CT_SLAB_H

#include <stddef.h>

struct slab_chunk;

struct slab {
	struct slab_chunk *partial;	/* chunks with a free place */
	size_t size;			/* of an object, rounded up to 8 */
	size_t used;			/* objects handed out */
};

void slab_init(struct slab *, size_t object_size);
/* Zeroed object, or NULL.  Counts as an allocation for mem_fail_nth(). */
void *slab_get(struct slab *);
/* Wipes the object.  NULL is fine. */
void slab_put(struct slab *, void *);
/* All objects must have been put back. */
void slab_fini(struct slab *);

#endif
