/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of an instance say. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <cleat/host.h>

enum { CHAIN, KEY, OCSP, ANCHORS, LISTS };

struct config {
	char **path[LISTS];		/* NULL ends; never NULL itself */
	char *directory;		/* NULL: none */
	char *choose;
	bool self_signed;		/* nothing else was named */
	uint64_t poll_ms;
};

extern const struct cleat_opt config_opts[];

/* -EINVAL (logged), -ENOMEM. */
int config_read(struct cleat_self *, const struct cleat_host *,
    const struct cleat_opts *, struct config *ret);
void config_fini(struct config *);

#endif
