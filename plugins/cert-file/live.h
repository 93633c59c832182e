/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which certificates were in service, in the file `live` of the instance's
 * directory: after a restart they are known again.  One thread.
 */
#ifndef LIVE_H
#define LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_MAX 256

struct live {
	struct live_entry *entry;	/* latest last */
	size_t n;
};

/* What is not there, or cannot be read, is no entry. */
void live_load(struct live *, const char *dir);
void live_fini(struct live *);
/* sha256: of the leaf. */
bool live_knows(const struct live *, const char *slot,
    const uint8_t sha256[32]);
/* The slot serves it from now on, in place of its other one of the same kind;
 * written if that is new.  -errno, -ENOMEM. */
int live_put(struct live *, const char *dir, const char *slot, bool rsa,
    const uint8_t sha256[32]);

#endif
