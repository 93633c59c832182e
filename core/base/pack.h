/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes for another process of the same host: a writer that grows, a reader
 * that never reads beyond the end.  Both remember their first failure, so that
 * only the end is asked.  Numbers are in the host's order.  Any thread; each
 * belongs to one.
 */
#ifndef CT_PACK_H
#define CT_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct pack {
	struct outbuf out;
	int error;			/* 0, -ENOMEM */
};

/* Makes room for n bytes behind what is there.  NULL: no memory. */
uint8_t *pack_room(struct pack *, size_t n);
void pack_bytes(struct pack *, const void *p, size_t n);
void pack_u32(struct pack *, uint32_t);
void pack_u64(struct pack *, uint64_t);
void pack_text(struct pack *, const char *);	/* with its length */
/* Wipes and frees; the writer is as new. */
void pack_fini(struct pack *);

struct unpack {
	const uint8_t *p;
	size_t n;			/* left */
	int error;			/* 0, -EINVAL */
};

/* NULL after a failure, or when fewer are left. */
const uint8_t *unpack_bytes(struct unpack *, size_t n);
void unpack_copy(struct unpack *, void *to, size_t n);	/* zeros on failure */
uint32_t unpack_u32(struct unpack *);
uint64_t unpack_u64(struct unpack *);
/* A text of at most max bytes, without a NUL inside, in the packed bytes:
 * it ends with a NUL there.  "" on failure. */
const char *unpack_text(struct unpack *, size_t max);

#endif
