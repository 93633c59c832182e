/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to the snapshot socket, parsed and checked.  Pure; any thread.
 */
#ifndef CT_EVENT_REQUEST_H
#define CT_EVENT_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "event/record.h"

#define REQUEST_MAX 4096		/* a longer one is refused */
#define REQUEST_LIMIT_MAX 1000		/* entries of one page */
#define REQUEST_LIMIT_DEFAULT 500

enum request_get {
	GET_ENDPOINTS, GET_ENDPOINT, GET_SUMMARY, GET_CERTIFICATES,
	GET_PLUGINS
};

struct request {
	enum request_get get;
	uint32_t limit;			/* 1 … REQUEST_LIMIT_MAX */
	unsigned state;			/* PRESENCE_STATES: any */
	char after[EVENT_ID_MAX + 1];	/* "": from the start */
	char id[EVENT_ID_MAX + 1];	/* set for GET_ENDPOINT */
};

/* 0, or -ENOTSUP for an unknown "get", -EINVAL for everything else that is
 * wrong; then *ret_text is one static line saying what was expected. */
int request_parse(const void *p, size_t n, struct request *ret,
    const char **ret_text);

#endif
