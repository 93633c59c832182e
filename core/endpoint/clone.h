/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clone alarm: channels of one identity that keep replacing each other are
 * two devices with one identity (a copied disk, a restored image).  Says so
 * once in a window, by endpoint.clone with both peers and in the log.
 * Thread: any.
 */
#ifndef CT_ENDPOINT_CLONE_H
#define CT_ENDPOINT_CLONE_H

#include <stdint.h>

struct endpoint;
struct endpoint_table;

struct clone_rules {
	uint32_t replacements;		/* within the window; 0: no alarm */
	uint32_t window_ms;
};

/* Who took a channel over. */
struct clone_sight {
	const char *peer;		/* address and port */
	const char *boot_id;		/* "" unknown; peer text */
};

/* As many identities are watched at once; of more, the latest. */
#define CLONES_MAX 256

/* Counts a replacement.  Without memory it is not counted. */
void clone_replaced(struct endpoint_table *, struct endpoint *,
    const struct clone_sight *, const struct clone_rules *);

#endif
