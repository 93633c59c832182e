/* SPDX-License-Identifier: Apache-2.0 */
/* Telemetry (a bounded log) and inventory (one document each);
 * as in endpoints.h. */
#ifndef CT_STORE_TELEMETRY_H
#define CT_STORE_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_db;

/* Stores it unless `seq` is at most the endpoint's last; *ret_last: the
 * last one that is stored now; *ret_cursor: where it is in the log, 0 if it
 * was known.  -EAGAIN: `after` (below seq; 0 none) is not stored, and has
 * to come first. */
int store_telemetry_put(struct store_db *, const char *endpoint, uint64_t seq,
    uint64_t after, int64_t now_ms, const char *json, size_t n,
    uint64_t *ret_last, uint64_t *ret_cursor);
/* 0: none. */
int store_telemetry_last(struct store_db *, const char *endpoint,
    uint64_t *ret_last);

struct store_telemetry {
	uint64_t cursor;		/* rises over all endpoints */
	const char *endpoint;
	uint64_t seq;
	int64_t received_ms;
	const char *json;		/* an array */
};
/* Those behind `after`, of one endpoint or (NULL) of all.  *ret_oldest: the
 * first cursor from which on nothing of that was cut off (of an empty log: the
 * next one), so that a reader sees what he misses. */
int store_telemetry_read(struct store_db *, const char *endpoint,
    uint64_t after, unsigned limit, uint64_t *ret_oldest,
    bool (*fn)(void *, const struct store_telemetry *), void *ctx);

#define STORE_INVENTORY_MAX (64 * 1024)
/* RFC 7396.  -EMSGSIZE: the result is too long; -EINVAL: not an object. */
int store_inventory_patch(struct store_db *, const char *endpoint,
    const char *patch, size_t n, int64_t now_ms, uint64_t *ret_revision);
int store_inventory_get(struct store_db *, const char *endpoint,
    void (*fn)(void *, const char *json, uint64_t revision,
    int64_t changed_ms), void *ctx);

#endif
