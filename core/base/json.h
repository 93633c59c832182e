/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON (RFC 8259) into a fixed area: no allocation, no tree.  Commas are
 * put in by themselves.  Strings that are not UTF-8 have their bad bytes
 * replaced by U+FFFD.  Running out of room is remembered: look at
 * json_ok() once at the end.
 */
#ifndef CT_JSON_H
#define CT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json {
	struct outbuf *out;
	bool comma, failed;
};

/*
 * Jansson has functions of three of these names.  No file includes both headers,
 * but a program may be linked with both: the linker gets other names.
 */
#define JSON_SYMBOL(name) __asm__("ct_json_" name)

void json_init(struct json *, struct outbuf *out);
/* `key` NULL inside an array or at the top. */
void json_object(struct json *, const char *key) JSON_SYMBOL("object");
void json_object_end(struct json *);
void json_array(struct json *, const char *key) JSON_SYMBOL("array");
void json_array_end(struct json *);
void json_string(struct json *, const char *key, const char *s)
    JSON_SYMBOL("string");
void json_string_n(struct json *, const char *key, const char *s, size_t n);
void json_uint(struct json *, const char *key, uint64_t v);
void json_int(struct json *, const char *key, int64_t v);
void json_bool(struct json *, const char *key, bool v);
/* A JSON text that is already known to be valid. */
void json_raw(struct json *, const char *key, const char *text, size_t n);
bool json_ok(const struct json *);

#endif
