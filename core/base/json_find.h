/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks into a JSON text that base/json_check.h has accepted, without building
 * anything: members at the top, elements of an array.  Thread: any.
 */
#ifndef CT_JSON_FIND_H
#define CT_JSON_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One value in a text, without the space around it.  p[0] tells its kind:
 * one of { [ " t f n, else a number. */
struct json_span {
	const char *p;
	size_t n;
};

/* The value of `key` in an object; the last one if it is there twice, as most
 * parsers have it.  Keys that are written with escapes are not found. */
bool json_member(struct json_span object, const char *key,
    struct json_span *ret);
/* The element of an array at *at (0: the first), which is moved on;
 * false behind the end. */
bool json_item(struct json_span array, size_t *at, struct json_span *ret);
/* A string without escapes, with a NUL; false: it is none, has some,
 * or does not fit. */
bool json_plain(struct json_span, char *to, size_t cap);
/* An integer from 0 to 2^53; false: it is none. */
bool json_whole(struct json_span, uint64_t *ret);

#endif
