/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's staging areas: four allocations, so that a sanitizer sees a step
 * from one into the next.  They carry plaintext of every channel in turn and
 * are wiped at the end.
 */
#include "base/transport.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static int
area_init(struct outbuf *o, size_t cap)
{
	o->p = mem_alloc(cap);
	if (o->p == NULL)
		return -ENOMEM;
	o->n = 0;
	o->cap = cap;
	return 0;
}

static void
area_fini(struct outbuf *o)
{
	mem_free_wiped(o->p, o->cap);
	memset(o, 0, sizeof(*o));
}

int
stage_init(struct stage *st)
{
	memset(st, 0, sizeof(*st));
	if (area_init(&st->in, STAGE_IN_SIZE) < 0 ||
	    area_init(&st->rx, STAGE_RX_SIZE) < 0 ||
	    area_init(&st->plain, STAGE_PLAIN_SIZE) < 0 ||
	    area_init(&st->tx, STAGE_TX_SIZE) < 0) {
		stage_fini(st);
		return -ENOMEM;
	}
	return 0;
}

void
stage_fini(struct stage *st)
{
	area_fini(&st->in);
	area_fini(&st->rx);
	area_fini(&st->plain);
	area_fini(&st->tx);
}
