/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's channels by id: open addressing, 8 bytes a place.  Ids are never
 * 0.  Belongs to one worker's thread.
 */
#ifndef CT_CHANNEL_TABLE_H
#define CT_CHANNEL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct channel;

struct channel_table {
	struct channel **place;
	size_t cap, count;		/* cap: 0 or a power of two */
	size_t aside;			/* taken out, with their places kept */
};

int channel_table_add(struct channel_table *, struct channel *);  /* -ENOMEM */
void channel_table_remove(struct channel_table *, struct channel *);
/* Takes it out so that putting it back cannot fail; or it is let go. */
void channel_table_set_aside(struct channel_table *, struct channel *);
void channel_table_put_back(struct channel_table *, struct channel *);
void channel_table_let_go(struct channel_table *);
struct channel *channel_table_find(const struct channel_table *, uint64_t id);
void channel_table_fini(struct channel_table *);

#endif
