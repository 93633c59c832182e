/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table by name whose nodes are embedded in what they name.  Chained;
 * grows, never shrinks.  Not thread-safe.  Names are the operator's or were
 * proven, so that nobody can fill one bucket on purpose.
 */
#ifndef CT_STRTAB_H
#define CT_STRTAB_H

#include <stddef.h>
#include <stdint.h>

struct strtab_node {
	struct strtab_node *next;	/* in its bucket */
	const char *name;		/* the owner's, as long as it is in */
	uint32_t hash;
};

/* All zero: empty. */
struct strtab {
	struct strtab_node **bucket;
	size_t buckets, count;
};

/* Of a name: FNV-1a with a final mix.  Any thread. */
uint32_t strtab_hash(const char *);
/* -ENOMEM.  The name must not be there yet. */
int strtab_add(struct strtab *, struct strtab_node *, const char *name);
void strtab_remove(struct strtab *, struct strtab_node *);	/* is in it */
struct strtab_node *strtab_find(const struct strtab *, const char *name);
/* Any one, to empty it; NULL: it is empty. */
struct strtab_node *strtab_any(const struct strtab *);
/* Frees the buckets, not what is in them. */
void strtab_fini(struct strtab *);

#endif
